//! The answer object, the same in the API, the webhooks and the events.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::answering::{
    constraints::Constraint,
    grounding::{Citation, Grounding},
    handover::Doubt,
};

mod settlement;
mod source;
mod states;
pub(crate) mod stored;

pub use settlement::{Settlement, Watched};
pub use source::Source;
pub use states::{
    AnswerOutcome, AnswerStatus, EscalationReason, EscalationStatus, IncompleteReason, Rating, SessionOwner,
};
use stored::{Stored, from_stored, or_default};

/// A question and its answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AnswerObject {
    /// Its id.
    pub id: Uuid,
    /// `answer`.
    pub object: String,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// The order in which questions were accepted.
    pub seq: i64,
    /// `queued`, `in_progress`, or a terminal one.
    pub status: AnswerStatus,
    /// The result, once it is settled.
    #[serde(deserialize_with = "or_default")]
    pub outcome: Option<AnswerOutcome>,
    /// Why the text ends early.
    #[serde(deserialize_with = "or_default")]
    pub incomplete_reason: Option<IncompleteReason>,
    /// In the customer's words.
    pub question: String,
    /// The text that was searched for.
    pub standalone_question: Option<String>,
    /// The reply to the customer.
    #[serde(deserialize_with = "or_default")]
    pub answer: Option<AnswerText>,
    /// The passages that the model saw.
    #[serde(deserialize_with = "or_default")]
    pub sources: Vec<Source>,
    /// The places in the text that cite them.
    #[serde(deserialize_with = "or_default")]
    pub citations: Vec<Citation>,
    /// `1 - nearest_distance`, from 0 to 1.
    #[serde(deserialize_with = "or_default")]
    pub confidence: Option<f64>,
    /// Cosine distance of the nearest passage, 0 to 2.
    #[serde(deserialize_with = "or_default")]
    pub nearest_distance: Option<f64>,
    /// The distance above which a human is asked for.
    #[serde(deserialize_with = "or_default")]
    pub escalation_threshold: Option<f64>,
    /// Whether a human is asked for.
    pub needs_escalation: bool,
    /// The escalation, if a human is asked for.
    #[serde(deserialize_with = "or_default")]
    pub escalation: Option<AnswerEscalation>,
    /// How likely a human is needed, and the signals that say so.
    #[serde(default, deserialize_with = "or_default")]
    pub doubt: Option<Doubt>,
    /// What the question states of the products that it is about.
    #[serde(default, deserialize_with = "or_default")]
    pub constraints: Vec<StatedConstraint>,
    /// What changed after it was given, if a document that it cites did within `answers.watch_for`.
    #[serde(default)]
    pub outdated: Option<Outdated>,
    /// The human who wrote the answer, if one did.
    #[serde(default)]
    pub answered_by: Option<String>,
    /// The escalated question that a human's answer replies to.
    #[serde(default)]
    pub reply_to: Option<Uuid>,
    /// The check of the text against the passages.
    #[serde(deserialize_with = "or_default")]
    pub grounding: Option<Grounding>,
    /// Tokens and cost.
    #[serde(deserialize_with = "or_default")]
    pub usage: Option<AnswerUsage>,
    /// The attempt that made it, from 1; 0 before the first.
    pub attempt: i32,
    /// Why there is no answer.
    pub error: Option<String>,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was settled.
    pub completed_at: Option<DateTime<Utc>>,
    /// As the caller sent it.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
}

/// A constraint that a question states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatedConstraint {
    /// The words of the question that state it.
    pub words: String,
    /// The metadata field.
    pub field: String,
    /// What the field must be, as in a `filter`.
    pub condition: serde_json::Value,
}

impl From<&Constraint> for StatedConstraint {
    fn from(stated: &Constraint) -> Self {
        let Constraint { words, field, condition } = stated;
        Self { words: words.clone(), field: field.clone(), condition: condition.to_json() }
    }
}

/// What changed after an answer was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outdated {
    /// When it was noticed.
    pub at: DateTime<Utc>,
    /// The source of the document that changed.
    pub source: String,
    /// The document's key.
    pub key: String,
    /// `text`, `removed`, or fields of its metadata, as in `price`.
    pub changed: Vec<String>,
}

/// The reply to a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Stored")]
pub struct AnswerText {
    /// The text; `[n]` cites the source with that number.
    pub text: String,
    /// The locale of the question.
    pub language: Option<String>,
    /// Why the model ended: `stop`, `length`, `content_filter`.
    pub finish_reason: Option<String>,
}

/// The escalation of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerEscalation {
    /// Of the session's open escalation, which may have been made for an earlier question.
    pub id: Uuid,
    /// Why a human is asked for.
    pub reason: EscalationReason,
    /// Whether a human has taken it.
    pub status: EscalationStatus,
}

/// Tokens and cost of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Stored")]
pub struct AnswerUsage {
    /// Tokens of the question's vector.
    pub embedding_tokens: u64,
    /// Tokens of rerankings.
    pub rerank_tokens: u64,
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens of the completions.
    pub output_tokens: u64,
    /// The chat model.
    pub model: String,
    /// Dollars, by the prices of the settings.
    pub cost: f64,
    /// Whether a server did not report tokens, so that they are estimated.
    pub estimated: bool,
}

from_stored!(AnswerText { text, language, finish_reason });
from_stored!(AnswerUsage {
    embedding_tokens,
    rerank_tokens,
    input_tokens,
    output_tokens,
    model,
    cost,
    estimated
});
