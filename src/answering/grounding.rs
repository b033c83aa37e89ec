//! Checks an answer against its passages: its citations, numbers, article numbers and links.
//!
//! A price that no passage has is worse than no answer, and it is what models invent most easily.
//!
//! - Numbers are compared by value, in English or continental notation: `1,299.00` is `1299` and may be `1.299,00`.
//! - A number with a unit or a currency is compared with numbers of its kind, in any unit: `1.5 l` is `1500 ml`, and the
//!   price 45 supports no "45 cm". A number without one, on either side, is compared as written.
//! - A number in words, from 2 to 12, is checked where a unit follows it ("four people"), and supports digits.
//! - A sum is supported if the answer names it as one ("together") and its terms are (`sums.rs`).
//! - A number that the customer said may be repeated as the customer's (`customer.rs`).

use std::{cell::LazyCell, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answering::{Passage, object::stored::from_stored};

mod citations;
#[cfg(test)]
mod corpus;
mod customer;
mod facts;
mod lexicon;
mod measures;
mod numbers;
mod phrases;
mod sentences;
mod sums;
mod units;

pub use citations::{Citation, find_citations};
use customer::Customer;
use facts::Facts;
use lexicon::LABELS;
use measures::{Measure, has_digit, measures_at};
use numbers::ONE;
use sentences::{Sentence, Word, sentences};
use sums::Sums;
use units::Unit;

/// The most characters of an unsupported sentence that are told.
const MAX_SENTENCE: usize = 300;

/// The check of an answer against its passages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "crate::answering::object::stored::Stored")]
pub struct Grounding {
    /// Whether it was checked.
    pub checked: bool,
    /// Numbers and article numbers, as written, that no passage has and that are not the customer's own.
    pub unsupported_numbers: Vec<String>,
    /// Numbers in brackets that name no passage.
    pub invalid_citations: Vec<u32>,
    /// Addresses that are not those of the passages' documents.
    pub invalid_links: Vec<String>,
    /// The sentences with these numbers, citations and addresses, as written, each up to 300 characters.
    pub unsupported_sentences: Vec<String>,
}

from_stored!(Grounding {
    checked,
    unsupported_numbers,
    invalid_citations,
    invalid_links,
    unsupported_sentences
});

impl Grounding {
    /// Checks the text of an answer; its citations are checked already. `customer` is everything the customer said.
    pub fn check(text: &str, passages: &[Passage], customer: &[&str], invalid_citations: Vec<u32>) -> Self {
        let known: Vec<_> = passages.iter().filter_map(|passage| passage.url.as_deref()).collect();
        let sentences = sentences(text);
        let numbers = unsupported_numbers(&sentences, passages, customer);
        let mut grounding = Self { checked: true, invalid_citations, ..Self::default() };
        for (sentence, numbers) in sentences.iter().zip(numbers) {
            let links = sentence.links.iter().filter(|link| !known.contains(link));
            let links: Vec<_> = links.map(|link| (*link).to_owned()).collect();
            let cites_nothing = sentence.cited.iter().any(|number| !(1..=passages.len()).contains(number));
            if cites_nothing || !numbers.is_empty() || !links.is_empty() {
                grounding
                    .unsupported_sentences
                    .push(sentence.text(text).chars().take(MAX_SENTENCE).collect());
            }
            grounding.unsupported_numbers.extend(numbers);
            grounding.invalid_links.extend(links);
        }
        grounding.unsupported_numbers.dedup();
        grounding.invalid_links.dedup();
        grounding
    }

    /// Whether the check found no fault.
    pub fn is_sound(&self) -> bool {
        self.unsupported_numbers.is_empty()
            && self.invalid_citations.is_empty()
            && self.invalid_links.is_empty()
    }
}

/// A number in an answer that needs a passage, by the place of its word.
#[derive(Clone, Copy)]
struct Claim<'a> {
    clause: &'a [Word<'a>],
    place: usize,
}

impl Claim<'_> {
    fn word(&self) -> &Word<'_> {
        &self.clause[self.place]
    }

    fn measures(&self) -> Vec<Measure> {
        measures_at(self.clause, self.place)
    }

    /// Whether it only labels: "step 1".
    fn is_label(&self) -> bool {
        let before = self.place.checked_sub(1).map(|before| &self.clause[before]);
        self.word().text.len() == 1 && before.is_some_and(|before| before.is(LABELS))
    }
}

/// Finds the unsupported numbers of each sentence.
fn unsupported_numbers(
    sentences: &[Sentence<'_>],
    passages: &[Passage],
    customer: &[&str],
) -> Vec<Vec<String>> {
    let facts = LazyCell::new(|| Facts::new(passages));
    let is_fact = |claim: &Claim<'_>| claim.is_label() || facts.support(claim.clause, claim.place);
    let claims = sentences.iter().map(|sentence| claims(sentence).partition::<Vec<_>, _>(is_fact));
    let (supported, others): (Vec<_>, Vec<_>) = claims.unzip();
    if others.iter().all(Vec::is_empty) {
        return vec![Vec::new(); sentences.len()];
    }
    let customer = Customer::new(customer, &facts, sentences);
    let stated: Vec<_> = supported.iter().flatten().flat_map(Claim::measures).collect();
    let unsupported = |(sentence, claims): (&Sentence<'_>, Vec<Claim<'_>>)| {
        let sums = LazyCell::new(|| Sums::new(sentence, &stated, &customer));
        let is_supported = |claim: &Claim<'_>| {
            customer.owns(sentence, claim.clause, claim.place)
                || counts_cited(claim, &customer)
                || claim.measures().iter().all(|measure| sums.support(measure))
        };
        let claims = claims.iter().filter(|claim| !is_supported(claim));
        claims.map(|claim| claim.word().text.to_owned()).collect()
    };
    sentences.iter().zip(others).map(unsupported).collect()
}

fn claims<'a>(sentence: &'a Sentence<'a>) -> impl Iterator<Item = Claim<'a>> {
    let claims = |clause: &'a Vec<Word<'a>>| (0..clause.len()).map(move |place| Claim { clause, place });
    // A number in words counts something only with a unit: "two tents" may be those that the answer lists.
    let has_unit = |claim: &Claim<'_>| claim.measures().iter().any(|measure| measure.unit.is_known());
    sentence.clauses.iter().flat_map(claims).filter(move |claim| has_digit(claim.word()) || has_unit(claim))
}

/// Whether a number counts the passages that the answer cites: "there are 2 tents".
fn counts_cited(claim: &Claim<'_>, customer: &Customer<'_>) -> bool {
    let cited = BTreeSet::from_iter(&customer.cited).len();
    let count = i128::try_from(cited).map_or(0, |count| count * ONE);
    let is_count = |measure: &Measure| measure.unit == Unit::BARE && measure.written == [count];
    cited > 1 && claim.measures().iter().all(is_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(content: &str, metadata: &str) -> Passage {
        Passage {
            title: "Lamp LMP-310".into(),
            content: content.into(),
            url: Some("https://shop.example/p/1?a=2".into()),
            metadata: serde_json::from_str(metadata).unwrap(),
            ..Passage::default()
        }
    }

    fn wrong(text: &str) -> Vec<String> {
        let passages = [
            passage(
                "Weighs 2.5 kg, holds 250 kg. Set of 6, for 6-8 people. -20 °C.",
                r#"{"price": "1,299.00"}"#,
            ),
            passage("Costs 1.450,50 EUR or 89,- in the sale. Screws M8x40. Open 10:30.", r#"{"stock": 7}"#),
        ];
        Grounding::check(text, &passages, &[], Vec::new()).unsupported_numbers
    }

    #[test]
    fn numbers_are_those_of_the_passages_however_they_are_written() {
        for founded in [
            "It costs 1299, that is $1,299.00 or 1.299,00 € or 1'299.",
            "1450.50 EUR, 1,450.5 EUR",
            "Only 89.00! Or 89?",
            "It weighs 2.5kg (2,50 kg) and holds 250kg.",
            "For 6 to 8 people, 6-8; down to −20°C or -20 degrees.",
            "There are **7** in stock, at 10:30.",
            "lmp 310, LMP-310 and M8x40 screws",
            "1. First.\n2) Second.\n  3. Third",
            "No numbers at all",
        ] {
            assert_eq!(wrong(founded), [""; 0], "{founded}");
        }
    }

    #[test]
    fn a_number_that_no_passage_has_is_told_as_it_is_written() {
        for (invented, told) in [
            ("It costs 1,298.00.", "1,298.00"),
            ("It costs $99!", "99"),
            ("It weighs 25 kg", "25"),
            ("LMP-3100 is in stock", "LMP-3100"),
            ("LMP-250 is another one", "LMP-250"),
            ("M8x50 screws", "M8x50"),
            ("a discount of 20.5%", "20.5"),
            ("at 10:45", "10:45"),
            ("1.99 is the price", "1.99"),
            ("129.9", "129.9"),
            ("Sie kostet 1.451 €", "1.451"),
        ] {
            assert_eq!(wrong(invented), [told], "{invented}");
        }
    }

    #[test]
    fn the_sentences_that_no_passage_supports_are_told_as_written() {
        let passages = [passage("Weighs 2.5 kg.", r#"{"price": 89}"#)];
        let check = |text: &str| Grounding::check(text, &passages, &[], find_citations(text, 1).1);
        let answer = "It costs **89 €** [1], not 99 €. It weighs 2500 g.\nIt sleeps\u{a0}four people. See www.evil.example! [2]";
        let checked = check(answer);
        assert_eq!(checked.unsupported_numbers, ["99", "four"]);
        assert_eq!(
            checked.unsupported_sentences,
            ["It costs **89 €** [1], not 99 €.", "It sleeps\u{a0}four people.", "See www.evil.example!"]
        );
        assert_eq!(check("It is blue [3].").unsupported_sentences, ["It is blue [3]."]);
        assert_eq!(check("It weighs 2.5 kg.").unsupported_sentences, [""; 0]);
        assert_eq!(check(&"9 ".repeat(1000)).unsupported_sentences[0].len(), MAX_SENTENCE);
    }

    #[test]
    fn links_are_those_of_the_documents() {
        let passages = [passage("See https://evil.example/x", "{}")];
        let links = |text: &str| Grounding::check(text, &passages, &[], Vec::new()).invalid_links;
        assert_eq!(
            links("See [it](https://shop.example/p/1?a=2), or https://shop.example/p/1?a=2."),
            [""; 0]
        );
        assert_eq!(links("Pay at https://evil.example/x!"), ["https://evil.example/x"]);
        assert_eq!(links("www.evil.example"), ["www.evil.example"]);
        assert_eq!(
            links("https://shop.example/p/1?a=2&next=evil"),
            ["https://shop.example/p/1?a=2&next=evil"]
        );
    }
}
