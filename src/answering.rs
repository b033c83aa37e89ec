//! Answers questions from the index: retrieve, prompt, complete, judge, settle.
//!
//! What an answer is, is pure: [`codes`] are what a question names, [`condense`](mod@condense) makes a follow-up a question
//! of its own, [`prompt`] says how a model is asked, [`grounding`] what of its answer is founded, [`human`] who asks for a
//! human; here is the verdict over one answer, and whether it is handed over. [`job`] takes a question through all steps.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use crate::model::{Completion, Message};

pub mod codes;
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
pub mod stream;

use grounding::{Citation, Grounding, cited};

/// What a client asks. A field that is not known is an error, so that a typing error is not an answer to
/// another question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// In the customer's words.
    #[schema(min_length = 1)]
    pub question: String,
    /// The conversation it belongs to: the questions of one are answered one at a time, in their order.
    #[schema(min_length = 1, max_length = 255)]
    pub session_id: Option<String>,
    /// Whose it is: what can be erased together.
    #[schema(min_length = 1, max_length = 255)]
    pub customer_id: Option<String>,
    /// The customer's language, as in `de-CH`.
    pub locale: Option<String>,
    /// The conversation before it, oldest first, instead of that of the session.
    pub history: Option<Vec<Message>>,
    /// The sources that may be searched; all when left out.
    #[schema(min_items = 1)]
    pub sources: Option<Vec<String>>,
    /// Metadata that documents must have, as in `{"category": "Tents"}`.
    pub filter: Option<Map<String, Value>>,
    /// What happens when a question of the session is not answered yet; it waits when left out.
    pub on_busy: Option<OnBusy>,
    /// Higher ones first; 10 when left out.
    #[schema(minimum = -32768, maximum = 32767)]
    pub priority: Option<i16>,
    /// When it expires if nobody has begun: unstarted work costs nothing.
    pub start_before: Option<DateTime<Utc>>,
    /// Seconds after which it is cancelled if there is no answer.
    #[schema(exclusive_minimum = 0, exclusive_maximum = 31_536_000)]
    pub cancel_after_s: Option<f64>,
    /// The webhook that is told, by its name in the settings; all of them when left out.
    pub webhook: Option<String>,
    /// Kept with the answer and given back.
    pub metadata: Option<Map<String, Value>>,
}

/// What happens to a question while another one of its session is not answered.
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
#[derive(Clone, Debug)]
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

/// Whether passages are too far from a question to be trusted. What it names is near, whatever its distance.
pub fn is_far(passages: &[Passage], threshold: f64) -> bool {
    !passages.iter().any(|passage| passage.is_named || passage.distance <= threshold)
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The passages answer it.
    Answered,
    /// They do not, and the refusal was given.
    NoAnswer,
    /// Nothing may be spent, and the customer was told to wait.
    Fallback,
}

impl Outcome {
    /// The word that callers see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoAnswer => "no_answer",
            Self::Fallback => "fallback",
        }
    }
}

/// Why a human is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escalation {
    /// The nearest passage is too far, or the model refused.
    LowConfidence,
    /// Nothing was found.
    NoPassages,
    /// The answer cites what was not there.
    Ungrounded,
    /// There is no answer, and there will be none.
    Failed,
    /// The customer wants to speak to one.
    AskedForHuman,
    /// Nothing may be spent.
    Paused,
}

impl Escalation {
    /// The word that callers see.
    pub fn word(self) -> &'static str {
        match self {
            Self::LowConfidence => "low_confidence",
            Self::NoPassages => "no_passages",
            Self::Ungrounded => "ungrounded",
            Self::Failed => "failed",
            Self::AskedForHuman => "asked_for_human",
            Self::Paused => "paused",
        }
    }
}

/// The judgement over an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is said to the customer.
    pub text: String,
    /// What came of the question.
    pub outcome: Outcome,
    /// Why a human is asked for, if one is.
    pub escalation: Option<Escalation>,
    /// What the text cites.
    pub citations: Vec<Citation>,
    /// What of the text is founded.
    pub grounding: Grounding,
    /// What the model said, when something else is said instead.
    pub draft: Option<String>,
}

/// A passage as those see it who search.
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

/// The text of a language: of the locale (`de-CH`), of its language (`de`), else the English one.
pub fn in_language<'a>(texts: &'a BTreeMap<String, String>, locale: Option<&str>) -> &'a str {
    let locale = locale.unwrap_or("en");
    let language = locale.split(['-', '_']).next().unwrap_or_default();
    let text = [locale, language, "en"].iter().find_map(|name| texts.get(*name));
    text.map_or("", String::as_str)
}

/// How sure a distance makes us: `1 - distance`, from 0 to 1.
pub fn confidence(distance: f64) -> f64 {
    (1.0 - distance).clamp(0.0, 1.0)
}

/// Judges an answer without passages: the refusal, and a human is asked for.
pub fn refuse(refusal: &str) -> Verdict {
    Verdict {
        text: refusal.to_owned(),
        outcome: Outcome::NoAnswer,
        escalation: Some(Escalation::NoPassages),
        citations: Vec::new(),
        grounding: Grounding::default(),
        draft: None,
    }
}

/// Judges an answer that says what no passage does: the refusal instead of it, and a human is asked for.
pub fn withhold(refusal: &str, verdict: Verdict) -> Verdict {
    let (grounding, draft) = (verdict.grounding, Some(verdict.text));
    Verdict { escalation: Some(Escalation::Ungrounded), grounding, draft, ..refuse(refusal) }
}

/// Judges what a model made of the passages, and of what the customer said.
pub fn judge(
    passages: &[Passage],
    completion: &Completion,
    customer: &[&str],
    refusal: &str,
    threshold: f64,
) -> Verdict {
    let (citations, invalid_citations) = cited(&completion.text, passages.len());
    let text = completion.text.trim().to_owned();
    let refused = text.is_empty() || text.contains(refusal.trim());
    let escalation =
        if refused || is_far(passages, threshold) { Some(Escalation::LowConfidence) } else { None };
    let grounding = if refused {
        Grounding { checked: true, ..Grounding::default() }
    } else {
        Grounding::of(&text, passages, customer, invalid_citations)
    };
    Verdict {
        text: if text.is_empty() { refusal.to_owned() } else { text },
        outcome: if refused { Outcome::NoAnswer } else { Outcome::Answered },
        escalation,
        citations,
        grounding,
        draft: None,
    }
}

/// The passages as callers see them.
pub fn sources(passages: &[Passage], citations: &[Citation]) -> Vec<object::Source> {
    let numbered = (1_u32..).zip(passages);
    let shown = numbered.map(|(n, passage)| object::Source {
        n,
        source: passage.source.clone(),
        key: passage.key.clone(),
        title: passage.title.clone(),
        url: passage.link.clone(),
        distance: passage.distance,
        score: confidence(passage.distance),
        cited: citations.iter().any(|citation| citation.source == n),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "I don't have information about that.";

    fn passage(distance: f64) -> Passage {
        Passage {
            source: "product".into(),
            key: "1".into(),
            title: "Tent".into(),
            content: "Sleeps two.".into(),
            link: None,
            metadata: RawValue::from_string("{}".into()).unwrap(),
            distance,
            is_named: false,
        }
    }

    fn completion(text: &str) -> Completion {
        Completion {
            text: text.into(),
            finish_reason: "stop".into(),
            input_tokens: 1,
            output_tokens: 1,
            left: crate::model::RateLimitRemaining::default(),
        }
    }

    #[test]
    fn an_answer_from_a_near_passage_stands() {
        let verdict = judge(&[passage(0.3)], &completion("Two people. [1]"), &[], REFUSAL, 0.4);
        assert_eq!((verdict.outcome, verdict.escalation), (Outcome::Answered, None));
        assert_eq!(verdict.citations.len(), 1);
    }

    #[test]
    fn a_far_passage_asks_for_a_human_and_still_answers() {
        let verdict = judge(&[passage(0.41)], &completion("Two. [1]"), &[], REFUSAL, 0.4);
        assert_eq!(
            (verdict.outcome, verdict.escalation),
            (Outcome::Answered, Some(Escalation::LowConfidence))
        );
    }

    #[test]
    fn a_refusal_asks_for_a_human_however_near_the_passage() {
        let verdict = judge(&[passage(0.1)], &completion(REFUSAL), &[], REFUSAL, 0.4);
        assert_eq!(
            (verdict.outcome, verdict.escalation),
            (Outcome::NoAnswer, Some(Escalation::LowConfidence))
        );
    }

    #[test]
    fn what_no_passage_says_is_withheld_and_a_human_is_asked_for() {
        let verdict = judge(&[passage(0.1)], &completion("Two. [2]"), &[], REFUSAL, 0.4);
        assert!(!verdict.grounding.is_sound());
        let withheld = withhold(REFUSAL, verdict);
        assert_eq!((withheld.text.as_str(), withheld.outcome), (REFUSAL, Outcome::NoAnswer));
        assert_eq!(
            (withheld.grounding.invalid_citations, withheld.escalation),
            (vec![2], Some(Escalation::Ungrounded))
        );
    }

    #[test]
    fn an_empty_completion_is_a_refusal() {
        assert_eq!(judge(&[passage(0.1)], &completion(" "), &[], REFUSAL, 0.4).text, REFUSAL);
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
