//! What shopkeeper asks of models, and how their failures are told apart.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub mod openai;
pub mod rate_limit;

/// A model's name and the length of its vectors. Vectors of two models are never compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// The model's name at its server.
    pub name: String,
    /// Numbers in one vector.
    pub dimensions: u32,
}

/// Makes vectors of texts.
pub trait Embedder: Send + Sync {
    /// Embeds texts: as many vectors as inputs, in their order, each of the model's dimension and of
    /// length 1.
    fn embed<'a>(
        &'a self,
        inputs: &'a [String],
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Embeddings, ModelError>>;
}

/// Waits until the budget allows a second request in another format; returns false if it does not. The caller that
/// paid for the first request supplies it.
pub type RetryPermit<'a> = dyn Fn() -> BoxFuture<'a, bool> + Send + Sync + 'a;

/// An [`RetryPermit`] for requests that no budget limits.
pub fn unlimited<'a>() -> BoxFuture<'a, bool> {
    Box::pin(std::future::ready(true))
}

/// The vectors of one request.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// `inputs × dimensions`, in the order of the inputs.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the server charged.
    pub tokens: u64,
    /// What else it says.
    pub left: RateLimitRemaining,
}

/// What a server says may still be asked of it this minute, by everybody with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimitRemaining {
    /// Requests, when it says so.
    pub requests: Option<u64>,
    /// Tokens, when it says so.
    pub tokens: Option<u64>,
}

/// Answers a prompt.
pub trait Completer: Send + Sync {
    /// Completes a prompt. With `heard`, each piece of the text is handed over as it comes.
    fn complete<'a>(
        &'a self,
        prompt: &'a Prompt,
        heard: Option<&'a OnDelta<'a>>,
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Completion, ModelError>>;
}

/// Hears a text piece by piece.
pub type OnDelta<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// Messages for a chat model, oldest first, the question last.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Prompt {
    pub system: String,
    /// The conversation; ends with a user's message.
    pub messages: Vec<Message>,
    /// Sampling temperature, 0 to 2.
    pub temperature: f32,
    pub max_tokens: u32,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The customer.
    User,
    /// The model, or the shop's people.
    Assistant,
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Completion {
    pub text: String,
    /// Why it ended, in the server's words: `stop`, `length`, `content_filter`.
    pub finish_reason: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// What the server says may still be asked of it.
    pub left: RateLimitRemaining,
}

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
        /// When it asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// The server refuses the key or the account: someone must pay or correct the key.
    #[error("the model server at {server} refuses the key or the account: {reason}")]
    Refused { server: String, reason: String },
    /// The server will never accept this request.
    #[error("the model server at {server} rejects the request: {reason}")]
    Rejected { server: String, reason: String },
    /// The server answers what it must not: another count or dimension of vectors, or no JSON.
    #[error("the model server at {server} answers nonsense: {reason}")]
    Nonsense {
        server: String,
        /// What was wrong, with both numbers where there are two.
        reason: String,
    },
    /// The server has no usable vector for some of several inputs: asked without them, it serves the others.
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
