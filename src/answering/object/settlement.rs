//! What a settled question gets.

use serde::Serialize;

use super::{
    AnswerOutcome, AnswerStatus, AnswerText, AnswerUsage, EscalationReason, IncompleteReason, Source,
};
use crate::answering::grounding::{Citation, Grounding};

/// The result of a question, as the columns of its row.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "as in `AnswerObject`")]
pub struct Settlement {
    pub status: AnswerStatus,
    pub outcome: Option<AnswerOutcome>,
    pub incomplete_reason: Option<IncompleteReason>,
    pub standalone_question: Option<String>,
    pub answer: Option<AnswerText>,
    pub sources: Vec<Source>,
    pub citations: Vec<Citation>,
    pub nearest_distance: Option<f64>,
    pub escalation_threshold: f64,
    pub escalation_reason: Option<EscalationReason>,
    pub grounding: Option<Grounding>,
    /// The completion, if it was withheld.
    pub draft: Option<String>,
    pub usage: Option<AnswerUsage>,
    pub error: Option<String>,
}

impl Settlement {
    /// Whether the check against the passages found no fault.
    pub fn is_sound(&self) -> bool {
        self.grounding.as_ref().is_none_or(Grounding::is_sound)
    }
}
