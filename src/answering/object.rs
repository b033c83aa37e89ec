//! The answer object, the same for every caller: in the API, the webhooks and the events.
//!
//! What was stored can always be read: a part that another version of the program wrote in another shape, or a number
//! that JSON cannot hold, is read as far as it goes, and what remains is empty.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::answering::grounding::{Citation, Grounding};

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
    /// What it was compared with.
    #[serde(deserialize_with = "or_default")]
    pub escalation_threshold: Option<f64>,
    /// Whether a human is asked for.
    pub needs_escalation: bool,
    /// The escalation, when a human is asked for.
    pub escalation: Option<Escalated>,
    /// What of the text is founded.
    #[serde(deserialize_with = "or_default")]
    pub grounding: Option<Grounding>,
    /// What it cost.
    #[serde(deserialize_with = "or_default")]
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
#[serde(from = "Stored")]
pub struct AnswerText {
    /// The text; `[n]` cites the source with that number.
    pub text: String,
    /// The locale that was asked in.
    pub language: Option<String>,
    /// Why the model ended, in its server's words.
    pub finish_reason: Option<String>,
}

/// A passage that the model saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Stored")]
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
#[serde(from = "Stored")]
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

/// Used when a distance cannot be read: the largest cosine distance.
const FARTHEST: f64 = 2.0;

impl From<Stored> for AnswerText {
    fn from(stored: Stored) -> Self {
        Self {
            text: field(&stored, "text"),
            language: field(&stored, "language"),
            finish_reason: field(&stored, "finish_reason"),
        }
    }
}

impl From<Stored> for Source {
    fn from(stored: Stored) -> Self {
        Self {
            n: field(&stored, "n"),
            source: field(&stored, "source"),
            key: field(&stored, "key"),
            title: field(&stored, "title"),
            url: field(&stored, "url"),
            distance: field::<Option<_>>(&stored, "distance").unwrap_or(FARTHEST),
            score: field(&stored, "score"),
            cited: field(&stored, "cited"),
        }
    }
}

impl From<Stored> for Used {
    fn from(stored: Stored) -> Self {
        Self {
            embedding_tokens: field(&stored, "embedding_tokens"),
            input_tokens: field(&stored, "input_tokens"),
            output_tokens: field(&stored, "output_tokens"),
            model: field(&stored, "model"),
            cost: field(&stored, "cost"),
        }
    }
}

/// A stored object, each field of it as text: not every number that PostgreSQL holds is one that Rust does.
pub(super) type Stored = BTreeMap<String, Box<RawValue>>;

/// Reads a field of a stored object, or its default when it is missing or of another kind.
pub(super) fn field<T: DeserializeOwned + Default>(stored: &Stored, name: &str) -> T {
    stored.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Reads a stored value, or its default when it is of another kind.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}
