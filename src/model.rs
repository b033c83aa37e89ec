//! Models as the jobs see them: what they are asked, what they reply, and how they fail.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub mod cards;
mod error;
pub mod learned;
pub mod openai;
pub mod rate_limit;

pub use error::{ModelError, ModelFault};
use learned::Learned;

/// A model's name and the length of its vectors. Vectors of two models are never compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// The model's name at its server.
    pub name: String,
    /// Numbers in one vector.
    pub dimensions: u32,
}

/// The side of a search that a text is on: asymmetric models embed the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum InputRole {
    Document,
    Question,
}

/// What asymmetric models want with a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputForm {
    /// Put before each text.
    pub prefix: String,
    /// Merged into the JSON of the request.
    pub extra_body: Map<String, Value>,
}

impl InputForm {
    /// Identifies the form.
    pub fn text(&self) -> String {
        format!("{} {}", self.prefix, Value::from(self.extra_body.clone()))
    }

    /// Whether texts are embedded as they are.
    pub fn is_plain(&self) -> bool {
        self == &Self::default()
    }
}

/// Makes vectors of texts.
pub trait Embedder: Send + Sync {
    /// Embeds texts: as many vectors as inputs, in their order.
    fn embed<'a>(
        &'a self,
        role: InputRole,
        inputs: &'a [String],
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Embeddings, ModelError>>;

    /// What the server taught.
    fn learned(&self) -> &Learned;
}

/// Waits until the budget allows a second request in another form; returns false if it does not. The caller that
/// paid for the first request supplies it.
pub type RetryPermit<'a> = dyn Fn() -> BoxFuture<'a, bool> + Send + Sync + 'a;

/// A [`RetryPermit`] for requests that no budget limits.
pub fn unlimited<'a>() -> BoxFuture<'a, bool> {
    Box::pin(std::future::ready(true))
}

/// The vectors of one request.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// In the order of the inputs, each of the model's dimension and of length 1. An input that the server has no usable
    /// vector for has an error; at least one has none.
    pub vectors: Vec<Result<Vec<f32>, ModelError>>,
    /// Tokens that the server charged; `None` if it does not say.
    pub tokens: Option<u64>,
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

/// Tokens of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TokenUsage {
    pub input: u64,
    /// Thoughts included.
    pub output: u64,
    /// Whether the server did not say, and they are estimated.
    pub is_estimated: bool,
}

impl std::ops::AddAssign for TokenUsage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.output += other.output;
        self.is_estimated |= other.is_estimated;
    }
}

/// Answers a prompt.
pub trait Completer: Send + Sync {
    /// Completes a prompt. `on_delta` is called with each piece of the text as it arrives.
    fn complete<'a>(
        &'a self,
        prompt: &'a Prompt,
        on_delta: Option<&'a OnDelta<'a>>,
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Completion, ModelError>>;

    /// What the server taught.
    fn learned(&self) -> &Learned;
}

/// Called with each piece of a text.
pub type OnDelta<'a> = dyn Fn(Delta<'_>) + Send + Sync + 'a;

/// A piece of a text that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// The next piece.
    Text(&'a str),
    /// The pieces so far are void.
    Reset,
}

/// Messages for a chat model, oldest first, the question last.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Prompt {
    pub system: String,
    /// The conversation; ends with a user's message.
    pub messages: Vec<Message>,
    /// Sampling temperature, 0 to 2; `None` leaves it to the server.
    pub temperature: Option<f64>,
    pub max_tokens: u32,
    /// Tokens besides, where the model spends some on thoughts.
    pub thought_tokens: u32,
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
    /// Without thoughts.
    pub text: String,
    pub finish_reason: FinishReason,
    pub usage: TokenUsage,
    pub left: RateLimitRemaining,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FinishReason {
    /// The model was done, or its server gave another reason.
    Stop,
    /// The limit of tokens was reached, in the text or in thoughts before it.
    #[strum(serialize = "length")]
    MaxTokens,
    /// The server's filter ended it.
    ContentFilter,
}

/// Orders passages by how well they answer a question.
pub trait Reranker: Send + Sync {
    /// Scores texts for a question.
    fn rerank<'a>(
        &'a self,
        question: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<Reranking, ModelError>>;
}

/// The scores of one request.
#[derive(Clone, Debug)]
pub struct Reranking {
    /// Places in the request with their scores, the best first. Texts that the server left out are missing.
    pub scores: Vec<(usize, f64)>,
    /// Tokens that the server charged; `None` if it does not say.
    pub tokens: Option<u64>,
    /// What is left of the server's rate limits.
    pub left: RateLimitRemaining,
}

/// Estimates the tokens of a text: four characters each, and one for each character outside the Latin scripts.
pub fn estimate_tokens(text: &str) -> u64 {
    let (dense, other) = text.chars().fold((0_u64, 0_u64), |(dense, other), character| {
        if character >= '\u{2e80}' { (dense + 1, other) } else { (dense, other + 1) }
    });
    dense + other.div_ceil(4)
}
