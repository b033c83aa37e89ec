//! The quality of answers: golden sets, grades and reports.
//!
//! Documents are ranked, not chunks: a document has the rank of its nearest chunk. A question without expected documents
//! is one that the shop cannot answer, and must be handed over to a human.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{answering::Passage, model::Message};

/// A question with the expected result.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique in a set.
    pub id: String,
    /// The difficulty that it tests; reports have a line for each.
    #[serde(default = "any_kind")]
    pub kind: String,
    /// In the customer's words.
    pub question: String,
    /// The conversation before it, oldest first.
    #[serde(default)]
    pub history: Vec<Message>,
    /// The documents that answer it, each as good as the others; empty if it must be handed over.
    pub expected: Vec<Expected>,
    /// Texts that the answer must contain, in any case of letters.
    #[serde(default)]
    pub answer_contains: Vec<String>,
    /// Whether it is kept out of tuning.
    #[serde(default)]
    pub held_out: bool,
}

/// A document that answers a question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Expected {
    pub source: String,
    pub key: String,
}

fn any_kind() -> String {
    "any".to_owned()
}

/// Why a golden set cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct GoldenError {
    line: usize,
    reason: String,
}

/// Parses a golden set: one JSON object per line.
pub fn parse_golden_set(text: &str) -> Result<Vec<Case>, GoldenError> {
    let (mut cases, mut ids) = (Vec::new(), BTreeSet::new());
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let case: Case =
            serde_json::from_str(text).map_err(|error| GoldenError { line, reason: error.to_string() })?;
        if case.question.trim().is_empty() {
            return Err(GoldenError { line, reason: format!("`question` of `{}` is empty", case.id) });
        }
        if !ids.insert(case.id.clone()) {
            return Err(GoldenError { line, reason: format!("`id` `{}` is there twice", case.id) });
        }
        cases.push(case);
    }
    if cases.is_empty() {
        return Err(GoldenError { line: 1, reason: "there are no questions".to_owned() });
    }
    Ok(cases)
}

/// The result of a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grade {
    /// The rank of each expected document that was found, from 1.
    pub ranks: Vec<usize>,
    /// Cosine distance of the nearest passage; zero if the question names a document.
    pub nearest: Option<f64>,
    /// Whether a human is asked for.
    pub escalated: bool,
    /// Whether the answer contains the expected texts; `None` if there is no answer or none are expected.
    pub has_expected_text: Option<bool>,
    /// Whether the answer claims what no passage says.
    pub ungrounded: bool,
}

impl Case {
    /// Whether the shop can answer it.
    pub fn is_answerable(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Ranks the expected documents among the documents of these passages, nearest first.
    pub fn ranks(&self, passages: &[Passage]) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let documents = passages.iter().filter(|passage| seen.insert((&passage.source, &passage.key)));
        let ranked = (1..).zip(documents).filter(|(_, found)| {
            self.expected.iter().any(|expected| expected.source == found.source && expected.key == found.key)
        });
        ranked.map(|(rank, _)| rank).collect()
    }

    /// Whether an answer contains the expected texts; `None` if none are expected.
    pub fn has_expected_text(&self, answer: &str) -> Option<bool> {
        let answer = answer.to_lowercase();
        let mut parts = self.answer_contains.iter();
        (!self.answer_contains.is_empty()).then(|| parts.all(|part| answer.contains(&part.to_lowercase())))
    }
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

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / float(count))
}

fn share(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[expect(clippy::cast_precision_loss, reason = "no golden set has 2^52 questions")]
fn float(count: usize) -> f64 {
    count as f64
}

/// A distance above which questions are handed over, and how well it separates them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Cosine distance of the nearest passage.
    pub distance: f64,
    /// Of the questions above it: the share that must be handed over.
    pub precision: Option<f64>,
    /// Of the questions that must be handed over: the share above it.
    pub recall: f64,
    /// Of the answerable questions: the share not above it.
    pub kept: f64,
    /// The mean of `recall` and `kept`; 0.5 is no better than a coin.
    pub balanced_accuracy: f64,
}

impl Threshold {
    /// Measures a threshold; `None` unless there are questions of both sorts.
    pub fn judge(graded: &[(Case, Grade)], distance: f64) -> Option<Self> {
        let above = |graded: &Grade| graded.nearest.is_none_or(|nearest| nearest > distance);
        let rate = |is_answerable: bool| {
            let those = graded.iter().filter(move |(case, _)| case.is_answerable() == is_answerable);
            mean(those.map(|(_, graded)| share(above(graded) != is_answerable)))
        };
        let (recall, kept) = (rate(false)?, rate(true)?);
        let escalated = graded.iter().filter(|(_, graded)| above(graded));
        Some(Self {
            distance,
            precision: mean(escalated.map(|(case, _)| share(!case.is_answerable()))),
            recall,
            kept,
            balanced_accuracy: f64::midpoint(recall, kept),
        })
    }
}

/// Finds the threshold of the highest balanced accuracy for questions like these.
///
/// Each question counts by the probability that one at a slightly different distance is above the threshold: the best
/// cut through a small set is mostly chance, and one that is also good nearby holds for future questions.
pub fn calibrate(graded: &[(Case, Grade)]) -> Option<Threshold> {
    let mut distances: Vec<_> = graded.iter().filter_map(|(_, graded)| graded.nearest).collect();
    distances.sort_by(f64::total_cmp);
    distances.dedup();
    let average = mean(distances.iter().copied())?;
    let spread = mean(distances.iter().map(|distance| (distance - average).powi(2)))?.sqrt();
    let above = |graded: &Grade, threshold: f64| {
        let distance = graded.nearest.unwrap_or(f64::INFINITY);
        1.0 / (1.0 + ((threshold - distance) / (BLUR * spread)).exp())
    };
    let soft = |threshold: f64| {
        let of = |is_answerable: bool| {
            let those = graded.iter().filter(move |(case, _)| case.is_answerable() == is_answerable);
            mean(those.map(|(_, graded)| above(graded, threshold)))
        };
        of(false).zip(of(true)).map(|(recall, lost)| recall - lost)
    };
    let gaps = distances.windows(2).map(|pair| short_midpoint(pair[0], pair[1]));
    let scored = gaps.filter_map(|threshold| Some((threshold, soft(threshold)?)));
    let (best, _) = scored.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    Threshold::judge(graded, best)
}

/// How much the distance of a question may differ from those of the set, as a share of their spread.
const BLUR: f64 = 0.2;

/// Returns the middle of a gap with as few digits as fit into it.
fn short_midpoint(low: f64, high: f64) -> f64 {
    let middle = f64::midpoint(low, high);
    let shorter = [100.0, 1000.0, 10_000.0].map(|scale| (middle * scale).round() / scale);
    shorter.into_iter().find(|short| (low..high).contains(short)).unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: &str, expected: &[&str]) -> Case {
        let expected = expected.iter().map(|key| Expected { source: "p".to_owned(), key: (*key).to_owned() });
        Case {
            id: id.to_owned(),
            kind: any_kind(),
            question: "?".to_owned(),
            history: Vec::new(),
            expected: expected.collect(),
            answer_contains: Vec::new(),
            held_out: false,
        }
    }

    fn at(nearest: f64, expected: &[&str]) -> (Case, Grade) {
        (case("", expected), Grade { nearest: Some(nearest), ..Grade::default() })
    }

    fn passage(key: &str) -> Passage {
        Passage { source: "p".to_owned(), key: key.to_owned(), ..Passage::default() }
    }

    #[test]
    fn documents_are_ranked_not_chunks() {
        let passages = ["a", "a", "b", "c", "b"].map(passage);
        assert_eq!(case("", &["c", "b"]).ranks(&passages), [2, 3]);
        assert!(case("", &["d"]).ranks(&passages).is_empty());
    }

    #[test]
    fn figures_are_those_of_the_textbook() {
        let found = |ranks: &[usize], expected: &[&str]| {
            (case("", expected), Grade { ranks: ranks.to_vec(), ..Grade::default() })
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
        let with =
            |expected: &[&str], escalated| (case("", expected), Grade { escalated, ..Grade::default() });
        let graded =
            [with(&["a"], false), with(&["a"], true), with(&[], true), with(&[], true), with(&[], false)];
        let report = report(&graded);
        assert_eq!(report.escalation_precision, Some(2.0 / 3.0));
        assert_eq!(report.escalation_recall, Some(2.0 / 3.0));
        assert_eq!(report.escalation_balanced_accuracy, Some(f64::midpoint(2.0 / 3.0, 0.5)));
    }

    #[test]
    fn the_threshold_parts_what_can_be_parted_and_does_not_follow_a_stray_question() {
        let graded = [at(0.3, &["a"]), at(0.41, &["a"]), at(0.6, &[]), at(0.62, &["a"]), at(0.7, &[])];
        let best = calibrate(&graded).unwrap();
        assert_eq!((best.distance, best.recall, best.kept), (0.51, 1.0, 2.0 / 3.0));
        let near = [0.30, 0.32, 0.34, 0.36, 0.38].map(|distance| at(distance, &["a"]));
        let far = [0.62, 0.64, 0.66, 0.68, 0.70].map(|distance| at(distance, &[]));
        // One that can be answered and is far, and one that cannot and is near: the cut stays between the others.
        let stray = [at(0.69, &["a"]), at(0.31, &[])];
        let best = calibrate(&[&near[..], &far, &stray].concat());
        assert_eq!(best.map(|best| best.distance), Some(0.5));
        assert_eq!(calibrate(&[at(0.3, &["a"]), at(0.4, &["a"])]), None);
        let close = [at(0.43211, &["a"]), at(0.43219, &[])];
        assert!((calibrate(&close).unwrap().distance - 0.43215).abs() < 1e-5);
    }

    #[test]
    fn a_question_without_passages_is_above_every_threshold() {
        let mut none = at(0.0, &[]);
        none.1.nearest = None;
        let judged = Threshold::judge(&[none, at(0.5, &["a"])], 2.0).unwrap();
        assert_eq!((judged.recall, judged.kept), (1.0, 1.0));
    }

    #[test]
    fn a_golden_set_is_read_and_its_faults_are_told_by_line() {
        let line = r#"{"id": "a", "question": "Q?", "expected": [{"source": "p", "key": "1"}]}"#;
        let cases = parse_golden_set(&format!("{line}\n\n")).unwrap();
        assert_eq!((cases.len(), cases[0].kind.as_str(), cases[0].held_out), (1, "any", false));
        let fault = |text: &str| parse_golden_set(text).unwrap_err().to_string();
        assert_eq!(fault(&format!("{line}\n{line}")), "line 2: `id` `a` is there twice");
        assert!(fault(&line.replace("expected", "expecte")).starts_with("line 1: unknown field `expecte`"));
        assert_eq!(fault(&line.replace("Q?", " ")), "line 1: `question` of `a` is empty");
        assert_eq!(fault("\n"), "line 1: there are no questions");
    }

    #[test]
    fn what_an_answer_must_say_is_found_in_any_case() {
        let mut case = case("", &["a"]);
        assert_eq!(case.has_expected_text("42"), None);
        case.answer_contains = vec!["60 Days".to_owned(), "free".to_owned()];
        assert_eq!(case.has_expected_text("Free within 60 days."), Some(true));
        assert_eq!(case.has_expected_text("within 60 days"), Some(false));
    }
}
