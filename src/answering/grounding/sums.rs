//! Sums that an answer names as such: "together 45.80", "3 kettles cost 135.00 in total".

use std::collections::BTreeSet;

use super::{
    customer::Customer,
    lexicon::TOTALS,
    measures::{Measure, measures_at},
    numbers::{ONE, Value, number_in_words},
    phrases::has,
    sentences::{Sentence, Word},
    units::{Kind, Unit},
};

/// The most sums that are tried.
const MAX_SUMS: usize = 4096;
/// The largest quantity that a price is multiplied by.
const MAX_QUANTITY: Value = 100;

/// What a sentence may reckon with.
pub(super) struct Sums<'a> {
    /// Whether it names a sum; otherwise it may still tell the price of as many as the customer asked for.
    is_total: bool,
    quantities: BTreeSet<Value>,
    asked: &'a BTreeSet<Value>,
    /// The supported numbers of the answer, and those of each passage.
    terms: [Vec<Vec<&'a Measure>>; 2],
}

impl<'a> Sums<'a> {
    pub(super) fn new(sentence: &Sentence<'_>, stated: &'a [Measure], customer: &'a Customer<'_>) -> Self {
        let is_equation = sentence.clauses.iter().flatten().any(|word| word.raw == "=");
        let is_total = is_equation || sentence.clauses.iter().any(|clause| has(clause, TOTALS));
        let said: BTreeSet<_> = sentence.clauses.iter().flat_map(|clause| quantities(clause)).collect();
        let asked = &customer.quantities;
        let quantities = if is_total { &said | asked } else { &said & asked };
        let passages = customer.cited(sentence).map(|passage| passage.measures.iter().collect());
        let terms = [stated.iter().map(|measure| vec![measure]).collect(), passages.collect()];
        Self { is_total, quantities, asked, terms }
    }

    /// Whether a number is a sum that the sentence names, the price of as many as the customer asked for, or how many.
    pub(super) fn support(&self, claim: &Measure) -> bool {
        if !self.is_total && (claim.unit.kind != Kind::Money || self.quantities.is_empty()) {
            return false;
        }
        let is_asked =
            claim.unit == Unit::BARE && claim.written.iter().any(|value| self.asked.contains(value));
        // A sum without a currency is money.
        let kind = if claim.unit.is_known() { claim.unit.kind } else { Kind::Money };
        let found = self.terms.iter().map(|terms| self.sums(terms, kind));
        let mut found = found.filter(|sums| claim.values().any(|value| value > 0 && sums.contains(&value)));
        self.is_total && is_asked || found.next().is_some()
    }

    /// Returns the sums of at most one amount of each group, each once or as often as a quantity says; without a total,
    /// only amounts of one group.
    fn sums(&self, groups: &[Vec<&Measure>], kind: Kind) -> BTreeSet<Value> {
        let factors = self.quantities.iter().map(|quantity| quantity / ONE);
        let factors: Vec<_> =
            factors.filter(|factor| (2..MAX_QUANTITY).contains(factor)).chain([1]).collect();
        let amounts = groups.iter().map(|group| {
            let of_kind = group.iter().filter(|measure| measure.unit.kind == kind);
            of_kind.flat_map(|measure| measure.values()).collect::<BTreeSet<_>>()
        });
        let mut sums = BTreeSet::from([0]);
        for amounts in amounts.collect::<BTreeSet<_>>() {
            let times = |amount: &Value| {
                factors.iter().map(|factor| amount.saturating_mul(*factor)).collect::<Vec<_>>()
            };
            let terms: Vec<_> = amounts.iter().flat_map(times).collect();
            if sums.len() * (terms.len() + 1) > MAX_SUMS {
                break;
            }
            let bases = if self.is_total { sums.iter().copied().collect() } else { vec![0] };
            sums.extend(
                bases.iter().flat_map(|sum: &Value| terms.iter().map(|term| sum.saturating_add(*term))),
            );
        }
        sums
    }
}

/// Finds the numbers that may say how many of something: "three kettles".
pub(super) fn quantities(words: &[Word<'_>]) -> Vec<Value> {
    let quantity = |place: usize| {
        let measures = measures_at(words, place).into_iter().filter(|measure| !measure.unit.is_known());
        number_in_words(&words[place].lower).into_iter().chain(measures.flat_map(|measure| measure.written))
    };
    (0..words.len()).flat_map(quantity).collect()
}
