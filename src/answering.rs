//! Answers questions from the index: retrieve, prompt, complete, judge, settle.
//!
//! The decisions are pure: [`sku`] finds article numbers in a question, [`condense`](mod@condense) rewrites a follow-up,
//! [`prompt`] builds the request to the model, [`grounding`] checks its answer, [`human`] recognises a wish for a human;
//! the verdict over one answer is here. [`job`] takes a question through all steps.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use crate::model::{Completion, Message};

pub mod complete;
pub mod condense;
pub mod cost;
pub mod grounding;
pub mod human;
pub mod job;
pub mod object;
pub mod prompt;
pub mod retrieve;
pub mod settle;
pub mod sku;
pub mod stream;

use grounding::{Citation, Grounding, find_citations};
use object::{AnswerOutcome, EscalationReason};

/// A client's question. Unknown fields are errors, so that a typing error does not ask another question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// In the customer's words.
    #[schema(min_length = 1)]
    pub question: String,
    /// The conversation it belongs to: the questions of one are answered one at a time, in their order.
    #[schema(min_length = 1, max_length = 255)]
    pub session_id: Option<String>,
    /// The customer, whose questions can be erased together.
    #[schema(min_length = 1, max_length = 255)]
    pub customer_id: Option<String>,
    /// The customer's language, as in `de-CH`.
    pub locale: Option<String>,
    /// The conversation before it, oldest first, instead of the session's.
    pub history: Option<Vec<Message>>,
    /// The sources to search; all by default.
    #[schema(min_items = 1)]
    pub sources: Option<Vec<String>>,
    /// Metadata that documents must have, as in `{"category": "Tents"}`.
    pub filter: Option<Map<String, Value>>,
    /// What to do while an earlier question of the session is open; `enqueue` by default.
    pub on_busy: Option<OnBusy>,
    /// Higher ones first; 10 by default.
    #[schema(minimum = -32768, maximum = 32767)]
    pub priority: Option<i16>,
    /// When it expires unless work on it has begun.
    pub start_before: Option<DateTime<Utc>>,
    /// Seconds after which it is cancelled unless it is answered.
    #[schema(exclusive_minimum = 0, exclusive_maximum = 31_536_000)]
    pub cancel_after_s: Option<f64>,
    /// The webhook to notify, by its name in the settings; all by default.
    pub webhook: Option<String>,
    /// Stored with the answer and returned with it.
    pub metadata: Option<Map<String, Value>>,
}

/// What to do with a question while an earlier one of its session is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBusy {
    /// It waits.
    Enqueue,
    /// It is refused.
    Reject,
    /// The others are cancelled.
    Supersede,
}

/// A chunk that was found for a question, with its document's title, link and metadata.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    /// The source's name.
    pub source: String,
    /// The document's key.
    pub key: String,
    /// The document's title.
    pub title: String,
    /// The chunk.
    pub content: String,
    /// The document's address in the shop.
    pub link: Option<String>,
    /// A JSON object of the document's metadata.
    pub metadata: Box<RawValue>,
    /// Cosine distance to the question, 0 to 2.
    pub distance: f64,
    /// Whether the question names the document's SKU.
    pub is_named: bool,
}

/// The cosine distance of the nearest passage, which need not be the first.
pub fn nearest(passages: &[Passage]) -> Option<f64> {
    passages.iter().map(|passage| passage.distance).min_by(f64::total_cmp)
}

/// Whether all passages are too far from a question to be trusted. A document that it names by SKU never is.
pub fn is_far(passages: &[Passage], threshold: f64) -> bool {
    !passages.iter().any(|passage| passage.is_named || passage.distance <= threshold)
}

/// The verdict over an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The reply to the customer.
    pub text: String,
    /// The result.
    pub outcome: AnswerOutcome,
    /// Why a human is asked for, if one is.
    pub escalation: Option<EscalationReason>,
    /// The citations in the text.
    pub citations: Vec<Citation>,
    /// The check of the text against the passages.
    pub grounding: Grounding,
    /// The completion, if it was withheld.
    pub draft: Option<String>,
}

/// A passage in the results of a search.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "as in `Passage`")]
pub struct SearchHit<'a> {
    pub source: &'a str,
    pub key: &'a str,
    pub title: &'a str,
    pub content: &'a str,
    pub distance: f64,
    pub score: f64,
    pub url: Option<&'a str>,
    #[schema(value_type = Object)]
    pub metadata: &'a RawValue,
}

impl<'a> SearchHit<'a> {
    /// Shows a passage.
    pub fn new(passage: &'a Passage) -> Self {
        Self {
            source: &passage.source,
            key: &passage.key,
            title: &passage.title,
            content: &passage.content,
            distance: passage.distance,
            score: confidence(passage.distance),
            url: passage.link.as_deref(),
            metadata: &passage.metadata,
        }
    }
}

/// Picks the text for a locale (`de-CH`), else for its language (`de`), else the English one.
pub fn in_language<'a>(texts: &'a BTreeMap<String, String>, locale: Option<&str>) -> &'a str {
    let locale = locale.unwrap_or("en");
    let language = locale.split(['-', '_']).next().unwrap_or_default();
    let text = [locale, language, "en"].iter().find_map(|name| texts.get(*name));
    text.map_or("", String::as_str)
}

/// Returns `1 - distance`, from 0 to 1.
pub fn confidence(distance: f64) -> f64 {
    (1.0 - distance).clamp(0.0, 1.0)
}

/// Refuses because nothing was found; a human is asked for.
pub fn refuse(refusal: &str) -> Verdict {
    Verdict {
        text: refusal.to_owned(),
        outcome: AnswerOutcome::NoAnswer,
        escalation: Some(EscalationReason::NoPassages),
        citations: Vec::new(),
        grounding: Grounding::default(),
        draft: None,
    }
}

/// Replaces an ungrounded answer by the refusal; a human is asked for.
pub fn withhold(refusal: &str, verdict: Verdict) -> Verdict {
    let (grounding, draft) = (verdict.grounding, Some(verdict.text));
    Verdict { escalation: Some(EscalationReason::Ungrounded), grounding, draft, ..refuse(refusal) }
}

/// Judges a completion by the passages and by what the customer said.
pub fn judge(
    passages: &[Passage],
    completion: &Completion,
    customer: &[&str],
    refusal: &str,
    threshold: f64,
) -> Verdict {
    let (citations, invalid_citations) = find_citations(&completion.text, passages.len());
    let text = completion.text.trim();
    let is_refusal = text.is_empty() || text.contains(refusal.trim());
    let is_doubtful = is_refusal || is_far(passages, threshold);
    Verdict {
        text: if text.is_empty() { refusal.to_owned() } else { text.to_owned() },
        outcome: if is_refusal { AnswerOutcome::NoAnswer } else { AnswerOutcome::Answered },
        escalation: is_doubtful.then_some(EscalationReason::LowConfidence),
        citations,
        grounding: if is_refusal {
            Grounding { checked: true, ..Grounding::default() }
        } else {
            Grounding::check(text, passages, customer, invalid_citations)
        },
        draft: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "I don't have information about that.";

    fn verdict(distance: f64, text: &str) -> Verdict {
        let completion = Completion {
            text: text.into(),
            finish_reason: "stop".into(),
            input_tokens: 1,
            output_tokens: 1,
            left: crate::model::RateLimitRemaining::default(),
        };
        judge(&[Passage { distance, ..Passage::default() }], &completion, &[], REFUSAL, 0.4)
    }

    #[test]
    fn an_answer_from_a_near_passage_stands() {
        let verdict = verdict(0.3, "Two people. [1]");
        assert_eq!((verdict.outcome, verdict.escalation), (AnswerOutcome::Answered, None));
        assert_eq!(verdict.citations.len(), 1);
    }

    #[test]
    fn a_far_passage_asks_for_a_human_and_still_answers() {
        let Verdict { outcome, escalation, .. } = verdict(0.41, "Two. [1]");
        assert_eq!((outcome, escalation), (AnswerOutcome::Answered, Some(EscalationReason::LowConfidence)));
    }

    #[test]
    fn a_refusal_asks_for_a_human_however_near_the_passage() {
        let Verdict { outcome, escalation, .. } = verdict(0.1, REFUSAL);
        assert_eq!((outcome, escalation), (AnswerOutcome::NoAnswer, Some(EscalationReason::LowConfidence)));
    }

    #[test]
    fn what_no_passage_says_is_withheld_and_a_human_is_asked_for() {
        let verdict = verdict(0.1, "Two. [2]");
        assert!(!verdict.grounding.is_sound());
        let withheld = withhold(REFUSAL, verdict);
        assert_eq!((withheld.text.as_str(), withheld.outcome), (REFUSAL, AnswerOutcome::NoAnswer));
        assert_eq!(
            (withheld.grounding.invalid_citations, withheld.escalation),
            (vec![2], Some(EscalationReason::Ungrounded))
        );
    }

    #[test]
    fn an_empty_completion_is_a_refusal() {
        assert_eq!(verdict(0.1, " ").text, REFUSAL);
    }

    #[test]
    fn a_text_is_said_in_the_language_of_the_locale_or_in_english() {
        let texts = [("en", "Sorry."), ("de", "Leider."), ("de-CH", "Leider nöd.")];
        let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let said = |locale| in_language(&texts, locale);
        assert_eq!((said(None), said(Some("fr-FR")), said(Some("de_AT"))), ("Sorry.", "Sorry.", "Leider."));
        assert_eq!((said(Some("de")), said(Some("de-CH"))), ("Leider.", "Leider nöd."));
    }

    #[test]
    fn confidence_is_one_minus_the_distance_and_never_negative() {
        assert!((confidence(0.25) - 0.75).abs() < 1e-12);
        assert!(confidence(1.5).abs() < 1e-12);
    }
}
