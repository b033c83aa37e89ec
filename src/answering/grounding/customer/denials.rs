//! Denials in a clause: "no tent under 300", "it does not cost 50 €".

use super::limits::{range, words_before};
use crate::answering::grounding::{
    lexicon::{AFTER_NO, AND, NO_DENIALS, NONE, NOT, THERE_IS},
    phrases::{begins, ends, has},
    sentences::Word,
};

/// What a clause denies about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    None,
    /// Of a product.
    OfIt,
    /// That there is any.
    OfAny,
}

impl Denial {
    pub(super) fn find(clause: &[Word<'_>], place: usize) -> Self {
        let denials = (0..clause.len()).filter_map(|at| Some((at, denial(clause, at)?)));
        let mut found = Self::None;
        for (at, denial) in denials {
            let between = if at < place { &clause[at..place] } else { &clause[place..at] };
            // "no charge and 3 are in stock"; "under 50 € with no charge", but "unter 50 € haben wir kein Zelt".
            let is_apart = between.iter().any(|word| word.is(AND)) && range(clause, place).is_none();
            let reaches = at < place || has(between, THERE_IS);
            if is_apart || !(reaches || denial == Self::OfIt) {
                continue;
            }
            found = match denial {
                Self::OfIt if !has(clause, THERE_IS) => Self::OfIt,
                _ => return Self::OfAny,
            };
        }
        found
    }
}

fn denial(clause: &[Word<'_>], at: usize) -> Option<Denial> {
    let word = &clause[at];
    if begins(&clause[at..], NO_DENIALS) || ends(&clause[..=at], NO_DENIALS) {
        return None;
    }
    let is_of_it = word.is(NOT) || word.lower.ends_with("n't");
    if is_of_it || word.lower == "no" && begins(&clause[at + 1..], AFTER_NO) {
        return Some(Denial::OfIt);
    }
    word.is(NONE).then_some(Denial::OfAny)
}

/// Whether a number itself is denied: "it does not cost 50 €".
pub(super) fn denies(clause: &[Word<'_>], place: usize) -> bool {
    let before = words_before(clause, place);
    (before.len().saturating_sub(2)..before.len()).any(|at| denial(clause, at) == Some(Denial::OfIt))
}
