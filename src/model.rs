//! Models as the jobs see them: what they are asked, what they reply, and how they fail.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

mod error;
pub mod openai;
pub mod rate_limit;

pub use error::ModelError;

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
    /// What is left of the server's rate limits.
    pub left: RateLimitRemaining,
}

/// What is left of a server's rate limits this minute, for all clients with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RateLimitRemaining {
    pub requests: Option<u64>,
    pub tokens: Option<u64>,
}

/// Answers a prompt.
pub trait Completer: Send + Sync {
    /// Completes a prompt. `heard` is called with each piece of the text as it arrives.
    fn complete<'a>(
        &'a self,
        prompt: &'a Prompt,
        heard: Option<&'a OnDelta<'a>>,
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Completion, ModelError>>;
}

/// Called with each piece of a text.
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
    /// The speaker.
    pub role: Role,
    /// The text.
    pub content: String,
}

/// The speaker of a message.
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
    pub left: RateLimitRemaining,
}
