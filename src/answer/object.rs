//! The answer object, the same for every caller: in the API, the webhooks and the events.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::grounding::{Citation, Grounding};

/// A question and what became of it.
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
    /// `queued`, `in_progress`, or a terminal one: `completed`, `incomplete`, `failed`, `cancelled`, `expired`.
    pub status: String,
    /// What came of it: `answered`, `no_answer`, `human_owned`, `superseded`, `fallback`.
    pub outcome: Option<String>,
    /// Why the text ends early: `max_tokens`, `content_filter`.
    pub incomplete_reason: Option<String>,
    /// In the customer's words.
    pub question: String,
    /// What was searched for.
    pub standalone_question: Option<String>,
    /// What is said to the customer.
    pub answer: Option<Said>,
    /// The passages that the model saw.
    pub sources: Vec<Source>,
    /// The places in the text that cite them.
    pub citations: Vec<Citation>,
    /// `1 - nearest_distance`, from 0 to 1.
    pub confidence: Option<f64>,
    /// Cosine distance of the nearest passage, 0 to 2.
    pub nearest_distance: Option<f64>,
    /// What it was compared with.
    pub escalation_threshold: Option<f64>,
    /// Whether a human is asked for.
    pub needs_escalation: bool,
    /// The escalation, when a human is asked for.
    pub escalation: Option<Escalated>,
    /// What of the text is founded.
    pub grounding: Option<Grounding>,
    /// What it cost.
    pub usage: Option<Used>,
    /// The attempt that made it, from 1; 0 before the first.
    pub attempt: i32,
    /// Why there is no answer.
    pub error: Option<String>,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// When a worker took it first.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was settled.
    pub completed_at: Option<DateTime<Utc>>,
    /// What the caller gave along.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
}

/// What is said to a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// The text; `[n]` cites the source with that number.
    pub text: String,
    /// The locale that was asked in.
    pub language: Option<String>,
    /// Why the model ended, in its server's words.
    pub finish_reason: Option<String>,
}

/// A passage that the model saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its number in the text, from 1.
    pub n: u32,
    /// The source's name.
    pub source: String,
    /// The document's key.
    pub key: String,
    /// The document's title.
    pub title: String,
    /// The document's address in the shop.
    pub url: Option<String>,
    /// Cosine distance to the question.
    pub distance: f64,
    /// `1 - distance`, from 0 to 1.
    pub score: f64,
    /// Whether the text cites it.
    pub cited: bool,
}

/// Why a human is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Escalated {
    /// Of the session's open escalation, which may have been made for an earlier question.
    pub id: Uuid,
    /// `low_confidence`, `no_passages`, `ungrounded`, `asked_for_human`, `failed`, `paused`.
    pub reason: String,
    /// `open` or `acknowledged`.
    pub status: String,
}

/// What an answer cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Used {
    /// Tokens of the question's vector.
    pub embedding_tokens: u64,
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens that the model said.
    pub output_tokens: u64,
    /// The chat model.
    pub model: String,
    /// Dollars, by the prices of the settings.
    pub cost: f64,
}

impl AnswerObject {
    /// Whether nothing more will happen to it.
    pub fn is_settled(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "in_progress")
    }
}
