//! What kind of fact a question asks for, in the languages that we speak, and whether a sentence has one.

use super::words::words;

/// A kind of fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Price,
    Stock,
    Count,
    Duration,
    Weight,
    Length,
    Temperature,
    Volume,
    Light,
    Pressure,
    Power,
    Storage,
    Share,
    Sound,
    Age,
    Clock,
    Protection,
}

use Ask::{
    Age, Clock, Count, Duration, Length, Light, Power, Pressure, Price, Protection, Share, Sound, Stock,
    Storage, Temperature, Volume, Weight,
};

/// Phrases that ask, separated by commas. `*` at the end of a word stands for any letters.
const CUES: &[(Ask, &str)] = &[
    (
        Price,
        "price*, cost, costs, costing, expensive, cheap*, euro, euros, eur, how much is, how much are, how much s, \
         how much for, how much was, how much would, how much do you want, how much, do you charge, \
         you want for, i pay, pays, set me back, fee, fees, budget, \
         kostet, kosten, kostete, preis*, teuer, billig*, wie viel ist, cuesta*, precio*, vale, caro, costar, \
         coût*, coute*, prix, combien, cher, costa, costano, costo, prezzo*, kost, prijs*, duur, goedkop*, \
         kosztuj*, koszt, cena, ceny, cenę",
    ),
    (
        Stock,
        "stock, available, availability, sold out, shelf, in store, deliverable, right now, right away, \
         lager, vorrätig, verfügbar, lieferbar, disponib*, agotad*, rupture, voorraad, leverbaar, dostępn*, magazyn*",
    ),
    (Count, "how many, wie viele, cuántos, cuántas, combien de, quanti, quante, hoeveel, ile"),
    (
        Duration,
        "how long, how fast, how quick*, how soon, longer, longest, faster, quicker, slower, until, till, when, deadline, \
         duration, expir*, valid, wie lang*, länger, bis wann, wann, dauer*, gültig*, cuánto tiempo, dura, \
         combien de temps, durée, quanto tempo, hoe lang, jak długo, warrant*, garant*, guarant*, gwarancj*, \
         battery life, runtime",
    ),
    (
        Weight,
        "heavy, heavier, heaviest, light, lighter, lightest, weigh*, weight*, load, schwer*, wieg*, \
         gewicht*, pesa, pesan, peso, poids, pèse*, peser, zwaar*, weegt, waży, ważą, ciężk*",
    ),
    (
        Length,
        "how tall, how high, how wide, how thick, how deep, how long, how big, how large, how far, how small, \
         thick, thickness, length, width, height, depth, diameter, dimension*, size, sizes, measure*, longer, taller, wider, thicker, bigger, larger, smaller, \
         wie groß, wie hoch, wie breit, wie dick, wie lang, wie tief, größe, maße, mide*, tamaño, longitud, taille, \
         longueur, largeur, hauteur, mesure*, grande, misura*, lunghezza, hoe groot, hoe lang, afmeting*, jak duż*",
    ),
    (
        Temperature,
        "temperature*, cold, warm, hot, frost, heat*, temperatur*, warm*, kalt, temperatura, calor, \
         frío, température, froid, caldo, freddo, koud, zimn*",
    ),
    (Volume, "volume, hold, holds, capacity, volumen, fassungsvermögen, fasst"),
    (Light, "bright*, hell, heller, brillo, luminos*, helder, jasn*"),
    (Pressure, "pressure, druck, presión, pression, pressione, ciśnieni*"),
    (Power, "power, consum*, leistung, verbrauch*, potencia, puissance, potenza, vermogen, moc"),
    (Storage, "storage, memory, capacity, ram, speicher*, memoria, mémoire, geheugen, pamięć"),
    (
        Share,
        "discount*, rebate, reduction, money off, interest, rabatt*, zinsen, descuento*, interes*, \
         remise, réduction, sconto, sconti, korting, zniżk*, rabat*",
    ),
    (Sound, "loud*, noise, quiet*, laut*, leise*, ruido, bruit, rumore, geluid, głośn*"),
    (Age, "age, ages, aged, how old, alter, edad, âge, età, leeftijd, wiek"),
    (
        Clock,
        "open, opening, close, closes, closing, what time, until when, öffnungszeit*, geöffnet, auf, abierto, ouvert, aperto, otwarte",
    ),
    (
        Protection,
        "waterproof*, watertight, water resistan*, swim*, bath, splash*, dust*, submer*, wasserdicht*, wasserfest*, \
         bade*, impermeable*, bañera, étanche*, impermeabil*, waterdicht, wodoodporn*",
    ),
];

/// Cues that ask for money only if nothing else is asked for: "combien pèse …".
const VAGUE: &[&str] = &["combien", "how much", "i pay", "pays"];

/// Words before the unit that is asked for.
const COUNTING: &[&str] = &[
    "many", "much", "viele", "viel", "cuántos", "cuántas", "combien", "quanti", "quante", "hoeveel", "ile",
    "in", "de",
];

impl Ask {
    /// What a question asks for.
    pub(super) fn find(question: &str) -> Vec<Self> {
        let words: Vec<_> = words(question).collect();
        // "in three metres" tells which, and asks for nothing.
        let is_measure = |place: usize| place > 0 && is_number(&words[place - 1]);
        let has = |cue: &str| {
            let windows = words.windows(cue.split(' ').count()).enumerate();
            windows.into_iter().any(|(place, some)| is_cue(cue, some) && !is_measure(place))
        };
        // "How many hours …?"
        let is_counted = |ask: Self| {
            let mut units = words.iter().skip(1).zip(&words);
            units.any(|(unit, before)| {
                COUNTING.contains(&before.as_str()) && ask.units().contains(&unit.as_str())
            })
        };
        let first = |cues: &'static str| cues.split(", ").map(str::trim).find(|cue| has(cue));
        let found: Vec<_> = CUES
            .iter()
            .filter_map(|(ask, cues)| Some((*ask, first(cues).or(is_counted(*ask).then_some(""))?)))
            .collect();
        let is_vague = |ask: Self, cue: &str| ask == Price && found.len() > 1 && VAGUE.contains(&cue);
        found.iter().filter(|(ask, cue)| !is_vague(*ask, cue)).map(|(ask, _)| *ask).collect()
    }

    /// Whether a text has a number with a unit of this kind.
    pub(super) fn is_answered_by(self, text: &str) -> bool {
        let tokens: Vec<_> = text
            .split(|letter: char| letter.is_whitespace() || "-–/()×".contains(letter))
            .map(|token| token.trim_matches(|letter: char| ".,;:!?\"'".contains(letter)))
            .filter(|token| !token.is_empty())
            .collect();
        tokens.iter().enumerate().any(|(place, token)| {
            let next = tokens.get(place + 1).copied().unwrap_or_default();
            let after = tokens.get(place + 2).copied().unwrap_or_default();
            let (number, glued) = split_number(token);
            match self {
                Clock => number.contains(':') || is_number(token) && next.eq_ignore_ascii_case("o'clock"),
                Protection => is_protection(token, next),
                Count if is_number(token) => true,
                Age if token.starts_with("age") && is_number(if next == "of" { after } else { next }) => true,
                Price if "€$£".contains(token.chars().next().unwrap_or(' ')) => true,
                _ => {
                    let is_unit = |unit: &str| self.units().contains(&unit.to_lowercase().as_str());
                    is_number(token) && (is_unit(next) || self == Duration && is_unit(after))
                        || !number.is_empty() && is_unit(glued)
                }
            }
        })
    }

    pub(super) fn has_unit(self, unit: &str) -> bool {
        self.units().contains(&unit)
    }

    /// Whether a word is a unit of any kind.
    pub(super) fn is_any_unit(word: &str) -> bool {
        CUES.iter().any(|(ask, _)| ask.has_unit(word))
    }

    fn units(self) -> &'static [&'static str] {
        match self {
            Price => &["eur", "euro", "euros", "€", "usd", "dollars", "gbp", "pounds", "chf", "pln", "zł"],
            Duration => &[
                "second",
                "seconds",
                "minute",
                "minutes",
                "min",
                "hour",
                "hours",
                "h",
                "day",
                "days",
                "week",
                "weeks",
                "month",
                "months",
                "year",
                "years",
                "minuten",
                "stunden",
                "tage",
                "wochen",
                "monate",
                "jahre",
                "minutos",
                "horas",
                "días",
                "semanas",
                "meses",
                "años",
                "heures",
                "jours",
                "semaines",
                "mois",
                "ans",
                "minuti",
                "ore",
                "giorni",
                "settimane",
                "mesi",
                "anni",
                "uur",
                "dagen",
                "weken",
                "maanden",
                "jaar",
                "minut",
                "godzin",
                "dni",
                "tygodni",
                "miesięcy",
                "lat",
            ],
            Weight => &[
                "g",
                "kg",
                "gram",
                "grams",
                "kilo",
                "kilos",
                "kilograms",
                "chili",
                "lb",
                "lbs",
                "gramm",
                "gramos",
                "grammes",
            ],
            Length => &[
                "mm", "cm", "m", "km", "inch", "inches", "metre", "metres", "meter", "meters", "metros",
                "mètres", "metri", "feet",
            ],
            Temperature => &["°c", "°f", "degrees", "°", "grad"],
            Volume => &["l", "ml", "cl", "litre", "litres", "liter", "liters", "litros", "litri", "litrów"],
            Light => &["lumens", "lumen", "lm", "cd"],
            Pressure => &["bar", "psi", "hpa"],
            Power => &["w", "kw", "kwh", "wh", "mah", "watt", "watts"],
            Storage => &["gb", "tb", "mb", "gig", "gigs", "gigabytes", "terabyte", "terabytes"],
            Share => &["%", "percent", "prozent"],
            Sound => &["db", "decibels", "dezibel"],
            Age => &["year", "years", "month", "months", "jahre", "años", "ans", "anni", "jaar", "lat"],
            Stock | Count | Clock | Protection => &[],
        }
    }
}

fn is_cue(cue: &str, words: &[String]) -> bool {
    cue.split(' ').zip(words).all(|(cue, word)| match cue.strip_suffix('*') {
        Some(start) => word.starts_with(start) || is_misspelt(start, word),
        None => word == cue || is_misspelt(cue, word),
    })
}

/// Whether a word is this cue with one letter wrong; cues of up to five letters must match.
fn is_misspelt(cue: &str, word: &str) -> bool {
    let lengths = || cue.chars().count().abs_diff(word.chars().count());
    cue.len() > 5 && lengths() <= 1 && strsim::osa_distance(cue, word) == 1
}

fn split_number(token: &str) -> (&str, &str) {
    let end = token.find(|letter: char| !letter.is_ascii_digit() && !",.:".contains(letter));
    token.split_at(end.unwrap_or(token.len()))
}

/// Whether a token is a number, in digits or words.
pub(super) fn is_number(token: &str) -> bool {
    const WORDS: &[&str] = &[
        "half", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve", "fifteen", "twenty", "thirty", "forty", "fifty", "sixty", "hundred",
    ];
    token.starts_with(|letter: char| letter.is_ascii_digit()) && split_number(token).1.is_empty()
        || WORDS.contains(&token.to_lowercase().as_str())
}

/// Whether it is a code such as "IP67", or "5 ATM".
fn is_protection(token: &str, next: &str) -> bool {
    let code = token.strip_prefix("IP").filter(|code| code.len() >= 2 && code.len() <= 4);
    code.is_some_and(|code| code.chars().any(|letter| letter.is_ascii_digit()))
        || is_number(token) && next == "ATM"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_asked_for_in_any_language() {
        for question in [
            "How much is it?",
            "What does the lamp cost?",
            "Was kostet die Lampe?",
            "¿Cuánto cuesta?",
            "C'est combien ?",
            "Quanto costa?",
            "Wat kost het?",
            "Ile to kosztuje?",
        ] {
            assert!(Ask::find(question).contains(&Price), "{question}");
        }
        for question in ["How much does it weigh?", "Combien pèse la lampe ?", "Wie viel wiegt sie?"] {
            assert_eq!(Ask::find(question), [Weight], "{question}");
        }
    }

    #[test]
    fn a_unit_tells_what_a_number_measures() {
        for (ask, text) in [
            (Price, "It costs 4.90 EUR."),
            (Duration, "within 30 days"),
            (Duration, "lasts five hours"),
            (Weight, "weighs 1,240 g the pair"),
            (Length, "a 6.1-inch display"),
            (Temperature, "down to -18 °C"),
            (Clock, "open until 19:00"),
            (Protection, "rated IPX8, 5 ATM"),
        ] {
            assert!(ask.is_answered_by(text), "{text}");
            let others = [Price, Duration, Weight, Length, Temperature, Clock, Protection];
            let wrong: Vec<_> =
                others.into_iter().filter(|other| *other != ask && other.is_answered_by(text)).collect();
            assert!(wrong.is_empty(), "{text}: {wrong:?}");
        }
    }
}
