//! What a question gets that no model answered.

use std::collections::BTreeMap;

use crate::{
    answering::{
        in_language,
        object::{AnswerOutcome, AnswerStatus, AnswerText, EscalationReason, Settlement},
    },
    job::JobError,
};

/// The settings for questions that no model answered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FallbackSettings {
    pub escalate_above_distance: f64,
    /// The reply while no model may be asked, by language.
    pub fallback: BTreeMap<String, String>,
    /// The chat model's name.
    pub model: String,
}

impl FallbackSettings {
    /// Settles a question while no model may be asked: with the fallback, and a human is asked for.
    pub(super) fn pause(&self, locale: Option<&str>) -> Settlement {
        Settlement {
            status: AnswerStatus::Completed,
            outcome: Some(AnswerOutcome::Fallback),
            answer: Some(AnswerText {
                text: in_language(&self.fallback, locale).to_owned(),
                language: locale.map(str::to_owned),
                finish_reason: None,
            }),
            escalation_threshold: self.escalate_above_distance,
            escalation_reason: Some(EscalationReason::Paused),
            ..Settlement::default()
        }
    }

    /// Settles a question that a model server answers with nonsense: with the fallback, and a human is asked for.
    pub(super) fn give_up(&self, locale: Option<&str>, error: &JobError) -> Settlement {
        Settlement {
            escalation_reason: Some(EscalationReason::Failed),
            error: Some(error.to_string()),
            ..self.pause(locale)
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
