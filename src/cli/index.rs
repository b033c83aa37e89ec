//! `index`: another embedding model without a gap.

use std::{io::IsTerminal, path::Path, time::Duration};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    CONFIGURATION, Exit, FAILED, output, plan, settings,
    waiting::{Progress, Stopped, backlog, given_up},
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
        versions::{IndexState, IndexVersion},
    },
};

/// Show the index versions; have one filled for another embedding model, and swap them
#[derive(Debug, Args)]
pub(super) struct Index {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the versions and how far each is filled
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a version filled for the model in [embedding.next], or go on with it; its cost is shown first
    Create {
        /// Do not ask whether the cost is right
        #[arg(long)]
        yes: bool,
        /// Wait until it is ready; helps with the work meanwhile
        #[arg(long)]
        wait: bool,
    },
    /// Search this version from now on; the one before is still written, so that there is a way back
    Promote {
        /// Its number in `index list`
        version: i32,
        /// Also when it lacks documents that the active version has
        #[arg(long)]
        allow_missing: bool,
    },
    /// Search the version before again
    Rollback {
        /// Also when it lacks documents that the active version has
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
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    match index.verb {
        Verb::List { json } => list(&store, json).await,
        Verb::Create { yes, wait } => create(&config, &store, yes, wait).await,
        Verb::Promote { version, allow_missing } => promote(&store, version, allow_missing).await,
        Verb::Rollback { allow_missing } => {
            let message = "there is no version that was active before".to_owned();
            let before = store.index_before().await?.ok_or(Exit { code: FAILED, message })?;
            promote(&store, before, allow_missing).await
        }
        Verb::Drop { version } => drop_version(&store, version).await,
    }
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let mut versions = Vec::new();
    for index in store.index_status().await? {
        let coverage = store.coverage(index.version.id).await?;
        versions.push((index, coverage));
    }
    if json {
        let index = versions.iter().map(|(index, coverage)| {
            json!({
                "version": index.version.id,
                "model": index.version.model,
                "dimensions": index.version.dimensions,
                "state": index.version.state,
                "chunks": index.chunks,
                "documents": coverage.documents,
                "fresh": coverage.fresh,
                "failed": coverage.failed,
            })
        });
        return output::json(&json!({ "index": index.collect::<Vec<_>>() }));
    }
    let rows = versions.iter().map(|(index, coverage)| {
        let version = &index.version;
        let numbers = [index.chunks, coverage.documents, coverage.fresh, coverage.failed];
        [
            version.id.to_string(),
            version.model.clone(),
            version.dimensions.to_string(),
            version.state.to_string(),
        ]
        .into_iter()
        .chain(numbers.map(|number| number.to_string()))
        .collect()
    });
    output::table(
        &["version", "model", "dimensions", "state", "chunks", "documents", "fresh", "failed"],
        rows,
    );
    Ok(())
}

async fn create(config: &Config, store: &Store, yes: bool, wait: bool) -> anyhow::Result<()> {
    let parts = daemon::prepare(config, store).await?;
    let [_, model] = parts.versions.models() else {
        let message = "the settings name no model for another index\n  write [embedding.next] with its model and \
                       dimensions, and have every daemon read it";
        return Err(Exit { code: CONFIGURATION, message: message.to_owned() }.into());
    };
    let (name, dimensions) = (model.model.name.clone(), model.model.dimensions);
    let known = store.index_versions().await?;
    let known = known
        .into_iter()
        .find(|index| parts.versions.model(index).is_some_and(|known| std::sync::Arc::ptr_eq(known, model)));
    let planned = known.clone().unwrap_or_else(|| IndexVersion {
        id: 0,
        model: name.clone(),
        dimensions: i32::try_from(dimensions).unwrap_or(i32::MAX),
        state: IndexState::Building,
    });
    let planned = Version { index: planned, model: model.clone() };
    let sources: Vec<_> = config.sources.iter().map(|source| source.name.clone()).collect();
    plan::show(&plan::plans(&parts, &planned, &sources).await?);
    if !yes && !confirmed(&format!("fill an index with {name}, {dimensions} dimensions?"))? {
        return Err(Exit { code: FAILED, message: "nothing was done; give --yes to go on".to_owned() }.into());
    }
    let version = match known {
        Some(version) => version,
        None => store.create_index(&name, dimensions).await?,
    };
    // It is not full before each of them was listed.
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

fn confirmed(question: &str) -> anyhow::Result<bool> {
    use std::io::Write;
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

/// How long what runs may take to finish when the version is not waited for any more.
const PARTING: Duration = Duration::from_secs(5);
/// The kinds of jobs that fill a version.
const FILLING: &[&str] = &[FillIndex::KIND, MaintainIndex::KIND, RefreshDocument::KIND];
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(200);

async fn until_ready(config: &Config, store: &Store, parts: &Parts, version: i32) -> anyhow::Result<()> {
    let workers = Workers::new(store);
    workers.start_refreshing(parts, &config.queue);
    workers.start(&parts.maintain, &config.queue.maintain_index);
    let sources: Vec<_> = config.sources.iter().map(|source| source.name.clone()).collect();
    let result = watched(store, parts, version, &sources).await;
    // The filling itself goes on until all is there: another takes it over when its lease runs out.
    let limit = if result.is_ok() { Duration::MAX } else { PARTING };
    let _ = tokio::time::timeout(limit, workers.stop()).await;
    result
}

async fn watched(store: &Store, parts: &Parts, version: i32, sources: &[String]) -> anyhow::Result<()> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "filling {bar:30} {pos}/{len} documents, {per_sec}, {eta} left {msg}",
    )?);
    let (mut progress, mut stopped) = (Progress::new(), Stopped::new(FILLING));
    loop {
        let versions = store.index_versions().await?;
        match versions.iter().find(|index| index.id == version).map(|index| index.state) {
            Some(IndexState::Building) => {}
            Some(_) => {
                bar.finish_and_clear();
                return Ok(());
            }
            None => {
                let message = format!("index version {version} was dropped meanwhile");
                return Err(Exit { code: FAILED, message }.into());
            }
        }
        let coverage = store.coverage(version).await?;
        bar.set_length(coverage.documents.unsigned_abs());
        bar.set_position((coverage.fresh + coverage.failed).unsigned_abs());
        if coverage.missing() == 0 {
            bar.set_message("(building its HNSW index)");
        }
        for text in stopped.news(store).await? {
            bar.suspend(|| output::note(text));
        }
        let failed = store.last_error(FillIndex::KIND, &version.to_string()).await?;
        // Jobs end also when another did their work: what counts is what is indexed.
        let left = coverage.missing().unsigned_abs();
        let stalled = progress.stalled(left, backlog(store, sources).await?.last_error);
        if let Some(reason) = failed.or(stalled) {
            bar.finish_and_clear();
            let message = format!("index version {version} waits: {reason}\n  a daemon goes on with it");
            return Err(given_up(store, parts, message).await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn promote(store: &Store, version: i32, allow_missing: bool) -> anyhow::Result<()> {
    store.promote_index(version, allow_missing).await?;
    output::line(format!("index version {version} is searched from now on"));
    Ok(())
}

/// Longer than a daemon goes on with what it has seen; one that cannot read it fails to write there.
const UNSEEN: Duration =
    versions::LOOK.saturating_add(versions::PATIENCE).saturating_add(Duration::from_secs(1));

async fn drop_version(store: &Store, version: i32) -> anyhow::Result<()> {
    if !store.retire_index(version).await? {
        let message = format!("index version {version} is the active one or does not exist");
        return Err(Exit { code: FAILED, message }.into());
    }
    tokio::time::sleep(UNSEEN).await;
    store.drop_index(version).await?;
    output::line(format!("index version {version} is gone"));
    Ok(())
}
