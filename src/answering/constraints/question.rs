//! A question as words, and what kind of question it is.

use super::{
    lexicon, terms,
    words::{Word, read_question},
};

/// A question, split into words.
pub(super) struct Question<'a> {
    text: &'a str,
    /// Its words and signs.
    pub(super) words: Vec<Word>,
    /// Whether it has words that only English has. Words of other languages that English spells alike do not count then.
    pub(super) is_english: bool,
    /// Whether it asks whether a certain product has a property, as in "is it in stock?" or "do you have the shirt in
    /// blue?". The answer may be no: the property must not hide the product.
    pub(super) asks_yes_or_no: bool,
}

impl<'a> Question<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut question =
            Self { text, words: read_question(text), is_english: false, asks_yes_or_no: false };
        question.is_english = question.has_word(lexicon::ENGLISH);
        let asks = question.sentence_starts().any(|at| question.asks_about_one(at));
        question.asks_yes_or_no = asks;
        question
    }

    /// Returns whether the question is about the shop's terms or the use of a product. Its answer may be in a document
    /// that has no price, colour or size.
    pub(super) fn is_about_terms(&self) -> bool {
        self.has_word(terms::TERMS)
            || self.has_phrase(terms::TERM_PHRASES)
            || terms::TERM_STEMS
                .iter()
                .any(|stem| self.words.iter().any(|word| word.folded.starts_with(stem)))
            || self.sentence_starts().any(|at| {
                let second = self.at(at + 1);
                terms::REASONS.contains(&self.at(at))
                    || terms::HOWS.contains(&self.at(at)) && !terms::MEASURES.contains(&second)
            })
    }

    /// Returns whether the question names properties of products that it compares, or for which it seeks a replacement.
    pub(super) fn is_relative(&self) -> bool {
        self.is_choice()
            || self.has_word(lexicon::COMPARISONS)
            || self.has_word(lexicon::OTHERS)
            || self.has_phrase(lexicon::OTHER_PHRASES)
            || self.is_sold_out()
    }

    /// Returns whether the question asks which of some products is better: "which one is lighter, the red or the blue?".
    fn is_choice(&self) -> bool {
        // In English, the Dutch "of" is something else.
        let is_or = |word: &str| lexicon::ALTERNATIVES.contains(&word) && !(word == "of" && self.is_english);
        // "20 or more" and "less than 20" are limits.
        let is_limit = |at: usize| is_or(self.before(at, 1)) || lexicon::THANS.contains(&self.at(at + 1));
        let mut places = 0..self.words.len();
        self.words.iter().any(|word| is_or(&word.folded))
            && places.any(|at| lexicon::COMPARATIVES.contains(&self.at(at)) && !is_limit(at))
    }

    /// Returns whether something is said to be sold out, rather than wished not to be.
    fn is_sold_out(&self) -> bool {
        let is_said = |at: usize| {
            let is_here = lexicon::SOLD_OUT.contains(&self.at(at)) || self.phrase(at, "sold out").is_some();
            is_here && !self.is_negated(at)
        };
        (0..self.words.len()).any(is_said)
    }

    /// Returns whether what is at a place is the customer's own: "my red jacket", "I have a 20 l pack".
    pub(super) fn is_owned(&self, place: usize) -> bool {
        let before = (1..=4).map(|count| (self.before(place, count), self.before(place, count + 1)));
        let mut before =
            before.take_while(|(word, _)| !matches!(*word, "" | "," | "." | "?" | "!" | ":" | ";"));
        before.any(|(word, earlier)| match (word, earlier) {
            // In Italian, "ma" is "but".
            ("ma", ",") => false,
            ("have", earlier) => earlier == "i",
            (word, _) => lexicon::OWN.contains(&word),
        })
    }

    /// The folded word at a place; empty beyond the ends.
    pub(super) fn at(&self, place: usize) -> &str {
        self.words.get(place).map_or("", |word| word.folded.as_str())
    }

    /// The folded word some words before a place; empty before the start.
    pub(super) fn before(&self, place: usize, count: usize) -> &str {
        place.checked_sub(count).map_or("", |place| self.at(place))
    }

    pub(super) fn has_word(&self, list: &[&str]) -> bool {
        self.words.iter().any(|word| list.contains(&word.folded.as_str()))
    }

    fn has_phrase(&self, list: &[&str]) -> bool {
        list.iter().any(|phrase| (0..self.words.len()).any(|at| self.phrase(at, phrase).is_some()))
    }

    /// Returns how many words a phrase takes at a place; `None` if the question does not have it there.
    pub(super) fn phrase(&self, place: usize, phrase: &str) -> Option<usize> {
        let mut length = 0;
        for part in phrase.split(' ') {
            if self.at(place + length) != part {
                return None;
            }
            length += 1;
        }
        Some(length)
    }

    /// Returns whether a phrase ends, or the words go on with something that is no noun.
    pub(super) fn is_end(&self, place: usize) -> bool {
        self.words.get(place).is_none_or(|word| word.is_break)
            || lexicon::FUNCTION_WORDS.contains(&self.at(place))
    }

    /// Returns whether what starts at a place is negated: "not red", "anything but black", "nicht in Rot".
    pub(super) fn is_negated(&self, place: usize) -> bool {
        let mut at = place;
        while at > 0 {
            at -= 1;
            let word = self.at(at);
            let is_exception = word == "but" && lexicon::EVERYTHING.contains(&self.before(at, 1))
                || word == "than" && self.before(at, 1) == "other"
                || word == "than" && self.before(at, 2) == "another"
                || word == "of" && self.before(at, 1) == "instead"
                || word == "als" && self.before(at, 1) == "anders";
            if lexicon::NEGATIONS.contains(&word) || is_exception {
                return true;
            }
            if !lexicon::LINKS.contains(&word) || place - at > 5 {
                return false;
            }
        }
        false
    }

    /// The words from one place up to another, as in the question.
    pub(super) fn quote(&self, from: usize, to: usize) -> String {
        let words = self.words.get(from..to).unwrap_or_default();
        let span = words.first().zip(words.last()).map(|(first, last)| first.start..last.end);
        span.and_then(|span| self.text.get(span)).unwrap_or_default().to_owned()
    }

    /// Returns whether an apostrophe follows a word, as in "l'été".
    pub(super) fn is_elided(&self, place: usize) -> bool {
        let rest = self.words.get(place).and_then(|word| self.text.get(word.end..));
        rest.is_some_and(|rest| rest.starts_with(['\'', '’']))
    }

    /// Returns whether the question ends with a question mark.
    pub(super) fn has_question_mark(&self) -> bool {
        self.words.last().is_some_and(|word| word.folded == "?")
    }

    pub(super) fn is_sentence_start(&self, place: usize) -> bool {
        self.sentence_starts().any(|at| at == place)
    }

    fn sentence_starts(&self) -> impl Iterator<Item = usize> {
        let is_start = |at: &usize| {
            !self.words[*at].is_break
                && at.checked_sub(1).is_none_or(|before| {
                    let before = &self.words[before];
                    before.is_break && !matches!(before.folded.as_str(), "," | "(" | ")" | "")
                })
        };
        let greeted = self.words.iter().position(|word| word.folded == ",").filter(|at| *at <= 2);
        (0..self.words.len()).filter(is_start).chain(greeted.map(|at| at + 1))
    }

    /// Returns whether a sentence is a question for yes or no about one thing that it names.
    fn asks_about_one(&self, start: usize) -> bool {
        if lexicon::LEADS.contains(&self.at(start)) && self.asks_about_one(start + 1) {
            return true;
        }
        if let Some(length) = lexicon::OFFERS.iter().filter_map(|offer| self.phrase(start, offer)).max() {
            let mut at = start + length;
            while lexicon::FILLERS.contains(&self.at(at)) {
                at += 1;
            }
            return lexicon::DEFINITES.contains(&self.at(at));
        }
        lexicon::BEINGS.contains(&self.at(start)) && self.at(start + 1) != "there"
    }
}
