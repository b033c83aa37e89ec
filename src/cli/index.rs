//! `index`: index versions, to change the embedding model without downtime.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{Format, open, output};
use crate::{
    indexing::versions,
    store::Store,
    store::versions::{Coverage, IndexStatus},
};

mod create;

#[derive(Debug, Subcommand)]
pub(super) enum Index {
    /// List the versions and how far each is filled
    List(Format),
    /// Fill a version for the model in [embedding.next], or continue; shows the cost first
    Create {
        /// For the model in [embedding.second], which is searched beside the active version once it is filled
        #[arg(long)]
        second: bool,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
        /// Wait until it is ready, and help with the work
        #[arg(long)]
        wait: bool,
    },
    /// Search this version from now on; the one before is kept up to date for a rollback
    Promote {
        /// Its number in `index list`
        version: i32,
        /// Even if it lacks documents that the active version has
        #[arg(long)]
        allow_missing: bool,
    },
    /// Search the previous version again
    Rollback {
        /// Even if it lacks documents that the active version has
        #[arg(long)]
        allow_missing: bool,
    },
    /// Delete a version that is not searched
    Drop {
        /// Its number in `index list`
        version: i32,
    },
}

pub(super) async fn index(index: Index, path: &Path) -> anyhow::Result<()> {
    let (config, store) = open(path).await?;
    match index {
        Index::List(format) => list(&store, format.json).await,
        Index::Create { second, yes, wait } => create::create(&config, &store, second, yes, wait).await,
        Index::Promote { version, allow_missing } => promote(&store, version, allow_missing).await,
        Index::Rollback { allow_missing } => {
            let before = store.index_before().await?.context("there is no previously active version")?;
            promote(&store, before, allow_missing).await
        }
        Index::Drop { version } => drop_version(&store, version).await,
    }
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    status: IndexStatus,
    #[serde(flatten)]
    coverage: Coverage,
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for status in store.index_status().await? {
        let coverage = store.coverage(status.version.id).await?;
        rows.push(Row { status, coverage });
    }
    output::list(json, "index", &rows, "version, model, dimensions, state, chunks, documents, fresh, failed")
}

async fn promote(store: &Store, version: i32, allow_missing: bool) -> anyhow::Result<()> {
    store.promote_index(version, allow_missing).await?;
    output::line(format!("index version {version} is searched from now on"));
    Ok(())
}

async fn drop_version(store: &Store, version: i32) -> anyhow::Result<()> {
    if !store.retire_index(version).await? {
        bail!("index version {version} is the active one or does not exist");
    }
    tokio::time::sleep(versions::DROP_DELAY).await;
    store.drop_index(version).await?;
    output::line(format!("index version {version} is dropped"));
    Ok(())
}
