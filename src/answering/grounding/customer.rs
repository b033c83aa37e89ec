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

use crate::answering::grounding::{
    facts::{Facts, PassageFacts},
    lexicon::{ASSERTS, CUSTOMER, FOR, OF, POSSESSIVES, RECOMMENDS, SIZES, WISHES, WISHES_ALONE},
    measures::{Measure, is_money, is_number, measures, measures_at},
    numbers::{Value, is_article_number},
    phrases::has,
    sentences::{Sentence, Word, words},
    sums::quantities,
    units::{Kind, PEOPLE, Unit},
};

mod denials;
mod limits;

use denials::{Denial, denies};
use limits::{Bound, bound, limits, range};

/// The numbers that a customer said, and the passages to compare them with.
pub(super) struct Customer<'a> {
    said: Vec<Measure>,
    /// How many the customer may want.
    pub(super) quantities: BTreeSet<Value>,
    passages: &'a [PassageFacts],
    /// The passages that the answer cites.
    pub(super) cited: Vec<usize>,
}

impl<'a> Customer<'a> {
    /// Reads the customer's texts, to check an answer from these passages.
    pub(super) fn new(texts: &[&str], facts: &'a Facts<'_>, answer: &[Sentence<'_>]) -> Self {
        Self {
            said: texts.iter().flat_map(|text| measures(text)).collect(),
            quantities: texts.iter().flat_map(|text| quantities(&words(text).collect::<Vec<_>>())).collect(),
            passages: &facts.passages,
            cited: answer.iter().flat_map(|sentence| &sentence.cited).copied().collect(),
        }
    }

    /// Whether a number that no passage has is the customer's own.
    pub(super) fn owns(&self, sentence: &Sentence<'_>, clause: &[Word<'_>], place: usize) -> bool {
        let measures = measures_at(clause, place);
        let is_said = |measure: &Measure| {
            self.said.iter().any(|said| said.is_written_as(measure) || said.equals(measure))
        };
        if is_article_number(clause[place].text) || !measures.iter().all(is_said) {
            return false;
        }
        let kind = self.unit(clause, place).kind;
        let denial = Denial::find(clause, place);
        if let Some(bound) = bound(clause, place) {
            return match denial {
                Denial::OfAny => true,
                Denial::OfIt => self.holds(&[(bound.opposite(), place)], kind, sentence, clause),
                Denial::None => self.holds(&limits(clause), kind, sentence, clause),
            };
        }
        if let [least, most] = &measures[..] {
            return denial == Denial::OfAny
                || self.candidates(kind, Bound::Most, sentence).any(|value| {
                    least.values().any(|least| value >= least) && most.values().any(|most| value <= most)
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

    /// Returns the unit of a number, by the answer or by the customer.
    fn unit(&self, clause: &[Word<'_>], place: usize) -> Unit {
        let measures = measures_at(clause, place);
        let Some(own) = measures.first().filter(|own| !own.unit.is_known()) else {
            return measures.first().map_or(Unit::BARE, |own| own.unit);
        };
        // "from 200 to 300 €": the last of them has the unit.
        if range(clause, place) == Some(Bound::Least)
            && let Some(other) = (place + 1..clause.len()).find(|other| is_number(&clause[*other]))
        {
            return self.unit(clause, other);
        }
        let mut units = self.said.iter().filter(|said| said.is_written_as(own)).map(|said| said.unit);
        units.find(|unit| unit.is_known()).unwrap_or(Unit::BARE)
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
            .map(|(bound, place)| (*bound, self.unit(clause, *place), measures_at(clause, *place)))
            .filter(|(_, unit, _)| unit.kind == kind)
            .map(|(bound, unit, measures)| {
                let values = measures.into_iter().flat_map(|measure| measure.written);
                (bound, values.map(|value| unit.convert(value)).collect::<Vec<_>>())
            })
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
    fn candidates(&self, kind: Kind, bound: Bound, sentence: &Sentence<'_>) -> impl Iterator<Item = Value> {
        let known: Vec<_> = self.cited(sentence).flat_map(|passage| &passage.measures).collect();
        let has = |kind: Kind| known.iter().any(|measure| measure.unit.kind == kind);
        let kinds = match (kind, bound) {
            (Kind::Bare, Bound::Most) if has(Kind::Money) => [Kind::Money; 3],
            (Kind::Bare, Bound::Least) if !has(Kind::Bare) => [Kind::Money; 3],
            (PEOPLE, _) => [PEOPLE, Kind::Bare, Kind::Count],
            (kind, _) => [kind; 3],
        };
        known.into_iter().filter(move |measure| kinds.contains(&measure.unit.kind)).flat_map(Measure::values)
    }

    /// Returns the passages that a sentence cites, or the answer, or all.
    pub(super) fn cited(&self, sentence: &Sentence<'_>) -> impl Iterator<Item = &'a PassageFacts> {
        let cited = if sentence.cited.is_empty() { self.cited.clone() } else { sentence.cited.clone() };
        let passages = (1..).zip(self.passages);
        passages
            .filter(move |(number, _)| cited.is_empty() || cited.contains(number))
            .map(|(_, passage)| passage)
    }
}

/// Whether a clause marks a number as the customer's wish.
fn is_wished(clause: &[Word<'_>], place: usize) -> bool {
    let own = clause[..place].iter().rposition(|word| !word.is(SIZES) && !is_money(word));
    if own.is_some_and(|own| place - own <= 3 && clause[own].is(POSSESSIVES)) {
        return true;
    }
    // "Your niche of 2 m."
    if let [.., own, _, of] = &clause[..place]
        && own.is(POSSESSIVES)
        && of.is(OF)
    {
        return true;
    }
    let says = |at: usize| {
        let near = at.saturating_sub(3)..(at + 4).min(clause.len());
        clause[at].is(WISHES) && clause[near].iter().any(|word| word.is(CUSTOMER))
    };
    // "For 4 people I recommend the Vidda."
    let is_condition = clause[..place].last().is_some_and(|word| word.is(FOR)) && has(clause, RECOMMENDS);
    is_condition || (0..clause.len()).any(|at| says(at) || clause[at].is(WISHES_ALONE))
}

/// Whether a clause asserts that a product has, fits or costs the wish.
fn asserts(clause: &[Word<'_>]) -> bool {
    has(clause, ASSERTS)
}

#[cfg(test)]
mod tests;
