//! Checks an answer against its passages: its citations, numbers, article numbers and links.
//!
//! A price that no passage has is worse than no answer, and it is what models invent most easily. Numbers are compared by
//! value, in English or continental notation: `1,299.00` is `1299` and may be `1.299,00`. Numbers in words are not checked.
//! A number that the customer said may be repeated as the customer's (`customer.rs`).

use std::{cell::LazyCell, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answering::{
    Passage,
    object::stored::from_stored,
    sku::{normalize, word_runs},
};
mod citations;
mod customer;
mod lexicon;
mod measures;
mod numbers;
mod sentences;

pub use citations::{Citation, find_citations};
use customer::Customer;
use measures::has_digit;
use numbers::{is_article_number, numbers, values_of};
use sentences::sentences;

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
}

from_stored!(Grounding { checked, unsupported_numbers, invalid_citations, invalid_links });

impl Grounding {
    /// Checks the text of an answer; its citations are checked already. `customer` is everything the customer said.
    pub fn check(text: &str, passages: &[Passage], customer: &[&str], invalid_citations: Vec<u32>) -> Self {
        let known: Vec<_> = passages.iter().filter_map(|passage| passage.url.as_deref()).collect();
        let (text, links) = split_links(text);
        let mut invalid_links: Vec<_> =
            links.into_iter().filter(|link| !known.contains(&link.as_str())).collect();
        invalid_links.dedup();
        Self {
            checked: true,
            unsupported_numbers: unsupported_numbers(&text, passages, customer),
            invalid_citations,
            invalid_links,
        }
    }

    /// Whether the check found no fault.
    pub fn is_sound(&self) -> bool {
        self.unsupported_numbers.is_empty()
            && self.invalid_citations.is_empty()
            && self.invalid_links.is_empty()
    }
}

/// Removes the addresses from a text.
fn split_links(text: &str) -> (String, Vec<String>) {
    let (mut rest, mut kept, mut links) = (text, String::new(), Vec::new());
    let begins =
        |rest: &str| ["https://", "http://", "www."].iter().filter_map(|start| rest.find(start)).min();
    while let Some(start) = begins(rest) {
        let (before, link) = rest.split_at(start);
        let ends = |character: char| character.is_whitespace() || "<>\"'()[]{}|".contains(character);
        let (link, after) = link.split_at(link.find(ends).unwrap_or(link.len()));
        kept.push_str(before);
        kept.push(' ');
        links.push(link.trim_end_matches(['.', ',', ';', ':', '!', '?']).to_owned());
        rest = after;
    }
    kept.push_str(rest);
    (kept, links)
}

fn unsupported_numbers(text: &str, passages: &[Passage], customer: &[&str]) -> Vec<String> {
    let sentences = sentences(text);
    let clauses =
        sentences.iter().flat_map(|sentence| sentence.clauses.iter().map(move |clause| (sentence, clause)));
    let words =
        clauses.flat_map(|(sentence, clause)| (0..clause.len()).map(move |place| (sentence, clause, place)));
    let words: Vec<_> = words.filter(|(_, clause, place)| has_digit(&clause[*place])).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let (mut values, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for passage in passages {
        for text in [&passage.title, &passage.content, passage.metadata.get()] {
            values.extend(numbers(text).flat_map(values_of));
            codes.extend(word_runs(text));
        }
    }
    let is_supported = |word: &str| {
        let is_code = word.bytes().any(|byte| byte.is_ascii_alphabetic());
        // `250kg` is a number with its unit, which a passage may write as `250 kg`; `10:30` and `6-8` are two numbers.
        let is_named = is_code && codes.contains(&normalize(word));
        is_named
            || (!is_article_number(word)
                && numbers(word).all(|number| values_of(number).iter().any(|value| values.contains(value))))
    };
    let customer = LazyCell::new(|| Customer::new(customer, passages, &sentences));
    let mut unsupported: Vec<_> = words
        .into_iter()
        .filter(|(sentence, clause, place)| {
            !is_supported(clause[*place].text) && !customer.owns(sentence, clause, *place)
        })
        .map(|(_, clause, place)| clause[place].text.to_owned())
        .collect();
    unsupported.dedup();
    unsupported
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
