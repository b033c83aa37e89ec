//! A question as a client asks it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::Message;

/// A client's question. Unknown fields are errors, so that a typing error does not ask another question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// In the customer's words.
    #[schema(min_length = 1)]
    pub question: String,
    /// The conversation it belongs to: the questions of one are answered one at a time, in their order.
    #[schema(min_length = 1, max_length = 255)]
    pub session_id: Option<String>,
    /// The customer, whose questions can be erased together.
    #[schema(min_length = 1, max_length = 255)]
    pub customer_id: Option<String>,
    /// The customer's language, as in `de-CH`.
    pub locale: Option<String>,
    /// The conversation before it, oldest first, instead of the session's.
    pub history: Option<Vec<Message>>,
    /// The sources to search; all by default.
    #[schema(min_items = 1)]
    pub sources: Option<Vec<String>>,
    /// Metadata that documents must have, as in `{"category": "Tents"}`.
    pub filter: Option<Map<String, Value>>,
    /// What to do while an earlier question of the session is open; `enqueue` by default.
    pub on_busy: Option<OnBusy>,
    /// Higher ones first; 10 by default.
    #[schema(minimum = -32768, maximum = 32767)]
    pub priority: Option<i16>,
    /// When it expires unless work on it has begun.
    pub start_before: Option<DateTime<Utc>>,
    /// Seconds after which it is cancelled unless it is answered.
    #[schema(exclusive_minimum = 0, exclusive_maximum = 31_536_000)]
    pub cancel_after_s: Option<f64>,
    /// The webhook to notify, by its name in the settings; all by default.
    pub webhook: Option<String>,
    /// Stored with the answer and returned with it.
    pub metadata: Option<Map<String, Value>>,
}

/// What to do with a question while an earlier one of its session is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBusy {
    /// It waits.
    Enqueue,
    /// It is refused.
    Reject,
    /// The others are cancelled.
    Supersede,
}
