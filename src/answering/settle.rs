//! What a settled question gets; the job adds the cost.

use std::collections::BTreeMap;

use crate::{
    answering::{
        Passage, Verdict,
        cost::AnswerCost,
        in_language, nearest,
        object::{
            AnswerOutcome, AnswerStatus, AnswerText, EscalationReason, IncompleteReason, Settlement, Source,
        },
    },
    job::JobError,
};

/// What every answer says about how it was made.
#[derive(Clone, Debug)]
pub struct SettleSettings {
    /// The distance above which a human is asked for.
    pub escalate_above_distance: f64,
    /// The reply while no model may be asked, by language.
    pub fallback: BTreeMap<String, String>,
    /// The chat model's name, for the usage that callers see.
    pub model: String,
}

impl SettleSettings {
    pub(super) fn settle(
        &self,
        standalone: String,
        locale: Option<&str>,
        passages: &[Passage],
        (verdict, finish_reason): (Verdict, String),
        cost: &AnswerCost,
    ) -> Settlement {
        let incomplete_reason = match finish_reason.as_str() {
            "length" => Some(IncompleteReason::MaxTokens),
            "content_filter" => Some(IncompleteReason::ContentFilter),
            _ => None,
        };
        let is_whole = incomplete_reason.is_none();
        Settlement {
            status: if is_whole { AnswerStatus::Completed } else { AnswerStatus::Incomplete },
            outcome: Some(verdict.outcome),
            incomplete_reason,
            standalone_question: Some(standalone),
            answer: Some(text(verdict.text, locale, Some(finish_reason))),
            sources: Source::list(passages, &verdict.citations),
            citations: verdict.citations,
            nearest_distance: nearest(passages),
            escalation_threshold: self.escalate_above_distance,
            escalation_reason: verdict.escalation,
            grounding: Some(verdict.grounding),
            draft: verdict.draft,
            usage: Some(cost.usage(&self.model)),
            error: None,
        }
    }

    /// Settles a question while no model may be asked: with the fallback, and a human is asked for.
    pub(super) fn pause(&self, locale: Option<&str>) -> Settlement {
        Settlement {
            status: AnswerStatus::Completed,
            outcome: Some(AnswerOutcome::Fallback),
            answer: Some(text(in_language(&self.fallback, locale).to_owned(), locale, None)),
            escalation_threshold: self.escalate_above_distance,
            escalation_reason: Some(EscalationReason::Paused),
            ..Settlement::default()
        }
    }

    pub(super) fn fail(&self, error: &JobError) -> Settlement {
        Settlement {
            status: AnswerStatus::Failed,
            escalation_threshold: self.escalate_above_distance,
            escalation_reason: Some(EscalationReason::Failed),
            error: Some(error.to_string()),
            ..Settlement::default()
        }
    }
}

fn text(text: String, locale: Option<&str>, finish_reason: Option<String>) -> AnswerText {
    AnswerText { text, language: locale.map(str::to_owned), finish_reason }
}
