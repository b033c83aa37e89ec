//! An OpenAI-compatible model server on loopback: for the demo, the tests and the benchmarks.
//!
//! It implements the wire format of `/v1/embeddings` (float and base64), `/v1/chat/completions` (JSON and server-sent
//! events), `/v1/rerank` and `/v1/models`, so that calls take the same path as in production. It accepts any model name (for embeddings, unless there are several [by name](ByName)), which the
//! answer repeats, and any bearer token or none. Answers are deterministic: equal requests get equal answers.
//!
//! [`Embedder`] and [`Completer`] are the models; a [`Script`] makes them fail as a real endpoint fails. Three more
//! routes let another process control the script: `POST /_script` adds lines such as `[{"operation": "embeddings",
//! "fault": "held", "standing": true}]`, `GET /_script` counts requests and inputs, `DELETE /_script` clears faults,
//! counts and bodies.
//!
//! It has no rate limits, `n > 1`, tools or log probabilities, and no access control: bind it to loopback.
//!
//! In a test, one line starts it, and dropping the server stops it:
//!
//! ```no_run
//! # use shopkeeper::demo::models::{Completer, Embedder, Fault, Models, OfflineServer, Operation};
//! # async fn example() -> std::io::Result<()> {
//! let server = OfflineServer::start(Models::new(Embedder::hash(64), Completer::Extractive)).await?;
//! server.script().queue(Operation::Embeddings, [Fault::InsufficientQuota]);
//! let base_url = server.base_url(); // http://127.0.0.1:PORT/v1
//! # Ok(()) }
//! ```

mod by_name;
mod completions;
mod e5;
mod embeddings;
mod endpoint;
mod extractive;
mod fault;
mod hash;
mod memory;
mod minilm;
mod quirk;
mod reply;
mod rerank;
mod routes;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod transformer;
mod vector;

use std::{num::NonZeroU16, time::Duration};

pub use by_name::{ByName, Offer};
pub use e5::E5;
pub use fault::{Fault, Operation};
pub use minilm::Minilm;
pub use quirk::Quirk;
pub use script::Script;
pub use server::{OfflineServer, serve};

/// Turns texts into vectors.
#[derive(Clone)]
pub enum Embedder {
    /// all-MiniLM-L6-v2 with 384 dimensions: real meaning, tens of texts per second.
    Minilm(Minilm),
    /// multilingual-e5-small with 384 dimensions: the same for a hundred languages, half as fast.
    E5(E5),
    /// Unit vectors computed from the words of a text: texts that share words are close. As fast as memory.
    Hash {
        /// The vectors' length, unless the request asks for another.
        dimensions: NonZeroU16,
    },
    /// Several of these. The name in a request chooses; another name is refused.
    ByName(ByName),
}

impl Embedder {
    /// The name of the hash embedder.
    pub const HASH: &str = "hash";

    /// Returns the hash embedder with this many dimensions; zero counts as one.
    pub fn hash(dimensions: u16) -> Self {
        Self::Hash { dimensions: NonZeroU16::new(dimensions).unwrap_or(NonZeroU16::MIN) }
    }

    /// The names in `/v1/models`.
    pub fn ids(&self) -> Vec<&'static str> {
        match self {
            Self::Minilm(_) => vec![Minilm::ID],
            Self::E5(_) => vec![E5::ID],
            Self::Hash { .. } => vec![Self::HASH],
            Self::ByName(several) => several.ids(),
        }
    }
}

/// Turns chat messages into an answer.
#[derive(Clone, Debug)]
pub enum Completer {
    /// Quotes the best sentences of the passages with citations, or refuses. Never invents a number.
    Extractive,
    /// Repeats the last user message.
    Echo,
}

impl Completer {
    /// The name under which `/v1/models` lists it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Extractive => "extractive",
            Self::Echo => "scripted",
        }
    }

    fn complete(&self, messages: &[completions::Message]) -> String {
        match self {
            Self::Extractive => extractive::complete(messages),
            Self::Echo => completions::last_user_text(messages).to_owned(),
        }
    }
}

/// The models of one server, and their script.
#[derive(Clone)]
pub struct Models {
    embedder: Embedder,
    completer: Completer,
    script: Script,
    latency: Duration,
}

impl Models {
    /// Models that answer immediately and without faults.
    pub fn new(embedder: Embedder, completer: Completer) -> Self {
        Self { embedder, completer, script: Script::default(), latency: Duration::ZERO }
    }

    /// Delays every answer, as a distant endpoint would.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The script that decides which requests fail.
    pub fn script(&self) -> &Script {
        &self.script
    }
}
