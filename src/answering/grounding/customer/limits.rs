//! Limits in a clause: "under 300", "from 200 to 300".

use crate::answering::grounding::{
    lexicon::{FILLERS, JOINS_RANGE, LOWER, LOWER_AFTER, OPENS_RANGE, UPPER, UPPER_AFTER},
    measures::{is_money, is_number, is_unit},
    phrases::{begins, ends},
    sentences::Word,
};

/// How a number limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Most,
    Least,
}

impl Bound {
    pub(super) fn opposite(self) -> Self {
        if self == Self::Most { Self::Least } else { Self::Most }
    }
}

/// Finds the limits in a clause.
pub(super) fn limits(clause: &[Word<'_>]) -> Vec<(Bound, usize)> {
    let places = (0..clause.len()).filter(|place| is_number(&clause[*place]));
    places.filter_map(|place| bound(clause, place).map(|bound| (bound, place))).collect()
}

/// Reads how a number limits from the words before and after it.
pub(super) fn bound(clause: &[Word<'_>], place: usize) -> Option<Bound> {
    let before = words_before(clause, place);
    // `bis` is a limit on its own, and also ends a range.
    if let Some(bound) = range(clause, place) {
        return Some(bound);
    }
    let after = &clause[end_of_measure(clause, place)..];
    if ends(before, UPPER) || begins(after, UPPER_AFTER) {
        return Some(Bound::Most);
    }
    (ends(before, LOWER) || begins(after, LOWER_AFTER)).then_some(Bound::Least)
}

/// Returns which end of a range a number is.
pub(super) fn range(clause: &[Word<'_>], place: usize) -> Option<Bound> {
    let first = words_before(clause, place);
    let next = end_of_measure(clause, place);
    let goes_on = clause.get(next).is_some_and(|word| word.is(JOINS_RANGE))
        && clause[next + 1..].iter().find(|word| !is_money(word)).is_some_and(is_number);
    if goes_on && ends(first, OPENS_RANGE) {
        return Some(Bound::Least);
    }
    let (join, rest) = first.split_last()?;
    let rest = rest.iter().rposition(|word| !is_unit(word) || is_number(word)).map(|end| &rest[..=end])?;
    let other = rest.len().checked_sub(1).filter(|_| join.is(JOINS_RANGE))?;
    (is_number(&rest[other]) && ends(words_before(rest, other), OPENS_RANGE)).then_some(Bound::Most)
}

/// Returns the words before a number, without fillers.
pub(super) fn words_before<'a, 'b>(clause: &'a [Word<'b>], place: usize) -> &'a [Word<'b>] {
    let is_filler = |word: &Word<'_>| !is_number(word) && (is_money(word) || word.is(FILLERS));
    let end = clause[..place].iter().rposition(|word| !is_filler(word)).map_or(0, |end| end + 1);
    // "maximum of", where `of` belongs to the limit.
    let whole = &clause[..place];
    if ends(whole, UPPER) || ends(whole, LOWER) { whole } else { &clause[..end] }
}

/// Returns the place after a number and its unit.
fn end_of_measure(clause: &[Word<'_>], place: usize) -> usize {
    let next = clause[place + 1..].iter().position(|word| is_number(word) || !is_unit(word));
    next.map_or(clause.len(), |next| place + 1 + next)
}
