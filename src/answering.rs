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

use grounding::{Grounding, find_citations};
use object::{
    AnswerOutcome, AnswerStatus, AnswerText, EscalationReason, IncompleteReason, Settlement, Source,
};

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
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Passage {
    pub source: String,
    pub key: String,
    pub title: String,
    /// The chunk.
    pub content: String,
    /// Cosine distance to the question, 0 to 2.
    pub distance: f64,
    /// `1 - distance`, from 0 to 1.
    pub score: f64,
    /// The document's address in the shop.
    pub url: Option<String>,
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Whether the question names the document's SKU.
    #[serde(skip)]
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
pub fn refuse(refusal: &str, threshold: f64) -> Settlement {
    let (text, finish_reason) = (refusal.to_owned(), Some("stop".to_owned()));
    Settlement {
        status: AnswerStatus::Completed,
        outcome: Some(AnswerOutcome::NoAnswer),
        answer: Some(AnswerText { text, finish_reason, ..AnswerText::default() }),
        escalation_threshold: threshold,
        escalation_reason: Some(EscalationReason::NoPassages),
        grounding: Some(Grounding::default()),
        ..Settlement::default()
    }
}

/// Replaces an ungrounded answer by the refusal; a human is asked for.
pub fn withhold(refusal: &str, ungrounded: Settlement, passages: &[Passage]) -> Settlement {
    let answer = ungrounded.answer.unwrap_or_default();
    Settlement {
        outcome: Some(AnswerOutcome::NoAnswer),
        answer: Some(AnswerText { text: refusal.to_owned(), ..answer }),
        sources: Source::list(passages, &[]),
        citations: Vec::new(),
        escalation_reason: Some(EscalationReason::Ungrounded),
        draft: Some(answer.text),
        ..ungrounded
    }
}

/// Judges a completion by the passages and by what the customer said.
pub fn judge(
    passages: &[Passage],
    completion: Completion,
    customer: &[&str],
    refusal: &str,
    threshold: f64,
) -> Settlement {
    let (citations, invalid_citations) = find_citations(&completion.text, passages.len());
    let text = completion.text.trim();
    let is_refusal = text.is_empty() || text.contains(refusal.trim());
    let is_doubtful = is_refusal || is_far(passages, threshold);
    let incomplete_reason = match completion.finish_reason.as_str() {
        "length" => Some(IncompleteReason::MaxTokens),
        "content_filter" => Some(IncompleteReason::ContentFilter),
        _ => None,
    };
    let is_whole = incomplete_reason.is_none();
    Settlement {
        status: if is_whole { AnswerStatus::Completed } else { AnswerStatus::Incomplete },
        outcome: Some(if is_refusal { AnswerOutcome::NoAnswer } else { AnswerOutcome::Answered }),
        incomplete_reason,
        answer: Some(AnswerText {
            text: if text.is_empty() { refusal.to_owned() } else { text.to_owned() },
            language: None,
            finish_reason: Some(completion.finish_reason),
        }),
        sources: Source::list(passages, &citations),
        citations,
        nearest_distance: nearest(passages),
        escalation_threshold: threshold,
        escalation_reason: is_doubtful.then_some(EscalationReason::LowConfidence),
        grounding: Some(if is_refusal {
            Grounding { checked: true, ..Grounding::default() }
        } else {
            Grounding::check(text, passages, customer, invalid_citations)
        }),
        ..Settlement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "I don't have information about that.";

    fn passage(distance: f64) -> Passage {
        Passage { distance, ..Passage::default() }
    }

    fn judged(distance: f64, text: &str) -> Settlement {
        let completion = Completion {
            text: text.into(),
            finish_reason: "stop".into(),
            input_tokens: 1,
            output_tokens: 1,
            left: crate::model::RateLimitRemaining::default(),
        };
        judge(&[passage(distance)], completion, &[], REFUSAL, 0.4)
    }

    fn verdict(settlement: &Settlement) -> (Option<AnswerOutcome>, Option<EscalationReason>) {
        (settlement.outcome, settlement.escalation_reason)
    }

    #[test]
    fn an_answer_from_a_near_passage_stands() {
        let settlement = judged(0.3, "Two people. [1]");
        assert_eq!(verdict(&settlement), (Some(AnswerOutcome::Answered), None));
        assert_eq!((settlement.citations.len(), settlement.sources[0].cited), (1, true));
    }

    #[test]
    fn a_far_passage_asks_for_a_human_and_still_answers() {
        let far = (Some(AnswerOutcome::Answered), Some(EscalationReason::LowConfidence));
        assert_eq!(verdict(&judged(0.41, "Two. [1]")), far);
    }

    #[test]
    fn a_refusal_asks_for_a_human_however_near_the_passage() {
        let refused = (Some(AnswerOutcome::NoAnswer), Some(EscalationReason::LowConfidence));
        assert_eq!(verdict(&judged(0.1, REFUSAL)), refused);
    }

    #[test]
    fn what_no_passage_says_is_withheld_and_a_human_is_asked_for() {
        let ungrounded = judged(0.1, "Two. [2]");
        assert!(!ungrounded.is_sound());
        let withheld = withhold(REFUSAL, ungrounded, &[passage(0.1)]);
        assert_eq!(verdict(&withheld), (Some(AnswerOutcome::NoAnswer), Some(EscalationReason::Ungrounded)));
        assert_eq!(withheld.answer.unwrap().text, REFUSAL);
        assert_eq!(withheld.draft.as_deref(), Some("Two. [2]"));
        assert_eq!(withheld.grounding.unwrap().invalid_citations, [2]);
    }

    #[test]
    fn an_empty_completion_is_a_refusal() {
        assert_eq!(judged(0.1, " ").answer.unwrap().text, REFUSAL);
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
