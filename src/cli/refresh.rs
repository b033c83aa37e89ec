//! `refresh`: one document.

use std::path::Path;

use clap::Args;

use super::{open, output, require_source};
use crate::catalogue::DocumentId;

#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// The source's name
    source: String,
    /// The document's key
    key: String,
}

pub(super) async fn refresh(Refresh { source, key }: Refresh, path: &Path) -> anyhow::Result<()> {
    let (config, store) = open(path).await?;
    require_source(&config, &source)?;
    let id = DocumentId { source, key };
    store.refresh_one(&id).await?;
    output::line(format!("{}/{} is queued; a running daemon refreshes it", id.source, id.key));
    Ok(())
}
