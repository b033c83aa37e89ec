//! What is written when a question is settled; what it cost is added by the job.

use serde_json::json;

use crate::{
    answering::{
        self, Escalation, Passage, Verdict, cost::AnswerCost, in_language, job::AnswerQuestion, nearest,
        sources,
    },
    job::JobError,
    store::answers::Settled,
};

impl AnswerQuestion {
    pub(super) fn settled(
        &self,
        standalone: String,
        locale: Option<&str>,
        passages: &[Passage],
        (verdict, finish_reason): &(Verdict, String),
        spent: &AnswerCost,
    ) -> Settled {
        let incomplete_reason = match finish_reason.as_str() {
            "length" => Some("max_tokens"),
            "content_filter" => Some("content_filter"),
            _ => None,
        };
        Settled {
            status: if incomplete_reason.is_none() { "completed" } else { "incomplete" },
            outcome: Some(verdict.outcome.word()),
            incomplete_reason,
            standalone_question: Some(standalone),
            answer: Some(json!({ "text": verdict.text, "language": locale, "finish_reason": finish_reason })),
            sources: json!(sources(passages, &verdict.citations)),
            citations: json!(verdict.citations),
            nearest_distance: nearest(passages),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: verdict.escalation.map(Escalation::word),
            grounding: Some(json!(verdict.grounding)),
            draft: verdict.draft.clone(),
            usage: Some(spent.usage(&self.settings.model)),
            cost: None,
            error: None,
        }
    }

    /// Nothing may be spent today: the customer is told that somebody will see to it.
    pub(super) fn paused(&self, locale: Option<&str>) -> Settled {
        let text = in_language(&self.settings.fallback, locale);
        Settled {
            status: "completed",
            outcome: Some(answering::Outcome::Fallback.word()),
            answer: Some(json!({ "text": text, "language": locale, "finish_reason": null })),
            sources: json!([]),
            citations: json!([]),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: Some(Escalation::Paused.word()),
            ..Settled::default()
        }
    }

    pub(super) fn failed(&self, error: &JobError) -> Settled {
        Settled {
            status: "failed",
            sources: json!([]),
            citations: json!([]),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: Some(Escalation::Failed.word()),
            error: Some(error.to_string()),
            ..Settled::default()
        }
    }
}
