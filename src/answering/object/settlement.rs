//! What a settled question gets.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    AnswerOutcome, AnswerStatus, AnswerText, AnswerUsage, EscalationReason, IncompleteReason, Source,
    StatedConstraint,
};
use crate::answering::{
    grounding::{Citation, Grounding},
    handover::Doubt,
};

/// The result of a question, as the columns of its row.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "as in `AnswerObject`")]
pub struct Settlement {
    pub status: AnswerStatus,
    pub outcome: Option<AnswerOutcome>,
    pub incomplete_reason: Option<IncompleteReason>,
    pub standalone_question: Option<String>,
    pub answer: Option<AnswerText>,
    pub constraints: Vec<StatedConstraint>,
    pub sources: Vec<Source>,
    pub citations: Vec<Citation>,
    pub nearest_distance: Option<f64>,
    pub escalation_threshold: f64,
    pub escalation_reason: Option<EscalationReason>,
    pub doubt: Option<Doubt>,
    pub grounding: Option<Grounding>,
    /// The completion, if it was withheld.
    pub draft: Option<String>,
    pub usage: Option<AnswerUsage>,
    pub error: Option<String>,
    /// The documents that it cites, if it is to be told when they change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<Watched>,
    /// The vector of the question, and the index version whose model made it.
    #[serde(skip)]
    pub vector: Option<(i32, Vec<f32>)>,
}

/// A document that an answer cites, as the answer knew it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Watched {
    pub source: String,
    pub key: String,
    pub metadata: Box<RawValue>,
    /// The passages.
    pub contents: Vec<String>,
    /// The index version that was searched.
    pub version: i32,
    /// How long it is watched.
    pub seconds: f64,
}

impl Settlement {
    /// Whether the check against the passages found no fault.
    pub fn is_sound(&self) -> bool {
        self.grounding.as_ref().is_none_or(Grounding::is_sound)
    }
}
