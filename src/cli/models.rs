//! `models`: offline models behind `OpenAI`'s protocol.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{output, signal::until_signalled};
use crate::demo::models::{Completer, Embedder, Minilm};
use crate::demo::{models, packages};

#[derive(Debug, Subcommand)]
pub(super) enum Models {
    /// Serve /v1/embeddings, /v1/chat/completions and /v1/models until stopped
    Serve {
        /// Makes vectors: all-MiniLM-L6-v2, or hashes of words (no meaning, any dimension, as fast as memory)
        #[arg(long, value_enum, default_value = "minilm")]
        embedder: EmbedderChoice,
        /// Answers: quotes of the passages in the prompt, or what the question was
        #[arg(long, value_enum, default_value = "extractive")]
        completer: CompleterChoice,
        /// Length of the hash vectors
        #[arg(long, default_value_t = 1536)]
        dimensions: u16,
        /// Added to each response
        #[arg(long, value_name = "TIME", default_value = "0s")]
        latency: humantime::Duration,
        /// Where to listen; keep it on loopback
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum EmbedderChoice {
    Minilm,
    Hash,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum CompleterChoice {
    Extractive,
    Scripted,
}

pub(super) async fn models(models: Models) -> anyhow::Result<()> {
    let Models::Serve { embedder, completer, dimensions, latency, listen } = models;
    crate::telemetry::start("info", crate::telemetry::Format::Pretty, None);
    let embedder = match embedder {
        EmbedderChoice::Minilm => Embedder::Minilm(Minilm::load(&packages::minilm_weights().await?)?),
        EmbedderChoice::Hash => Embedder::hash(dimensions),
    };
    let completer = match completer {
        CompleterChoice::Extractive => Completer::Extractive,
        CompleterChoice::Scripted => Completer::Echo,
    };
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}: choose another with --listen"))?;
    let address = listener.local_addr()?;
    output::line(format!("serving {} and {} at http://{address}/v1", embedder.id(), completer.id()));
    let models = models::Models::new(embedder, completer).with_latency(Duration::from(latency));
    let stop = CancellationToken::new();
    let serving = models::serve(listener, models, stop.clone());
    until_signalled(async { Ok(serving.await?) }, &stop).await
}
