//! The answer object, the same for every caller: in the API, the webhooks and the events.
//!
//! Whatever is stored can be read. A part that another version of the program wrote in another shape, or a number that
//! JSON cannot represent, is read as far as possible; the rest gets its default.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use strum::{Display, IntoStaticStr, VariantNames};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::answering::{
    Passage,
    grounding::{Citation, Grounding},
};

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

/// How far a question is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    Display,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum AnswerStatus {
    #[default]
    Queued,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
    Expired,
}

/// The result of a question.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AnswerOutcome {
    /// The passages answer it.
    Answered,
    /// They do not, and the refusal was given.
    NoAnswer,
    /// A human has the session.
    HumanOwned,
    /// A later question of the session took its place.
    Superseded,
    /// Models may not be asked; the customer got the fallback.
    Fallback,
}

/// Why a text ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum IncompleteReason {
    MaxTokens,
    ContentFilter,
}

/// Why a human is asked for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EscalationReason {
    /// The nearest passage is too far, or the model refused.
    LowConfidence,
    /// Nothing was found.
    NoPassages,
    /// The answer claims or cites what no passage says.
    Ungrounded,
    /// The question could not be answered.
    Failed,
    /// The customer wants to speak to a human.
    AskedForHuman,
    /// No model may be asked.
    Paused,
}

/// Whether a human has taken an escalation.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    Display,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EscalationStatus {
    #[default]
    Open,
    Acknowledged,
}

/// A customer's opinion of an answer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Rating {
    Up,
    Down,
}

/// Who answers in a session.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Display, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[schema(as = Owner)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SessionOwner {
    Bot,
    Human,
}

/// The reply to a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Stored")]
pub struct AnswerText {
    /// The text; `[n]` cites the source with that number.
    pub text: String,
    /// The locale of the question.
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
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens of the completions.
    pub output_tokens: u64,
    /// The chat model.
    pub model: String,
    /// Dollars, by the prices of the settings.
    pub cost: f64,
}

/// What a settled question gets: columns of its row.
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

impl AnswerStatus {
    /// Whether the status is terminal.
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

impl Settlement {
    /// Whether the check against the passages found no fault.
    pub fn is_sound(&self) -> bool {
        self.grounding.as_ref().is_none_or(Grounding::is_sound)
    }
}

impl Source {
    /// Numbers passages, and marks those that are cited.
    pub fn list(passages: &[Passage], citations: &[Citation]) -> Vec<Self> {
        let source = |(n, passage): (u32, &Passage)| Self {
            n,
            source: passage.source.clone(),
            key: passage.key.clone(),
            title: passage.title.clone(),
            url: passage.url.clone(),
            distance: passage.distance,
            score: passage.score,
            cited: citations.iter().any(|citation| citation.source == n),
        };
        (1..).zip(passages).map(source).collect()
    }
}

/// A stored object, each field of it as text: not every number that PostgreSQL holds is one that Rust does.
pub(super) type Stored = BTreeMap<String, Box<RawValue>>;

/// Reads a field of a stored object, or its default if it is missing or has another type.
pub(super) fn field<T: DeserializeOwned + Default>(stored: &Stored, name: &str) -> T {
    stored.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Reads the named fields of a stored object, each on its own.
macro_rules! from_stored {
    ($type:ident { $($field:ident),* }) => {
        impl From<$crate::answering::object::Stored> for $type {
            fn from(stored: $crate::answering::object::Stored) -> Self {
                Self { $($field: $crate::answering::object::field(&stored, stringify!($field)),)* }
            }
        }
    };
}
pub(super) use from_stored;

from_stored!(AnswerText { text, language, finish_reason });
from_stored!(AnswerUsage { embedding_tokens, input_tokens, output_tokens, model, cost });

impl From<Stored> for Source {
    fn from(stored: Stored) -> Self {
        Self {
            n: field(&stored, "n"),
            source: field(&stored, "source"),
            key: field(&stored, "key"),
            title: field(&stored, "title"),
            url: field(&stored, "url"),
            // The largest cosine distance.
            distance: field::<Option<_>>(&stored, "distance").unwrap_or(2.0),
            score: field(&stored, "score"),
            cited: field(&stored, "cited"),
        }
    }
}

/// Reads a stored value, or its default if it has another type.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}
