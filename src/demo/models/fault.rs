//! What can go wrong, in the words in which a script says it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/chat/completions`
    Completions,
}

/// One way in which an endpoint fails. Those that concern vectors or inputs do nothing to a completion.
///
/// In JSON: `{"status": {"code": 429, "retry_after_s": 2}}`, `"cut_connection"`, `{"slow_ms": 250}`,
/// `{"input_cap": 16}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An error status (400 to 599, else it counts as 500) with OpenAI's body for it.
    Status {
        /// The HTTP status.
        #[serde(deserialize_with = "error_status")]
        code: u16,
        /// Value of `Retry-After`, rounded up to seconds.
        #[serde(
            default,
            rename = "retry_after_s",
            with = "seconds",
            skip_serializing_if = "Option::is_none"
        )]
        retry_after: Option<Duration>,
    },
    /// A 429 that no retry heals: code `insufficient_quota`.
    InsufficientQuota,
    /// Status 200, half of the body, then the connection breaks.
    CutConnection,
    /// Nothing for this long, then the whole answer.
    #[serde(rename = "slow_ms", with = "millis")]
    Slow(Duration),
    /// Half of the body, nothing for this long, then the rest.
    #[serde(rename = "slow_body_ms", with = "millis")]
    SlowBody(Duration),
    /// Nothing until [`Script::release`](super::Script::release), then the whole answer.
    Held,
    /// One vector too few; a completion has no choice.
    WrongCount,
    /// Every vector lacks its last number.
    WrongDimension,
    /// The vectors in reverse, each with its true `index`.
    WrongOrder,
    /// Status 200 with JSON that ends too early.
    BadJson,
    /// Status 200 with an HTML page, as from a proxy.
    Nonsense,
    /// The first number of the first vector is NaN (`null` in the float format).
    NotFinite,
    /// Vectors of zeros for inputs that have this text in them, as some servers give for what they cannot embed.
    Zeros(String),
    /// Vectors of NaN (`null` in the float format) for inputs that have this text in them.
    Nan(String),
    /// A 400 with OpenAI's message when there are more inputs than this, else a right answer.
    InputCap(usize),
    /// A 400 when an input has this text in it, else a right answer.
    Rejected(String),
    /// A 400 when this stands in the request's body, else a right answer: an option that the server does not know.
    Refuses(String),
    /// A completion with this text, whatever was asked: a model that invents.
    Says(String),
    /// A right answer that says how little may still be asked this minute.
    Left {
        /// `x-ratelimit-remaining-requests`.
        requests: u64,
        /// `x-ratelimit-remaining-tokens`.
        tokens: u64,
    },
}

/// One line of a script as `POST /_script` takes it: `{"operation": "embeddings", "fault": "held"}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Which requests it is for.
    pub operation: Operation,
    /// What happens to them.
    pub fault: Fault,
    /// Whether it stays until it is cleared. Otherwise the next request uses it up.
    #[serde(default)]
    pub standing: bool,
}

/// Rounds up, for `Retry-After` knows whole seconds only.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn error_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let code = u16::deserialize(deserializer)?;
    if !(400..=599).contains(&code) {
        return Err(serde::de::Error::custom(format!("{code} is not an error status (400 to 599)")));
    }
    Ok(code)
}

mod millis {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(duration.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with this signature")]
    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&super::whole_seconds(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_reads_and_writes_as_json() {
        let lines = json!([
            {"operation": "embeddings", "fault": {"status": {"code": 429, "retry_after_s": 2}}},
            {"operation": "completions", "fault": {"slow_ms": 250}, "standing": true},
            {"operation": "embeddings", "fault": "cut_connection"},
            {"operation": "embeddings", "fault": {"input_cap": 16}},
        ]);
        let parsed: Vec<Line> = serde_json::from_value(lines).unwrap();
        let two_seconds = Some(Duration::from_secs(2));
        assert_eq!(parsed[0].fault, Fault::Status { code: 429, retry_after: two_seconds });
        assert_eq!(parsed[1].fault, Fault::Slow(Duration::from_millis(250)));
        let written = serde_json::to_string(&parsed).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Line>>(&written).unwrap(), parsed);
        let success = json!({"operation": "embeddings", "fault": {"status": {"code": 200}}});
        assert!(serde_json::from_value::<Line>(success).is_err());
    }
}
