//! What is written when a question is settled; what it cost is added by the job.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    answering::{self, Escalation, Passage, Verdict, cost::AnswerCost, in_language, nearest, sources},
    job::JobError,
    store::answers::Settlement,
};

/// What every answer says of how it was made.
#[derive(Clone, Debug)]
pub struct SettleSettings {
    /// The distance above which a human is asked for.
    pub escalate_above_distance: f64,
    /// What is said while nothing may be spent, by language.
    pub fallback: BTreeMap<String, String>,
    /// The chat model's name, for the usage that callers see.
    pub model: String,
}

impl SettleSettings {
    pub(super) fn settled(
        &self,
        standalone: String,
        locale: Option<&str>,
        passages: &[Passage],
        (verdict, finish_reason): &(Verdict, String),
        spent: &AnswerCost,
    ) -> Settlement {
        let incomplete_reason = match finish_reason.as_str() {
            "length" => Some("max_tokens"),
            "content_filter" => Some("content_filter"),
            _ => None,
        };
        Settlement {
            status: if incomplete_reason.is_none() { "completed" } else { "incomplete" },
            outcome: Some(verdict.outcome.word()),
            incomplete_reason,
            standalone_question: Some(standalone),
            answer: Some(json!({ "text": verdict.text, "language": locale, "finish_reason": finish_reason })),
            sources: json!(sources(passages, &verdict.citations)),
            citations: json!(verdict.citations),
            nearest_distance: nearest(passages),
            escalation_threshold: self.escalate_above_distance,
            escalation: verdict.escalation.map(Escalation::word),
            grounding: Some(json!(verdict.grounding)),
            draft: verdict.draft.clone(),
            usage: Some(spent.usage(&self.model)),
            cost: None,
            error: None,
        }
    }

    /// Nothing may be spent today: the customer is told that somebody will see to it.
    pub(super) fn paused(&self, locale: Option<&str>) -> Settlement {
        let text = in_language(&self.fallback, locale);
        Settlement {
            status: "completed",
            outcome: Some(answering::Outcome::Fallback.word()),
            answer: Some(json!({ "text": text, "language": locale, "finish_reason": null })),
            sources: json!([]),
            citations: json!([]),
            escalation_threshold: self.escalate_above_distance,
            escalation: Some(Escalation::Paused.word()),
            ..Settlement::default()
        }
    }

    pub(super) fn failed(&self, error: &JobError) -> Settlement {
        Settlement {
            status: "failed",
            sources: json!([]),
            citations: json!([]),
            escalation_threshold: self.escalate_above_distance,
            escalation: Some(Escalation::Failed.word()),
            error: Some(error.to_string()),
            ..Settlement::default()
        }
    }
}
