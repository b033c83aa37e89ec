//! Facts: lines such as `price: 89.00`, and how they are stated.

use super::asks::Ask;
use super::language::Language;
use super::passages::Passage;
use super::question::{Question, is_code};
use super::stems::{Stems, stems};

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

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn is_of(&self, ask: Ask) -> bool {
        ask == Ask::Price && self.is("price") || ask == Ask::Stock && self.is("stock")
    }

    /// Whether a question asks for it, by its kind or its name, or has its value if that is a code.
    pub(super) fn is_asked(&self, question: &Question, rest: &Stems) -> bool {
        let has_kind = self.is("price") || self.is("stock");
        question.asks.iter().any(|ask| self.is_of(*ask))
            || !has_kind && !self.name_stems.is_disjoint(rest)
            || self.has_code(question)
    }

    /// Whether its value has one of some words.
    pub(super) fn has_value(&self, words: &Stems) -> bool {
        !self.is("currency")
            && !self.is("category")
            && self.stems.difference(&self.name_stems).any(|stem| words.contains(stem))
    }

    /// Whether it is an article number that the question has.
    pub(super) fn has_code(&self, question: &Question) -> bool {
        is_code(&self.value) && question.codes.contains(&self.value.to_lowercase())
    }

    /// Puts it into words without adding anything about the product.
    pub(super) fn state(&self, passage: &Passage, language: Language) -> String {
        let (title, value) = (passage.title.as_str(), self.value.as_str());
        let is_number = value.chars().all(|letter| letter.is_ascii_digit());
        match self.name.to_lowercase().as_str() {
            "price" => {
                let currency = passage.fact("currency").map(|fact| fact.value.as_str());
                let unit = currency.filter(|currency| !value.contains(currency));
                let unit = unit.map(|currency| format!(" {currency}")).unwrap_or_default();
                language.price(title, &format!("{value}{unit}"))
            }
            "stock" if value == "0" => language.out_of_stock(title),
            "stock" if is_number => language.in_stock(title, value),
            name => format!("{title}: {name} {value}."),
        }
    }
}
