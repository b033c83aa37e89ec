//! Units of measurement and money, with their spellings in English, German, French, Spanish, Italian and Dutch.

use std::{collections::HashMap, sync::LazyLock};

use super::{lexicon::phrases, numbers::Value};

/// What a number counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Money,
    /// A quantity, by name: `length`.
    Unit(&'static str),
    /// Pieces in stock.
    Stock,
    /// Things, in words and without a unit: "two batteries".
    Count,
    /// Part of an article number.
    Code,
    /// Not known.
    Bare,
}

/// People count also where the noun is left out: "sleeps 6".
pub(super) const PEOPLE: Kind = Kind::Unit("people");

/// A unit with its factor to the smallest unit of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) kind: Kind,
    /// A fraction: 254/10 mm are an inch.
    factor: (Value, Value),
}

impl Unit {
    pub(super) const BARE: Self = Self::of(Kind::Bare);
    pub(super) const MONEY: Self = Self::of(Kind::Money);
    pub(super) const MINUTE: Self = Self { kind: Kind::Unit("time"), factor: (60, 1) };
    pub(super) const HOUR: Self = Self { kind: Kind::Unit("time"), factor: (3600, 1) };

    pub(super) const fn of(kind: Kind) -> Self {
        Self { kind, factor: (1, 1) }
    }

    /// Finds the unit of this spelling, in lower case.
    pub(super) fn find(spelling: &str) -> Option<Self> {
        SPELLINGS.get(spelling).copied()
    }

    /// Whether it is known what the number measures.
    pub(super) fn is_known(self) -> bool {
        !matches!(self.kind, Kind::Bare | Kind::Count)
    }

    /// Converts a value in this unit to the smallest unit of its kind.
    pub(super) fn convert(self, value: Value) -> Value {
        value.saturating_mul(self.factor.0) / self.factor.1
    }
}

const MONEY: Kind = Kind::Money;
const LENGTH: Kind = Kind::Unit("length");
const MASS: Kind = Kind::Unit("mass");
const VOLUME: Kind = Kind::Unit("volume");
const TIME: Kind = Kind::Unit("time");
const MONTHS: Kind = Kind::Unit("months");
const POWER: Kind = Kind::Unit("power");
const ENERGY: Kind = Kind::Unit("energy");
const CHARGE: Kind = Kind::Unit("charge");
const FREQUENCY: Kind = Kind::Unit("frequency");
const MEMORY: Kind = Kind::Unit("memory");

/// The units by kind, with their factors as fractions.
const UNITS: [(Kind, Value, Value, &str); 45] = [
    (
        MONEY,
        1,
        1,
        "€, $, £, eur, euro, euros, usd, dollar, dollars, chf, franken, francs, gbp, dólares, dólar",
    ),
    (MONEY, 1, 1, "dollari, franchi, sterline"),
    (MONEY, 1, 100, "cent, cents, ct, centime, centimes, céntimos, centesimi, rappen"),
    (
        PEOPLE,
        1,
        1,
        "people, person, persons, personen, leute, personne, personnes, persona, personas, persone",
    ),
    (LENGTH, 1, 1, "mm, millimetres, millimeters, millimeter, millimètres, milímetros, millimetri"),
    (
        LENGTH,
        10,
        1,
        "cm, centimetres, centimeters, zentimeter, centimètres, centímetros, centimetri, centimeter",
    ),
    (LENGTH, 1000, 1, "m, metre, metres, meter, meters, metern, mètre, mètres, metro, metros, metri"),
    (LENGTH, 1_000_000, 1, "km, kilometres, kilometers, kilometer, kilomètres, kilómetros, chilometri"),
    (LENGTH, 254, 10, "in, inch, inches, ″, zoll, pouce, pouces, pulgada, pulgadas, pollici"),
    (LENGTH, 3048, 10, "ft, feet, foot"),
    (MASS, 1, 1000, "mg"),
    (MASS, 1, 1, "g, gram, grams, gramm, grammes, gramos, grammi, gr"),
    (MASS, 1000, 1, "kg, kilo, kilos, kilogram, kilograms, kilogramm, kilogrammes, kilogramos, chili, chilo"),
    (MASS, 45_359_237, 100_000, "lb, lbs"),
    (MASS, 28_349_523, 1_000_000, "oz, ounces"),
    (VOLUME, 1, 1, "ml, millilitres, milliliters, milliliter, mililitros, millilitri"),
    (VOLUME, 10, 1, "cl"),
    (VOLUME, 100, 1, "dl"),
    (VOLUME, 1000, 1, "l, litre, litres, liter, liters, litern, litro, litros, litri"),
    (TIME, 1, 1, "sec, second, seconds, sekunde, sekunden, seconde, secondes, segundos, secondi, seconden"),
    (TIME, 60, 1, "min, mins, minute, minutes, minuten, minuto, minutos, minuti"),
    (
        TIME,
        3600,
        1,
        "h, hr, hrs, hour, hours, stunde, stunden, heure, heures, hora, horas, ora, ore, uur, uhr",
    ),
    (TIME, 3600, 1, "o'clock"),
    (TIME, 86_400, 1, "day, days, tag, tage, tagen, werktag, werktage, werktagen, jour, jours, día, días"),
    (TIME, 86_400, 1, "giorno, giorni, dag, dagen, werkdagen"),
    (
        TIME,
        604_800,
        1,
        "week, weeks, woche, wochen, semaine, semaines, semana, semanas, settimana, settimane, weken",
    ),
    (MONTHS, 1, 1, "month, months, monat, monate, monaten, mois, mes, meses, mese, mesi, maand, maanden"),
    (
        MONTHS,
        12,
        1,
        "year, years, jahr, jahre, jahren, an, ans, année, années, año, años, anno, anni, jaar, jaren",
    ),
    (POWER, 1, 1, "w, watt, watts, vatios"),
    (POWER, 1000, 1, "kw, kilowatt, kilowatts, kilovatios"),
    (ENERGY, 1, 1, "wh"),
    (ENERGY, 1000, 1, "kwh"),
    (CHARGE, 1, 1, "mah"),
    (CHARGE, 1000, 1, "ah"),
    (FREQUENCY, 1, 1, "hz"),
    (FREQUENCY, 1000, 1, "khz"),
    (FREQUENCY, 1_000_000, 1, "mhz"),
    (FREQUENCY, 1_000_000_000, 1, "ghz"),
    (MEMORY, 1, 1, "mb"),
    (MEMORY, 1000, 1, "gb"),
    (MEMORY, 1_000_000, 1, "tb"),
    (Kind::Unit("voltage"), 1, 1, "v, volt, volts, voltios"),
    (Kind::Unit("light"), 1, 1, "lm, lumen, lumens, lúmenes"),
    (Kind::Unit("temperature"), 1, 1, "°, °c, degree, degrees, grad, degrés, grados, gradi, graden, celsius"),
    (Kind::Unit("percent"), 1, 1, "%, percent, prozent, procent"),
];

static SPELLINGS: LazyLock<HashMap<&str, Unit>> = LazyLock::new(|| {
    let units = UNITS.iter().flat_map(|(kind, above, below, spellings)| {
        let unit = Unit { kind: *kind, factor: (*above, *below) };
        phrases(spellings).map(move |spelling| (spelling, unit))
    });
    units.collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answering::grounding::numbers::ONE;

    #[test]
    fn units_of_a_kind_convert_to_each_other() {
        let is_equal = |(one, its): (Value, &str), (other, others): (Value, &str)| {
            let [its, others] = [its, others].map(|spelling| Unit::find(spelling).unwrap());
            its.kind == others.kind && its.convert(one) == others.convert(other)
        };
        assert!(is_equal((1_500_000, "l"), (1500 * ONE, "ml")));
        assert!(is_equal((10 * ONE, "zoll"), (25_400_000, "cm")));
        assert!(is_equal((2 * ONE, "jahre"), (24 * ONE, "months")));
        assert!(!is_equal((1500 * ONE, "wh"), (1500 * ONE, "w")));
    }
}
