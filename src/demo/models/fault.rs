//! The faults that a script can cause.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The operation that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/chat/completions`
    Completions,
}

/// One way in which an endpoint fails. Faults of vectors or inputs do not affect completions.
///
/// In JSON: `{"status": {"code": 429, "retry_after_s": 2}}`, `"cut_connection"`, `{"slow_ms": 250}`,
/// `{"input_cap": 16}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An error status (400 to 599, else it counts as 500) with OpenAI's body for it.
    Status {
        /// The HTTP status.
        #[serde(deserialize_with = "error_status")]
        code: u16,
        /// The value of `Retry-After`, rounded up to seconds.
        #[serde(default, rename = "retry_after_s", deserialize_with = "seconds")]
        retry_after: Option<Duration>,
    },
    /// A 429 that no retry can cure: code `insufficient_quota`.
    InsufficientQuota,
    /// Status 200, half of the body, then the connection breaks.
    CutConnection,
    /// Nothing for this long, then the whole answer.
    #[serde(rename = "slow_ms", deserialize_with = "millis")]
    Slow(Duration),
    /// Half of the body, nothing for this long, then the rest.
    #[serde(rename = "slow_body_ms", deserialize_with = "millis")]
    SlowBody(Duration),
    /// Nothing until [`Script::release`](super::Script::release), then the whole answer.
    Held,
    /// One vector too few; a completion has no choice.
    WrongCount,
    /// Every vector without its last number.
    WrongDimension,
    /// The vectors in reverse order, each with its true `index`.
    WrongOrder,
    /// Status 200 with truncated JSON.
    BadJson,
    /// Status 200 with an HTML page, as from a proxy.
    Nonsense,
    /// The first number of the first vector is NaN (`null` in the float format).
    NotFinite,
    /// Zero vectors for inputs that contain this text, as some servers return for what they cannot embed.
    Zeros(String),
    /// Vectors of NaN (`null` in the float format) for inputs that contain this text.
    Nan(String),
    /// A 400 with OpenAI's message for more inputs than this, else a correct answer.
    InputCap(usize),
    /// A 400 if an input contains this text, else a correct answer.
    Rejected(String),
    /// A 400 if the body contains this, else a correct answer: an option that the server does not know.
    Refuses(String),
    /// A completion with this text, whatever the question: a model that invents.
    Says(String),
    /// A correct answer whose headers say how little of the rate limit is left.
    Left {
        /// `x-ratelimit-remaining-requests`.
        requests: u64,
        /// `x-ratelimit-remaining-tokens`.
        tokens: u64,
    },
}

/// One line of a script as `POST /_script` accepts it: `{"operation": "embeddings", "fault": "held"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) operation: Operation,
    pub(super) fault: Fault,
    /// Whether the fault stays until it is cleared; otherwise it affects one request.
    #[serde(default)]
    pub(super) standing: bool,
}

fn error_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let code = u16::deserialize(deserializer)?;
    if !(400..=599).contains(&code) {
        return Err(serde::de::Error::custom(format!("{code} is not an error status (400 to 599)")));
    }
    Ok(code)
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn faults_are_read_from_json() {
        let status = Fault::Status { code: 429, retry_after: Some(Duration::from_secs(2)) };
        for (written, fault) in [
            (json!({"status": {"code": 429, "retry_after_s": 2}}), status),
            (json!({"slow_ms": 250}), Fault::Slow(Duration::from_millis(250))),
            (json!("cut_connection"), Fault::CutConnection),
            (json!({"input_cap": 16}), Fault::InputCap(16)),
        ] {
            assert_eq!(from_value::<Fault>(written).unwrap(), fault);
        }
        assert!(from_value::<Fault>(json!({"status": {"code": 200}})).is_err());
    }
}
