//! The language of a question, and the frames that facts are put into.

use std::sync::LazyLock;

use stop_words::{Language as List, get};
use whatlang::{Detector, Lang};

use super::words::words;

/// A language that facts can be stated in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Dutch,
    English,
    French,
    German,
    Italian,
    Polish,
    Spanish,
}

use Language::{Dutch, English, French, German, Italian, Polish, Spanish};

const LISTS: [(Language, List, Lang); 7] = [
    (English, List::English, Lang::Eng),
    (German, List::German, Lang::Deu),
    (French, List::French, Lang::Fra),
    (Spanish, List::Spanish, Lang::Spa),
    (Italian, List::Italian, Lang::Ita),
    (Dutch, List::Dutch, Lang::Nld),
    (Polish, List::Polish, Lang::Pol),
];

/// Below this, short questions are taken for the wrong language too often.
const LEAST_CONFIDENCE: f64 = 0.5;

static DETECTOR: LazyLock<Detector> =
    LazyLock::new(|| Detector::with_allowlist(LISTS.iter().map(|(.., lang)| *lang).collect()));

impl Language {
    /// The language of a text if its letters tell it surely; else the one that has most of its words as stop words, and
    /// English in doubt.
    pub(super) fn of(text: &str) -> Self {
        let Some(detected) = DETECTOR.detect(text) else { return English };
        let by_letters =
            LISTS.iter().find(|(.., lang)| *lang == detected.lang()).map(|(language, ..)| *language);
        if let Some(language) = by_letters.filter(|_| detected.confidence() > LEAST_CONFIDENCE) {
            return language;
        }
        let words: Vec<_> = words(text).collect();
        let count = |language: Self| words.iter().filter(|word| language.has_stop_word(word)).count();
        let counts: Vec<_> = LISTS.iter().map(|(language, ..)| (*language, count(*language))).collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let likely: Vec<_> = counts.iter().filter(|(_, count)| *count == most).map(|(one, _)| *one).collect();
        if likely.contains(&English) {
            return English;
        }
        by_letters.filter(|language| likely.contains(language)).unwrap_or(likely[0])
    }

    pub(super) fn has_stop_word(self, word: &str) -> bool {
        LISTS.iter().any(|(language, list, _)| *language == self && get(*list).contains(&word))
    }

    pub(super) fn price(self, title: &str, price: &str) -> String {
        match self {
            English => format!("The price of {title} is {price}."),
            German => format!("Der Preis von {title}: {price}."),
            French => format!("Le prix de {title} : {price}."),
            Spanish => format!("El precio de {title}: {price}."),
            Italian => format!("Il prezzo di {title}: {price}."),
            Dutch => format!("De prijs van {title}: {price}."),
            Polish => format!("Cena {title}: {price}."),
        }
    }

    pub(super) fn in_stock(self, title: &str, stock: &str) -> String {
        match self {
            English => format!("{title} is in stock: {stock} available."),
            German => format!("{title} ist auf Lager: {stock} verfügbar."),
            French => format!("{title} est en stock : {stock} disponibles."),
            Spanish => format!("{title} está en stock: {stock} disponibles."),
            Italian => format!("{title} è disponibile: {stock} in magazzino."),
            Dutch => format!("{title} is op voorraad: {stock} beschikbaar."),
            Polish => format!("{title} jest w magazynie: {stock} szt."),
        }
    }

    pub(super) fn out_of_stock(self, title: &str) -> String {
        match self {
            English => format!("{title} is out of stock."),
            German => format!("{title} ist nicht auf Lager."),
            French => format!("{title} est en rupture de stock."),
            Spanish => format!("{title} está agotado."),
            Italian => format!("{title} non è disponibile."),
            Dutch => format!("{title} is niet op voorraad."),
            Polish => format!("{title} jest niedostępny."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_questions_have_a_language() {
        for (text, language) in [
            ("Was kostet die Lampe?", German),
            ("Combien coûte la lampe ?", French),
            ("¿Cuánto cuesta la lámpara?", Spanish),
            ("Quanto costa la lampada?", Italian),
            ("Hebben jullie deze lamp in het blauw?", Dutch),
            ("Ile kosztuje lampa?", Polish),
            ("How much is the lamp?", English),
            ("price of Aurora Desk Lamp", English),
            ("AUR-0231", English),
            ("", English),
        ] {
            assert_eq!(Language::of(text), language, "{text}");
        }
    }
}
