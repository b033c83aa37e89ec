//! Compares the answers of two settings to the same questions.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    catalogue::DocumentId,
    evaluation::{
        golden::Case,
        metrics::{Grade, mean, share},
    },
};

/// What a question got.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Outcome {
    /// The documents of the passages, the best first.
    pub documents: Vec<DocumentId>,
    pub answer: Option<String>,
    pub handed_over: bool,
    /// In dollars.
    pub cost: f64,
}

/// A question and what it got by each of two settings.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Compared {
    pub id: String,
    pub question: String,
    pub before: Outcome,
    pub after: Outcome,
}

impl Compared {
    /// Pairs what a golden set, or real questions, got by two settings.
    pub fn pair(before: &[(Case, Grade)], after: &[(Case, Grade)]) -> Vec<Self> {
        let pairs = before.iter().zip(after).map(|((case, before), (_, after))| Self {
            id: case.id.clone(),
            question: case.question.clone(),
            before: before.outcome.clone(),
            after: after.outcome.clone(),
        });
        pairs.collect()
    }

    /// Whether other documents, or the same in another order, were found.
    pub fn finds_differently(&self) -> bool {
        self.before.documents != self.after.documents
    }

    /// Whether the answer has other words.
    pub fn says_differently(&self) -> bool {
        self.before.answer != self.after.answer
    }

    /// Whether one of the two asks for a human and the other does not.
    pub fn decides_differently(&self) -> bool {
        self.before.handed_over != self.after.handed_over
    }

    fn shared(&self) -> f64 {
        let set = |outcome: &Outcome| outcome.documents.iter().cloned().collect::<BTreeSet<_>>();
        let (before, after) = (set(&self.before), set(&self.after));
        match before.union(&after).count() {
            0 => 1.0,
            all => float(before.intersection(&after).count()) / float(all),
        }
    }
}

/// How much two settings differ; shares from 0 to 1, `None` without questions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differences {
    /// Questions.
    pub questions: usize,
    /// The share whose first document is the same.
    pub same_first: Option<f64>,
    /// The mean share of documents that both found.
    pub shared_documents: Option<f64>,
    /// Questions with another answer.
    pub other_answers: usize,
    /// Questions that only the second hands over.
    pub newly_handed_over: usize,
    /// Questions that only the first hands over.
    pub no_longer_handed_over: usize,
    /// What all questions cost by the first, in dollars.
    pub cost_before: f64,
    /// What they cost by the second.
    pub cost_after: f64,
}

/// Sums up.
pub fn differences(compared: &[Compared]) -> Differences {
    let first = |outcome: &Outcome| outcome.documents.first().cloned();
    let handed = |from: bool| {
        compared.iter().filter(|one| one.decides_differently() && one.before.handed_over == from).count()
    };
    Differences {
        questions: compared.len(),
        same_first: mean(compared.iter().map(|one| share(first(&one.before) == first(&one.after)))),
        shared_documents: mean(compared.iter().map(Compared::shared)),
        other_answers: compared.iter().filter(|one| one.says_differently()).count(),
        newly_handed_over: handed(false),
        no_longer_handed_over: handed(true),
        cost_before: compared.iter().map(|one| one.before.cost).sum(),
        cost_after: compared.iter().map(|one| one.after.cost).sum(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a question has few documents")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(keys: &str, answer: &str, handed_over: bool) -> Outcome {
        let id = |key: char| DocumentId { source: "product".to_owned(), key: key.to_string() };
        let documents = keys.chars().map(id).collect();
        Outcome { documents, answer: Some(answer.to_owned()), handed_over, cost: 0.5 }
    }

    #[test]
    fn what_differs_is_counted() {
        let compared =
            |before, after| Compared { id: "q".to_owned(), question: "?".to_owned(), before, after };
        let of = differences(&[
            compared(outcome("ab", "Yes.", false), outcome("ab", "Yes.", false)),
            compared(outcome("ab", "Yes.", false), outcome("bc", "No.", true)),
            compared(outcome("", "No.", true), outcome("", "No.", false)),
        ]);
        assert_eq!((of.questions, of.other_answers), (3, 1));
        assert_eq!((of.newly_handed_over, of.no_longer_handed_over), (1, 1));
        assert_eq!(of.same_first, Some(2.0 / 3.0));
        assert_eq!(of.shared_documents, Some((1.0 + 1.0 / 3.0 + 1.0) / 3.0));
        assert!((of.cost_after - 1.5).abs() < 1e-12);
    }
}
