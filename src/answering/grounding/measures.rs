//! Numbers with their kinds: money, a unit, or unknown.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::answering::{
    Passage,
    grounding::{
        lexicon::{MONEY, UNITS, phrases},
        numbers::{is_article_number, numbers, values_of},
        sentences::{Word, words},
    },
};

/// The kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Money,
    Unit(&'static str),
    /// Without a known unit.
    Bare,
}

/// A number in a text, with every value that it may mean.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) values: Vec<f64>,
    pub(super) kind: Kind,
}

/// People count also where the noun is left out: "sleeps 6".
pub(super) const PEOPLE: Kind = Kind::Unit("people");

/// Parts of the names of columns that hold prices.
const PRICES: [&str; 6] = ["price", "preis", "prix", "precio", "cost", "kosten"];
/// Parts of the names of columns whose numbers measure nothing.
const COUNTS: [&str; 8] = ["stock", "bestand", "quantity", "qty", "sku", "ean", "gtin", "id"];

/// Whether a word marks the number beside it as money.
pub(super) fn is_money(word: &Word<'_>) -> bool {
    word.raw.contains(['€', '$', '£']) || phrases(MONEY).any(|money| money == letters(&word.lower))
}

/// Whether a word is the unit of the number before it.
pub(super) fn is_unit(word: &Word<'_>) -> bool {
    is_money(word) || unit(word).is_some()
}

fn unit(word: &Word<'_>) -> Option<Kind> {
    if word.raw.contains('%') {
        return Some(Kind::Unit("%"));
    }
    let letters = letters(&word.lower);
    let known = UNITS.iter().find(|(_, spellings)| phrases(spellings).any(|spelling| spelling == letters));
    known.map(|(name, _)| Kind::Unit(name))
}

/// A word without its number: `kg` of `2.5kg`.
fn letters(word: &str) -> &str {
    word.trim_matches(|character: char| !character.is_alphabetic())
}

/// Reads the kind of the number in a word from the word and its neighbours.
pub(super) fn kind(words: &[Word<'_>], place: usize) -> Kind {
    let before = place.checked_sub(1).and_then(|before| words.get(before));
    let after = words.get(place + 1).filter(|after| !has_digit(after));
    if [Some(&words[place]), after].into_iter().flatten().any(is_money) {
        return Kind::Money;
    }
    if let Some(unit) = unit(&words[place]).or_else(|| after.and_then(unit)) {
        return unit;
    }
    if before.is_some_and(|before| !has_digit(before) && is_money(before)) { Kind::Money } else { Kind::Bare }
}

pub(super) fn has_digit(word: &Word<'_>) -> bool {
    word.text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Returns the values that a number may have, for comparisons.
pub(super) fn sizes(number: &str) -> Vec<f64> {
    values_of(number).iter().filter_map(|value| value.parse().ok()).collect()
}

/// Finds the numbers of a text.
pub(super) fn measures(text: &str) -> Vec<Measure> {
    let words: Vec<_> = words(text).collect();
    let places = (0..words.len()).filter(|place| has_digit(&words[*place]));
    let places = places.filter(|place| !is_article_number(words[*place].text));
    let measures = places.flat_map(|place| {
        let kind = kind(&words, place);
        numbers(words[place].text).map(move |number| Measure { values: sizes(number), kind })
    });
    measures.collect()
}

/// Finds the sizes and prices in a passage.
pub(super) fn measure_passage(passage: &Passage) -> Vec<Measure> {
    let mut found = measures(&passage.title);
    found.extend(measures(&passage.content));
    let columns: BTreeMap<String, &RawValue> =
        serde_json::from_str(passage.metadata.get()).unwrap_or_default();
    for (name, raw) in columns {
        let name = name.to_lowercase();
        let is_price = PRICES.iter().any(|price| name.contains(price));
        if !is_price && COUNTS.iter().any(|count| name.contains(count)) {
            continue;
        }
        let measures = measures(raw.get()).into_iter();
        found.extend(
            measures.map(|measure| if is_price { Measure { kind: Kind::Money, ..measure } } else { measure }),
        );
    }
    found
}
