//! `refresh`: one document.

use std::path::Path;

use clap::Args;

use super::{output, settings};
use crate::{catalogue::DocumentId, daemon, store::Store};

#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// The source's name
    source: String,
    /// The document's key
    key: String,
}

pub(super) async fn refresh(arguments: Refresh, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    daemon::assemble(&config, &store).await?.sync.require(&arguments.source)?;
    let id = DocumentId { source: arguments.source, key: arguments.key };
    store.refresh_one(&id).await?;
    output::line(format!("{}/{} is queued; a running daemon refreshes it", id.source, id.key));
    Ok(())
}
