//! The customer's own numbers: "a tent under 300" may be answered with "none under 300".
//!
//! A number that no passage has, but the customer said, may be repeated as the customer's: as a limit, a budget or a
//! wish, or to deny it, if the words of the same clause mark it as that. The price, stock or size of a product needs a
//! passage.
//!
//! - An asserted limit ("yes, it is under 50 €") must hold for a number of the same kind in the passages that the sentence
//!   cites; without these, in those that the answer cites, or in any. Money is always a limit: "for your 50 € you get it"
//!   asserts that it costs 50 € at most.
//! - A limit denied of the whole shop ("no tent under 300") may be repeated; one denied of a product ("it is not over
//!   50 €") asserts the opposite limit.
//! - A wish ("the size 44 that you asked for") may be repeated unless the clause asserts that a product has or fits it.

use std::collections::BTreeSet;

use crate::answering::{
    Passage,
    grounding::{
        is_article_number,
        lexicon::{
            AFTER_NO, AND, ASSERTS, CUSTOMER, FILLERS, JOINS_RANGE, LOWER, LOWER_AFTER, NO_DENIALS, NONE,
            NOT, OPENS_RANGE, POSSESSIVES, SIZES, THERE_IS, UPPER, UPPER_AFTER, WISHES, WISHES_ALONE,
            phrases,
        },
        measures::{
            Kind, Measure, PEOPLE, has_digit, is_money, is_unit, kind, measure_passage, measures, sizes,
        },
        numbers,
        sentences::{Sentence, Word},
        values_of,
    },
};

/// How a number limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Most,
    Least,
}

impl Bound {
    fn opposite(self) -> Self {
        if self == Self::Most { Self::Least } else { Self::Most }
    }
}

/// The numbers that a customer said, and the passages to compare them with.
pub(super) struct Customer {
    said: BTreeSet<String>,
    measures: Vec<Measure>,
    passages: Vec<Vec<Measure>>,
    /// The passages that the answer cites.
    cited: Vec<usize>,
}

impl Customer {
    /// Reads the customer's texts, to check an answer from these passages.
    pub(super) fn new(texts: &[&str], passages: &[Passage], answer: &[Sentence<'_>]) -> Self {
        Self {
            said: texts.iter().flat_map(|text| numbers(text)).flat_map(values_of).collect(),
            measures: texts.iter().flat_map(|text| measures(text)).collect(),
            passages: passages.iter().map(measure_passage).collect(),
            cited: answer.iter().flat_map(|sentence| &sentence.cited).copied().collect(),
        }
    }

    /// Whether a number that no passage has is the customer's own.
    pub(super) fn owns(&self, sentence: &Sentence<'_>, clause: &[Word<'_>], place: usize) -> bool {
        let word = clause[place].text;
        let is_said = |number: &str| values_of(number).iter().any(|value| self.said.contains(value));
        if is_article_number(word) || !numbers(word).all(is_said) {
            return false;
        }
        let kind = self.kind(clause, place);
        let denial = Denial::find(clause, place);
        if let Some(bound) = bound(clause, place) {
            return match denial {
                Denial::OfAny => true,
                Denial::OfIt => self.holds(&[(bound.opposite(), place)], kind, sentence, clause),
                Denial::None => self.holds(&limits(clause), kind, sentence, clause),
            };
        }
        if let Some((least, most)) = word.split_once(['-', '–'])
            && numbers(word).count() == 2
        {
            let (least, most) = (sizes(least), sizes(most));
            return denial == Denial::OfAny
                || self.candidates(kind, Bound::Most, sentence).any(|value| {
                    least.iter().any(|least| value >= *least) && most.iter().any(|most| value <= *most)
                });
        }
        let is_wish = is_wished(clause, place);
        match kind {
            Kind::Money if is_wish => self.holds(&[(Bound::Most, place)], kind, sentence, clause),
            Kind::Money => denies(clause, place),
            _ if denial != Denial::None => true,
            _ => is_wish && !asserts(clause),
        }
    }

    /// Returns the kind of a number, by the answer or by the customer.
    fn kind(&self, clause: &[Word<'_>], place: usize) -> Kind {
        let own = kind(clause, place);
        if own != Kind::Bare {
            return own;
        }
        // "from 200 to 300 €": the last of them has the unit.
        if range(clause, place) == Some(Bound::Least)
            && let Some(other) = (place + 1..clause.len()).find(|other| has_digit(&clause[*other]))
        {
            return self.kind(clause, other);
        }
        let values: Vec<_> = numbers(clause[place].text).flat_map(sizes).collect();
        let is_same = |measure: &&Measure| measure.values.iter().any(|value| values.contains(value));
        let mut kinds = self.measures.iter().filter(is_same).map(|measure| measure.kind);
        kinds.find(|kind| *kind != Kind::Bare).unwrap_or(Kind::Bare)
    }

    /// Whether one number of the passages meets all these limits.
    fn holds(
        &self,
        limits: &[(Bound, usize)],
        kind: Kind,
        sentence: &Sentence<'_>,
        clause: &[Word<'_>],
    ) -> bool {
        let limits: Vec<_> = limits
            .iter()
            .filter(|(_, place)| self.kind(clause, *place) == kind)
            .map(|(bound, place)| (*bound, numbers(clause[*place].text).flat_map(sizes).collect::<Vec<_>>()))
            .collect();
        let Some((first, _)) = limits.first() else { return false };
        self.candidates(kind, *first, sentence).any(|value| {
            limits.iter().all(|(bound, sizes)| {
                sizes.iter().any(|size| match bound {
                    Bound::Most => value <= *size,
                    Bound::Least => value >= *size,
                })
            })
        })
    }

    /// Returns the numbers of passages that a limit may apply to. An upper limit without a unit is most likely a price, a
    /// lower one a size.
    fn candidates(&self, kind: Kind, bound: Bound, sentence: &Sentence<'_>) -> impl Iterator<Item = f64> {
        let cited = if sentence.cited.is_empty() { &self.cited } else { &sentence.cited };
        let is_cited = |number: usize| cited.is_empty() || cited.contains(&number);
        let passages = (1..).zip(&self.passages).filter(|(number, _)| is_cited(*number));
        let known: Vec<_> = passages.flat_map(|(_, measures)| measures).collect();
        let has = |kind: Kind| known.iter().any(|measure| measure.kind == kind);
        let kinds = match (kind, bound) {
            (Kind::Bare, Bound::Most) if has(Kind::Money) => [Kind::Money; 2],
            (Kind::Bare, Bound::Least) if !has(Kind::Bare) => [Kind::Money; 2],
            (PEOPLE, _) => [PEOPLE, Kind::Bare],
            (kind, _) => [kind; 2],
        };
        let values = known.into_iter().filter(move |measure| kinds.contains(&measure.kind));
        values.flat_map(|measure| measure.values.iter().copied()).collect::<Vec<_>>().into_iter()
    }
}

/// Finds the limits in a clause.
fn limits(clause: &[Word<'_>]) -> Vec<(Bound, usize)> {
    let places = (0..clause.len()).filter(|place| has_digit(&clause[*place]));
    places.filter_map(|place| bound(clause, place).map(|bound| (bound, place))).collect()
}

/// Reads how a number limits from the words before and after it.
fn bound(clause: &[Word<'_>], place: usize) -> Option<Bound> {
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
fn range(clause: &[Word<'_>], place: usize) -> Option<Bound> {
    let first = words_before(clause, place);
    let next = end_of_measure(clause, place);
    let goes_on = clause.get(next).is_some_and(|word| word.is(JOINS_RANGE))
        && clause[next + 1..].iter().find(|word| !is_money(word)).is_some_and(has_digit);
    if goes_on && ends(first, OPENS_RANGE) {
        return Some(Bound::Least);
    }
    let (join, rest) = first.split_last()?;
    let rest = rest.iter().rposition(|word| !is_unit(word) || has_digit(word)).map(|end| &rest[..=end])?;
    let other = rest.len().checked_sub(1).filter(|_| join.is(JOINS_RANGE))?;
    (has_digit(&rest[other]) && ends(words_before(rest, other), OPENS_RANGE)).then_some(Bound::Most)
}

/// Returns the words before a number, without fillers.
fn words_before<'a, 'b>(clause: &'a [Word<'b>], place: usize) -> &'a [Word<'b>] {
    let is_filler = |word: &Word<'_>| !has_digit(word) && (is_money(word) || word.is(FILLERS));
    let end = clause[..place].iter().rposition(|word| !is_filler(word)).map_or(0, |end| end + 1);
    // "maximum of", where `of` belongs to the limit.
    let whole = &clause[..place];
    if ends(whole, UPPER) || ends(whole, LOWER) { whole } else { &clause[..end] }
}

/// Returns the place after a number and its unit.
fn end_of_measure(clause: &[Word<'_>], place: usize) -> usize {
    let next = clause[place + 1..].iter().position(|word| has_digit(word) || !is_unit(word));
    next.map_or(clause.len(), |next| place + 1 + next)
}

/// Whether words end in one of these phrases.
fn ends(words: &[Word<'_>], list: &str) -> bool {
    phrases(list).any(|phrase| {
        let length = phrase.split(' ').count();
        words.len() >= length && is_phrase(&words[words.len() - length..], phrase)
    })
}

/// Whether words begin with one of these phrases.
fn begins(words: &[Word<'_>], list: &str) -> bool {
    phrases(list).any(|phrase| is_phrase(words, phrase))
}

/// Whether words contain one of these phrases.
fn has(words: &[Word<'_>], list: &str) -> bool {
    (0..words.len()).any(|start| begins(&words[start..], list))
}

fn is_phrase(words: &[Word<'_>], phrase: &str) -> bool {
    let parts: Vec<_> = phrase.split(' ').collect();
    words.len() >= parts.len() && words.iter().zip(parts).all(|(word, part)| word.lower == part)
}

/// What a clause denies about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    None,
    /// Of a product.
    OfIt,
    /// That there is any.
    OfAny,
}

impl Denial {
    fn find(clause: &[Word<'_>], place: usize) -> Self {
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
fn denies(clause: &[Word<'_>], place: usize) -> bool {
    let before = words_before(clause, place);
    (before.len().saturating_sub(2)..before.len()).any(|at| denial(clause, at) == Some(Denial::OfIt))
}

/// Whether a clause marks a number as the customer's wish.
fn is_wished(clause: &[Word<'_>], place: usize) -> bool {
    let own = clause[..place].iter().rposition(|word| !word.is(SIZES) && !is_money(word));
    if own.is_some_and(|own| place - own <= 3 && clause[own].is(POSSESSIVES)) {
        return true;
    }
    let says = |at: usize| {
        let near = at.saturating_sub(3)..(at + 4).min(clause.len());
        clause[at].is(WISHES) && clause[near].iter().any(|word| word.is(CUSTOMER))
    };
    (0..clause.len()).any(|at| says(at) || clause[at].is(WISHES_ALONE))
}

/// Whether a clause asserts that a product has, fits or costs the wish.
fn asserts(clause: &[Word<'_>]) -> bool {
    has(clause, ASSERTS)
}

#[cfg(test)]
mod tests;
