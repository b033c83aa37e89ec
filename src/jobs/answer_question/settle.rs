//! What is written when a question is settled.

use serde_json::json;

use super::{super::JobError, AnswerQuestion, find::Retrieved};
use crate::{
    answer::{self, Escalation, Verdict, in_language, nearest, sources},
    model::Completion,
    store::{answers::Settled, usage::Cost},
};

impl AnswerQuestion {
    pub(super) fn settled(
        &self,
        found: &Retrieved,
        verdict: &Verdict,
        completion: Option<&Completion>,
        condensed: Option<&Completion>,
    ) -> Settled {
        let finish_reason = completion.map_or("stop", |completion| completion.finish_reason.as_str());
        let incomplete_reason = match finish_reason {
            "length" => Some("max_tokens"),
            "content_filter" => Some("content_filter"),
            _ => None,
        };
        let completions = [completion, condensed].into_iter().flatten();
        let (input, output) = completions.fold((0, 0), |(input, output), completion| {
            (input + completion.input_tokens, output + completion.output_tokens)
        });
        let prices = self.settings.prices;
        let cost = Cost::of("answer", &[found.embedding, (input, prices.input), (output, prices.output)]);
        Settled {
            status: if incomplete_reason.is_none() { "completed" } else { "incomplete" },
            outcome: Some(verdict.outcome.word()),
            incomplete_reason,
            standalone_question: None,
            answer: Some(json!({ "text": verdict.text, "language": null, "finish_reason": finish_reason })),
            sources: json!(sources(&found.passages, &verdict.citations)),
            citations: json!(verdict.citations),
            nearest_distance: nearest(&found.passages),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: verdict.escalation.map(Escalation::word),
            grounding: Some(json!(verdict.grounding)),
            draft: verdict.draft.clone(),
            usage: Some(json!({
                "embedding_tokens": found.embedding.0,
                "input_tokens": input,
                "output_tokens": output,
                "model": self.settings.model,
                "cost": cost.usd,
            })),
            cost: Some(cost),
            error: None,
        }
    }

    /// Nothing may be spent today: the customer is told that somebody will see to it.
    pub(super) fn paused(&self, locale: Option<&str>) -> Settled {
        let text = in_language(&self.settings.fallback, locale);
        Settled {
            status: "completed",
            outcome: Some(answer::Outcome::Fallback.word()),
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
