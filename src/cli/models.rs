//! `models`: model cards, the configured servers, and offline models.

use std::path::Path;

use clap::Subcommand;

pub(super) mod check;
mod list;
#[cfg(feature = "embedded")]
mod serve;

#[derive(Debug, Subcommand)]
pub(super) enum Models {
    /// List what is known of servers and models, from which settings take their defaults
    List(list::List),
    /// Ask the configured servers one of everything, and say what works, what was learnt, and what it cost
    Check(check::Check),
    /// Serve /v1/embeddings, /v1/chat/completions and /v1/models until stopped
    #[cfg(feature = "embedded")]
    Serve(serve::Serve),
}

pub(super) async fn models(models: Models, path: &Path) -> anyhow::Result<()> {
    match models {
        Models::List(arguments) => list::list(&arguments),
        Models::Check(arguments) => check::check(&arguments, path).await,
        #[cfg(feature = "embedded")]
        Models::Serve(arguments) => serve::serve(arguments).await,
    }
}
