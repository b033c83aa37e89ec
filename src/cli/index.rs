//! `index`: index versions, to change the embedding model without downtime.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{
    Exit, Format, open, output, plan, selected_sources,
    waiting::{Watch, backlog, given_up},
};
use crate::{
    config::Config,
    daemon::{self, Parts, Workers},
    indexing::{
        fill::FillIndex,
        maintain::MaintainIndex,
        refresh::RefreshDocument,
        versions::{self, Version},
    },
    job::{BatchJob, Job},
    store::{
        Store,
        versions::{Coverage, IndexState, IndexStatus, IndexVersion},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Index {
    /// List the versions and how far each is filled
    List(Format),
    /// Fill a version for the model in [embedding.next], or continue; shows the cost first
    Create {
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
        Index::Create { yes, wait } => create(&config, &store, yes, wait).await,
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

async fn create(config: &Config, store: &Store, yes: bool, wait: bool) -> anyhow::Result<()> {
    let parts = daemon::prepare(config, store).await?;
    let [_, model] = parts.versions.models() else {
        bail!(Exit::usage(
            "the settings name no model for another index\n  add [embedding.next] with its model and dimensions, and \
             reload every daemon"
        ));
    };
    let (name, dimensions) = (model.model.name.clone(), model.model.dimensions);
    let known = store.index_versions().await?;
    let known = known
        .into_iter()
        .find(|index| parts.versions.model(index).is_some_and(|known| Arc::ptr_eq(known, model)));
    let planned = known.clone().unwrap_or_else(|| IndexVersion {
        id: 0,
        model: name.clone(),
        dimensions: i32::try_from(dimensions).unwrap_or(i32::MAX),
        state: IndexState::Building,
    });
    let planned = Version { index: planned, model: model.clone() };
    let sources = selected_sources(config, None);
    plan::show(&plan::plans(&parts, &planned, &sources).await?)?;
    if !yes && !confirm(&format!("fill an index with {name}, {dimensions} dimensions?"))? {
        bail!("nothing was done; give --yes to go on");
    }
    let version = match known {
        Some(version) => version,
        None => store.create_index(&name, dimensions).await?,
    };
    // The version is complete only after each of them was listed.
    store.note_sources(&sources).await?;
    FillIndex::enqueue(store, version.id).await?;
    if wait {
        until_ready(config, store, &parts, version.id).await?;
    }
    output::line(format!(
        "index version {}: {}; then `shopkeeper index promote {0}`",
        version.id,
        if wait {
            "it is ready"
        } else {
            "the daemons fill it, and `shopkeeper index list` shows how far it is"
        }
    ));
    Ok(())
}

fn confirm(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut terminal = std::io::stderr();
    write!(terminal, "{question} [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// How long running jobs may take to finish after waiting has ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const FILLING: &[&str] = &[FillIndex::KIND, MaintainIndex::KIND, RefreshDocument::KIND];
const POLL_INTERVAL: Duration = Duration::from_millis(200);

async fn until_ready(config: &Config, store: &Store, parts: &Parts, version: i32) -> anyhow::Result<()> {
    let workers = Workers::new(store);
    workers.start_refreshing(parts, &config.queue);
    workers.start(&parts.maintain, &config.queue.maintain_index);
    let result = watch(store, parts, version, &selected_sources(config, None)).await;
    // The job that fills the version runs until it is complete: another worker takes it over when its lease runs out.
    let limit = if result.is_ok() { Duration::MAX } else { STOP_TIMEOUT };
    let _ = tokio::time::timeout(limit, workers.stop()).await;
    result
}

async fn watch(store: &Store, parts: &Parts, version: i32, sources: &[String]) -> anyhow::Result<()> {
    let template = "filling {bar:30} {pos}/{len} documents, {per_sec}, {eta} left {msg}";
    let mut watch = Watch::new(store, FILLING, Some(template))?;
    loop {
        let versions = store.index_versions().await?;
        let index = versions.iter().find(|index| index.id == version);
        let index = index.with_context(|| format!("index version {version} was dropped meanwhile"))?;
        if index.state != IndexState::Building {
            return Ok(());
        }
        let coverage = store.coverage(version).await?;
        watch.bar.set_length(coverage.documents.unsigned_abs());
        watch.bar.set_position((coverage.fresh + coverage.failed).unsigned_abs());
        if coverage.missing() == 0 {
            watch.bar.set_message("(building its HNSW index)");
        }
        let failed = store.last_error(FillIndex::KIND, &version.to_string()).await?;
        // Jobs also end because others did their work: only indexed documents count as progress.
        let left = coverage.missing().unsigned_abs();
        let stalled = watch.stalled(left, backlog(store, sources).await?.last_error).await?;
        if let Some(reason) = failed.or(stalled) {
            let message = format!("index version {version} waits: {reason}\n  a daemon goes on with it");
            return Err(given_up(store, parts, message).await);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn promote(store: &Store, version: i32, allow_missing: bool) -> anyhow::Result<()> {
    store.promote_index(version, allow_missing).await?;
    output::line(format!("index version {version} is searched from now on"));
    Ok(())
}

/// Longer than daemons keep using the versions that they have read; later writes to a dropped version fail.
const DROP_DELAY: Duration =
    versions::MAX_AGE.saturating_add(versions::READ_TIMEOUT).saturating_add(Duration::from_secs(1));

async fn drop_version(store: &Store, version: i32) -> anyhow::Result<()> {
    if !store.retire_index(version).await? {
        bail!("index version {version} is the active one or does not exist");
    }
    tokio::time::sleep(DROP_DELAY).await;
    store.drop_index(version).await?;
    output::line(format!("index version {version} is dropped"));
    Ok(())
}
