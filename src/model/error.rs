//! Why a model did not answer.

use std::time::Duration;

/// Why a model did not answer, by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ModelError {
    /// The server is down, overloaded or slow: the same request may succeed later.
    #[error("the model server at {server} is not available: {reason}")]
    Unavailable {
        server: String,
        reason: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server refuses the key or the account: someone must pay or correct the key.
    #[error("the model server at {server} refuses the key or the account: {reason}")]
    Refused { server: String, reason: String },
    /// The server will never accept this request.
    #[error("the model server at {server} rejects the request: {reason}")]
    Rejected { server: String, reason: String },
    /// The response is not what the protocol demands: another count or dimension of vectors, or no JSON.
    #[error("the model server at {server} answers nonsense: {reason}")]
    Nonsense {
        server: String,
        /// What was wrong, with both numbers where there are two.
        reason: String,
    },
    /// The server has no usable vector for some of several inputs. A request without them may succeed.
    #[error("the model server at {server} answers nonsense: {reason}")]
    #[strum(serialize = "nonsense")]
    NoVector {
        server: String,
        /// What is wrong with the first such vector.
        reason: String,
    },
}

impl ModelError {
    /// The word for it in metrics.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}
