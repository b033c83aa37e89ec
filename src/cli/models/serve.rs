//! `models serve`: offline models behind `OpenAI`'s protocol.

use std::{future, net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::{output, signal::until_signalled};
use crate::demo::models::{ByName, Completer, Embedder, Offer, Quirk};
use crate::demo::{self, models};

#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// Makes vectors: all-MiniLM-L6-v2, multilingual-e5-small, or hashes of words (no meaning, any dimension, as fast as
    /// memory); without this, the model that a request names
    #[arg(long, value_enum)]
    embedder: Option<EmbedderChoice>,
    /// Answers: quotes of the passages in the prompt, or what the question was
    #[arg(long, value_enum, default_value = "extractive")]
    completer: CompleterChoice,
    /// Length of the hash vectors
    #[arg(long, default_value_t = 1536)]
    dimensions: u16,
    /// Added to each response
    #[arg(long, value_name = "TIME", default_value = "0s")]
    latency: humantime::Duration,
    /// Differ from OpenAI's server as a real one does; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = quirk)]
    quirk: Vec<Quirk>,
    /// Where to listen; keep it on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
}

/// Finds a quirk by its name.
fn quirk(name: &str) -> Result<Quirk, String> {
    Quirk::named(name).ok_or_else(|| {
        let names: Vec<_> = Quirk::all().map(Quirk::name).collect();
        format!("there are: {}", names.join(", "))
    })
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum EmbedderChoice {
    Minilm,
    E5,
    Hash,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum CompleterChoice {
    Extractive,
    Scripted,
}

pub(super) async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let Serve { embedder, completer, dimensions, latency, quirk, listen } = arguments;
    crate::telemetry::start("info", crate::telemetry::Format::Pretty, None);
    let embedder = match embedder {
        Some(EmbedderChoice::Minilm) => demo::minilm().await?,
        Some(EmbedderChoice::E5) => demo::e5().await?,
        Some(EmbedderChoice::Hash) => Embedder::hash(dimensions),
        None => {
            let hash = Offer::new(Embedder::HASH, move || future::ready(Ok(Embedder::hash(dimensions))));
            Embedder::ByName(ByName::new(demo::embedders().into_iter().chain([hash])))
        }
    };
    let completer = match completer {
        CompleterChoice::Extractive => Completer::Extractive,
        CompleterChoice::Scripted => Completer::Echo,
    };
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}: choose another with --listen"))?;
    let address = listener.local_addr()?;
    let ids: Vec<_> = embedder.ids().into_iter().chain([completer.id()]).collect();
    output::line(format!("serving {} at http://{address}/v1", ids.join(", ")));
    let models = models::Models::new(embedder, completer).with_latency(Duration::from(latency));
    for quirk in quirk {
        models.script().add_quirk(quirk);
    }
    let stop = CancellationToken::new();
    let serving = models::serve(listener, models, stop.clone());
    until_signalled(async { Ok(serving.await?) }, &stop).await
}
