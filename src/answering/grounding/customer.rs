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
        lexicon::{ASSERTS, CUSTOMER, POSSESSIVES, SIZES, WISHES, WISHES_ALONE},
        measures::{Kind, Measure, PEOPLE, has_digit, is_money, kind, measure_passage, measures, sizes},
        numbers::{is_article_number, numbers, values_of},
        sentences::{Sentence, Word},
    },
};

mod denials;
mod limits;
mod phrases;

use denials::{Denial, denies};
use limits::{Bound, bound, limits, range};
use phrases::has;

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
