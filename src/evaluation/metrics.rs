//! Figures of graded questions.
//!
//! Documents are ranked, not chunks: a document has the rank of its nearest chunk.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    answering::handover::Signals,
    evaluation::{compare::Outcome, golden::Case},
};

/// The result of a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grade {
    /// The rank of each expected document that was found, from 1.
    pub ranks: Vec<usize>,
    /// Cosine distance of the nearest passage; zero if the question names a document.
    pub nearest: Option<f64>,
    /// What is known of the question and its passages.
    pub signals: Signals,
    /// Whether a human is asked for.
    pub escalated: bool,
    /// Whether the answer contains the expected texts; `None` if there is no answer or none are expected.
    pub has_expected_text: Option<bool>,
    /// Whether the answer claims what no passage says.
    pub ungrounded: bool,
    /// What the question got.
    pub outcome: Outcome,
}

/// Averages over questions; `None` where no question has the figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Questions.
    pub queries: usize,
    /// Of the answerable questions: the share whose first document is right.
    pub hit_at_1: Option<f64>,
    /// The share with a right one among the first five.
    pub hit_at_5: Option<f64>,
    /// The mean of 1/rank of the first right one, of ten.
    pub mrr: Option<f64>,
    /// Normalized discounted cumulative gain of the first ten.
    pub ndcg_at_10: Option<f64>,
    /// Of the questions that were handed over: the share that had to be.
    pub escalation_precision: Option<f64>,
    /// Of the questions that had to be handed over: the share that were.
    pub escalation_recall: Option<f64>,
    /// The mean of that recall and of the share of answerable questions that were kept.
    pub escalation_balanced_accuracy: Option<f64>,
    /// Of the answers with expected texts: the share that contains them.
    pub answer_contains: Option<f64>,
    /// Answers that claim what no passage says.
    pub grounding_failures: usize,
}

/// The length of a ranking.
pub const DEPTH: usize = 10;

/// Averages grades.
pub fn report<'a>(graded: impl IntoIterator<Item = &'a (Case, Grade)>) -> Report {
    let graded: Vec<_> = graded.into_iter().collect();
    let (answerable, unanswerable): (Vec<_>, Vec<_>) =
        graded.iter().copied().partition(|(case, _)| case.is_answerable());
    let first = |graded: &Grade| graded.ranks.first().copied().filter(|rank| *rank <= DEPTH);
    let hit = |limit: usize| {
        mean(answerable.iter().map(|(_, graded)| share(first(graded).is_some_and(|rank| rank <= limit))))
    };
    let recall = mean(unanswerable.iter().map(|(_, graded)| share(graded.escalated)));
    let kept = mean(answerable.iter().map(|(_, graded)| share(!graded.escalated)));
    let escalated = graded.iter().filter(|(_, graded)| graded.escalated);
    Report {
        queries: graded.len(),
        hit_at_1: hit(1),
        hit_at_5: hit(5),
        mrr: mean(answerable.iter().map(|(_, graded)| first(graded).map_or(0.0, |rank| 1.0 / float(rank)))),
        ndcg_at_10: mean(answerable.iter().map(|(case, graded)| ndcg(case.expected.len(), &graded.ranks))),
        escalation_precision: mean(escalated.map(|(case, _)| share(!case.is_answerable()))),
        escalation_recall: recall,
        escalation_balanced_accuracy: recall.zip(kept).map(|(recall, kept)| f64::midpoint(recall, kept)),
        answer_contains: mean(graded.iter().filter_map(|(_, graded)| graded.has_expected_text).map(share)),
        grounding_failures: graded.iter().filter(|(_, graded)| graded.ungrounded).count(),
    }
}

/// Averages the grades of each kind of question.
pub fn report_by_kind(graded: &[(Case, Grade)]) -> BTreeMap<&str, Report> {
    let kinds: BTreeSet<_> = graded.iter().map(|(case, _)| case.kind.as_str()).collect();
    kinds
        .into_iter()
        .map(|kind| (kind, report(graded.iter().filter(|(case, _)| case.kind == kind))))
        .collect()
}

fn ndcg(expected: usize, ranks: &[usize]) -> f64 {
    let gain = |rank: usize| 1.0 / (float(rank) + 1.0).log2();
    let best: f64 = (1..=expected.min(DEPTH)).map(gain).sum();
    ranks.iter().filter(|rank| **rank <= DEPTH).map(|rank| gain(*rank)).sum::<f64>() / best
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / float(count))
}

pub(super) fn share(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[expect(clippy::cast_precision_loss, reason = "no golden set has 2^52 questions")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::golden::tests::case;

    #[test]
    fn figures_are_those_of_the_textbook() {
        let found = |ranks: &[usize], expected: &[&str]| {
            (case(expected), Grade { ranks: ranks.to_vec(), ..Grade::default() })
        };
        let graded =
            [found(&[1], &["a"]), found(&[2, 4], &["a", "b"]), found(&[], &["a"]), found(&[11], &["a"])];
        let report = report(&graded);
        assert_eq!((report.queries, report.hit_at_1, report.hit_at_5), (4, Some(0.25), Some(0.5)));
        assert_eq!(report.mrr, Some(0.375));
        // (1/log2(3) + 1/log2(5)) / (1/log2(2) + 1/log2(3)) of the second.
        let second = (0.630_93 + 0.430_68) / 1.630_93;
        assert!((report.ndcg_at_10.unwrap() - (1.0 + second) / 4.0).abs() < 1e-4);
        assert_eq!((report.escalation_recall, report.escalation_precision), (None, None));
    }

    #[test]
    fn escalation_is_judged_by_who_had_to_be_handed_over() {
        let with = |expected: &[&str], escalated| (case(expected), Grade { escalated, ..Grade::default() });
        let graded =
            [with(&["a"], false), with(&["a"], true), with(&[], true), with(&[], true), with(&[], false)];
        let report = report(&graded);
        assert_eq!(report.escalation_precision, Some(2.0 / 3.0));
        assert_eq!(report.escalation_recall, Some(2.0 / 3.0));
        assert_eq!(report.escalation_balanced_accuracy, Some(f64::midpoint(2.0 / 3.0, 0.5)));
    }
}
