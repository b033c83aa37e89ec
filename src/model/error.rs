//! Why a model did not answer.

use std::time::Duration;

use super::TokenUsage;

/// Why a model did not answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the model server at {server} {}", fault.because(reason))]
#[expect(missing_docs, reason = "the names say it")]
pub struct ModelError {
    pub server: String,
    pub fault: ModelFault,
    /// Without the text of a question.
    pub reason: String,
    /// What the failed request was charged, as far as it is known.
    pub spent: TokenUsage,
}

/// What can be done about a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ModelFault {
    /// The server is down, overloaded or slow: the same request may succeed later.
    Unavailable {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// Whether it replied. Then an input may be to blame: some servers fail with a 500 on what they cannot embed.
        has_replied: bool,
        /// Whether it has too many requests, by what it says.
        is_overloaded: bool,
    },
    /// The server refuses the key, the account, the model or the address, whatever the input is.
    Refused,
    /// The server will never accept this request.
    Rejected,
    /// The response is not what the protocol demands: another count or dimension of vectors, or no JSON.
    Nonsense,
}

impl ModelFault {
    fn because(self, reason: &str) -> String {
        match self {
            Self::Unavailable { .. } => format!("is not available: {reason}"),
            Self::Refused => format!("refuses the key, the account, the model or the address: {reason}"),
            Self::Rejected => format!("rejects the request: {reason}"),
            Self::Nonsense => format!("answers nonsense: {reason}"),
        }
    }
}

impl ModelError {
    /// The word for it in metrics.
    pub fn code(&self) -> &'static str {
        self.fault.into()
    }

    /// Whether the same request may be refused because of one of its inputs.
    pub fn may_blame_an_input(&self) -> bool {
        match self.fault {
            ModelFault::Unavailable { has_replied, retry_after, .. } => has_replied && retry_after.is_none(),
            ModelFault::Rejected | ModelFault::Nonsense => true,
            ModelFault::Refused => false,
        }
    }
}
