//! Golden sets: questions with the documents that answer them.
//!
//! A question without expected documents is one that the shop cannot answer, and must be handed over to a human.

use std::collections::BTreeSet;

use serde::Deserialize;

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
    pub expected: Vec<ExpectedDocument>,
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
pub struct ExpectedDocument {
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

impl Case {
    /// A question that a customer asked; what answers it is not known.
    pub fn real(id: String, question: String) -> Self {
        let kind = any_kind();
        Self {
            id,
            kind,
            question,
            history: Vec::new(),
            expected: Vec::new(),
            answer_contains: Vec::new(),
            held_out: false,
        }
    }

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::evaluation) fn case(expected: &[&str]) -> Case {
        let expected =
            expected.iter().map(|key| ExpectedDocument { source: "p".to_owned(), key: (*key).to_owned() });
        Case {
            id: String::new(),
            kind: any_kind(),
            question: "?".to_owned(),
            history: Vec::new(),
            expected: expected.collect(),
            answer_contains: Vec::new(),
            held_out: false,
        }
    }

    fn passage(key: &str) -> Passage {
        Passage { source: "p".to_owned(), key: key.to_owned(), ..Passage::default() }
    }

    #[test]
    fn documents_are_ranked_not_chunks() {
        let passages = ["a", "a", "b", "c", "b"].map(passage);
        assert_eq!(case(&["c", "b"]).ranks(&passages), [2, 3]);
        assert!(case(&["d"]).ranks(&passages).is_empty());
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
        let mut case = case(&["a"]);
        assert_eq!(case.has_expected_text("42"), None);
        case.answer_contains = vec!["60 Days".to_owned(), "free".to_owned()];
        assert_eq!(case.has_expected_text("Free within 60 days."), Some(true));
        assert_eq!(case.has_expected_text("within 60 days"), Some(false));
    }
}
