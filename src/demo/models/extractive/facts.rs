//! Facts: lines such as `price: 89.00`, and how they are stated.

use super::stems::{Stems, stems};
use super::{MAX_QUOTES, all_stems, boost, passages::Passage, weights::Weights};

/// The share that a passage must contain for a fact to be stated: another product's price is worse than none.
pub(super) const FACT_COVERAGE: f64 = 0.6;

#[derive(Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) name_stems: Stems,
    pub(super) stems: Stems,
}

impl Fact {
    /// Parses a name of up to three words, a colon, and a value that is not a sentence.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (name, value) = line.split_once(": ")?;
        let value = value.trim();
        let is_name = name.split_whitespace().count() <= 3
            && name.len() <= 30
            && name.starts_with(char::is_alphabetic)
            && name.chars().all(|letter| letter.is_alphanumeric() || " _-".contains(letter));
        (is_name && !value.is_empty() && !value.ends_with(['.', '!', '?'])).then(|| Self {
            name: name.to_owned(),
            value: value.to_owned(),
            name_stems: stems(name),
            stems: stems(line),
        })
    }
}

/// States the facts that the question names, from the passage that fits the rest of the question best.
pub(super) fn state_facts(passages: &[Passage], asked: &Stems, weights: &Weights) -> Option<String> {
    let mut best: Option<(f64, &Passage, Vec<&Fact>)> = None;
    for (place, passage) in passages.iter().enumerate() {
        let facts: Vec<_> = passage.facts.iter().filter(|fact| !fact.name_stems.is_disjoint(asked)).collect();
        let rest = asked
            .iter()
            .filter(|stem| !facts.iter().any(|fact| fact.name_stems.contains(*stem)))
            .cloned()
            .collect();
        if facts.is_empty() || weights.coverage(&rest, &all_stems(passage)) < FACT_COVERAGE {
            continue;
        }
        let score = boost(place) * (1.0 + weights.title_fit(&rest, &passage.title_stems));
        if best.as_ref().is_none_or(|(so_far, ..)| score > *so_far) {
            best = Some((score, passage, facts));
        }
    }
    let (_, passage, facts) = best?;
    let stated =
        facts.iter().take(MAX_QUOTES).map(|fact| format!("{} [{}]", state(fact, passage), passage.number));
    Some(stated.collect::<Vec<_>>().join(" "))
}

/// Puts a fact into words without adding anything about the product.
pub(super) fn state(fact: &Fact, passage: &Passage) -> String {
    let (title, value) = (passage.title.as_str(), fact.value.as_str());
    let is_number = value.chars().all(|letter| letter.is_ascii_digit());
    match fact.name.to_lowercase().as_str() {
        "price" => {
            let currency = passage.fact("currency").filter(|currency| !value.contains(currency));
            let unit = currency.map(|currency| format!(" {currency}")).unwrap_or_default();
            format!("The price of {title} is {value}{unit}.")
        }
        "stock" if value == "0" => format!("{title} is out of stock."),
        "stock" if is_number => format!("{title} is in stock: {value} available."),
        name => format!("{title}: {name} {value}."),
    }
}
