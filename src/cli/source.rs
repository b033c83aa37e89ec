//! `source`: describes shops, and shows what becomes of their rows.

use std::path::Path;

use clap::Subcommand;

mod discover;
mod preview;

#[derive(Debug, Subcommand)]
pub(super) enum Source {
    /// Look at a database or a feed, and print [[source]] sections for it
    Discover(discover::Discover),
    /// Show what becomes of a source's rows; nothing is embedded or stored
    Preview(preview::Preview),
}

pub(super) async fn source(source: Source, path: &Path) -> anyhow::Result<()> {
    match source {
        Source::Discover(discover) => discover::discover(discover, path).await,
        Source::Preview(preview) => preview::preview(preview, path).await,
    }
}
