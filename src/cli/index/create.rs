//! `index create`: fills a version for the next model, after showing what it costs.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cli::exit::given_up;
use crate::cli::waiting::{Watch, backlog};
use crate::cli::{Exit, output, plan, selected_sources};
use crate::daemon::{self, Parts, Workers};
use crate::indexing::{
    fill::FillIndex, maintain::MaintainIndex, refresh::RefreshDocument, versions::Version,
};
use crate::job::{BatchJob, Job};
use crate::store::versions::IndexState;
use crate::{config::Config, store::Store};

pub(super) async fn create(
    config: &Config,
    store: &Store,
    second: bool,
    yes: bool,
    wait: bool,
) -> anyhow::Result<()> {
    let parts = daemon::prepare(config, store).await?;
    let (section, model) = if second {
        ("embedding.second", parts.versions.second_model())
    } else {
        ("embedding.next", parts.versions.next_model())
    };
    let Some(model) = model else {
        bail!(Exit::usage(format!(
            "the settings name no model for another index\n  add [{section}] with its model and dimensions, and reload \
             every daemon"
        )));
    };
    let (name, dimensions) = (model.model.name.clone(), model.model.dimensions);
    let planned = Version::planned(model, &store.index_versions().await?);
    let sources = selected_sources(config, None);
    plan::show(&plan::plans(&parts, std::slice::from_ref(&planned), &sources).await?)?;
    if !yes && !confirm(&format!("fill an index with {name}, {dimensions} dimensions?"))? {
        bail!("nothing was done; give --yes to go on");
    }
    let version =
        if planned.exists() { planned.index } else { store.create_index(&name, dimensions).await? };
    parts.versions.keep_forms().await?;
    // The version is complete only once each of them has been listed.
    store.note_sources(&sources).await?;
    FillIndex::enqueue(store, version.id).await?;
    if wait {
        until_ready(config, store, &parts, version.id).await?;
    }
    let progress = if wait {
        "it is ready"
    } else {
        "the daemons fill it, and `shopkeeper index list` shows how far it is"
    };
    let then = if second {
        "then it is searched beside the active one".to_owned()
    } else {
        format!("then `shopkeeper index promote {}`", version.id)
    };
    output::line(format!("index version {}: {progress}; {then}", version.id));
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

/// How long running jobs may take to finish after the wait.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const FILLING: &[&str] = &[FillIndex::KIND, MaintainIndex::KIND, RefreshDocument::KIND];
const POLL_INTERVAL: Duration = Duration::from_millis(200);

async fn until_ready(config: &Config, store: &Store, parts: &Parts, version: i32) -> anyhow::Result<()> {
    let workers = Workers::new(store);
    workers.start_refreshing(parts, &config.queue);
    workers.start(&parts.maintain, &config.queue.maintain_index);
    let result = watch(store, parts, version, &selected_sources(config, None)).await;
    // The job that fills the version runs until it is complete: another worker takes it over when the lease expires.
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
        // A job may end because another one did its work: only indexed documents count as progress.
        let left = coverage.missing().unsigned_abs();
        let stalled = watch.stalled(left, backlog(store, sources).await?.last_error).await?;
        if let Some(reason) = failed.or(stalled) {
            let message = format!("index version {version} waits: {reason}\n  a daemon goes on with it");
            return Err(given_up(store, parts, message).await);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
