//! An OpenAI-compatible model server on loopback: for the demo, the tests and the benchmarks.
//!
//! It promises the wire format of `/v1/embeddings` (float and base64), `/v1/chat/completions` (JSON and
//! server-sent events) and `/v1/models`, so that the one path from us to a model is the one that production
//! takes. Any model name and any bearer token (or none) is accepted; the answer carries the name asked for.
//! Equal requests get equal answers: nothing in an answer depends on the time or on chance.
//!
//! [`Embedder`] and [`Completer`] say which models answer; a [`Script`] makes any of them fail as a real
//! endpoint fails. Three more routes exist in this offline server only, so that another process can drive the
//! script: `POST /_script` adds lines such as `[{"operation": "embeddings", "fault": "held", "standing": true}]`,
//! `GET /_script` counts requests and inputs, `DELETE /_script` forgets faults, counts and bodies.
//!
//! It has no rate limits, `n > 1`, tools or log probabilities, and no access control: bind it to loopback.
//!
//! In a test, one line starts it; dropping the server stops it:
//!
//! ```no_run
//! # use shopkeeper::demo::models::{Completer, Embedder, Fault, Models, OfflineServer, Operation};
//! # async fn example() -> std::io::Result<()> {
//! let server = OfflineServer::start(Models::new(Embedder::hash(64), Completer::Extractive)).await?;
//! server.script().queue(Operation::Embeddings, [Fault::InsufficientQuota]);
//! let base_url = server.base_url(); // http://127.0.0.1:PORT/v1
//! # Ok(()) }
//! ```

mod completions;
mod embeddings;
mod extractive;
mod fault;
mod hash;
mod minilm;
mod reply;
mod routes;
mod script;

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use fault::{Fault, Operation};
pub use minilm::Minilm;
pub use script::Script;

/// How long a stopping server waits for answers under way. An inference of one batch takes about a second.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Turns texts into vectors.
#[derive(Clone)]
pub enum Embedder {
    /// all-MiniLM-L6-v2 with 384 dimensions: real meaning, tens of texts a second.
    Minilm(Minilm),
    /// Unit vectors computed from the words of a text: texts that share words are near. As fast as memory.
    Hash {
        /// Length of a vector when the request does not ask for another.
        dimensions: NonZeroU16,
    },
}

impl Embedder {
    /// Returns the hash embedder with this many dimensions; zero counts as one.
    pub fn hash(dimensions: u16) -> Self {
        Self::Hash { dimensions: NonZeroU16::new(dimensions).unwrap_or(NonZeroU16::MIN) }
    }

    /// The name under which `/v1/models` lists it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Minilm(_) => "all-MiniLM-L6-v2",
            Self::Hash { .. } => "hash",
        }
    }
}

/// Turns chat messages into an answer.
#[derive(Clone, Debug)]
pub enum Completer {
    /// Quotes the best sentences of the passages in the prompt with citations, and refuses when none fits.
    /// It never states a number that the passages do not hold.
    Extractive,
    /// Answers the last user message.
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
    /// Models that answer at once and without faults.
    pub fn new(embedder: Embedder, completer: Completer) -> Self {
        Self { embedder, completer, script: Script::default(), latency: Duration::ZERO }
    }

    /// Adds this to the time of every answer, as a distant endpoint would.
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

/// Serves the models until `stop`, then waits a short time (5 s) for the answers under way.
pub async fn serve(listener: TcpListener, models: Models, stop: CancellationToken) -> std::io::Result<()> {
    let router = routes::router(models, stop.clone());
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_LIMIT).await;
    };
    tokio::select! {
        ended = server => ended,
        () = overdue => Ok(()),
    }
}

/// A server on a free loopback port that lives as long as this value.
#[derive(Debug)]
pub struct OfflineServer {
    base_url: String,
    script: Script,
    task: TaskTracker,
    stop: DropGuard,
}

impl OfflineServer {
    /// Starts serving on `127.0.0.1`; requests may be sent when it returns.
    pub async fn start(models: Models) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let script = models.script.clone();
        let stop = CancellationToken::new();
        let task = TaskTracker::new();
        let serving = serve(listener, models, stop.clone());
        task.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the offline model server failed");
            }
        });
        task.close();
        Ok(Self { base_url, script, task, stop: stop.drop_guard() })
    }

    /// `http://127.0.0.1:PORT/v1`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The script that decides which requests fail.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Stops it and waits until it has stopped.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.wait().await;
    }
}

#[cfg(test)]
mod tests;
