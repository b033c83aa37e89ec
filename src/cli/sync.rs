//! `sync`: compares the sources with the index now, and with `--wait` refreshes the differences.
//!
//! While it waits, this process works on the queue, so it needs no daemon.

use std::{path::Path, time::Duration};

use clap::Args;

use self::result::{SyncResult, failure};
use super::{exit_code, open, output, selected_sources};
use crate::daemon::{self, Parts};
use crate::sync::{
    reconcile::SyncOptions,
    report::{SyncError, SyncReport},
};
use crate::{config::Config, store::Store};

mod removal;
mod result;
mod wait;

pub(super) use result::show;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Sync {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Also refresh unchanged documents
    #[arg(long)]
    full: bool,
    /// Wait until the documents are fresh or failed, and help with the work
    #[arg(long)]
    wait: bool,
    /// Accept a source that lists far fewer documents than before
    #[arg(long)]
    allow_mass_delete: bool,
    /// Print one JSON object per source and line
    #[arg(long)]
    json: bool,
}

pub(super) struct Order<'a> {
    pub(super) names: &'a [String],
    pub(super) options: SyncOptions,
    /// Whether to wait until the documents are fresh or failed.
    pub(super) wait: bool,
}

pub(super) async fn sync(arguments: Sync, path: &Path) -> anyhow::Result<()> {
    let (config, store) = open(path).await?;
    let parts = daemon::prepare(&config, &store).await?;
    let names = selected_sources(&config, arguments.source);
    if let [name] = &*names
        && !config.has_source(name)
        && let Some(documents) = removal::left_over(&store, name).await?
    {
        let removed = removal::remove_source(&store, name, documents, arguments.allow_mass_delete).await?;
        return show(&[removed], arguments.json);
    }
    let options = SyncOptions { full: arguments.full, allow_mass_delete: arguments.allow_mass_delete };
    let order = Order { names: &names, options, wait: arguments.wait };
    let (synced, error) = sync_all(&config, &store, &parts, &order).await;
    show(&synced, arguments.json)?;
    error.map_or(Ok(()), Err)
}

/// Syncs sources one by one, even after one fails. Returns the results, and the error that decides the exit code.
pub(super) async fn sync_all(
    config: &Config,
    store: &Store,
    parts: &Parts,
    order: &Order<'_>,
) -> (Vec<SyncResult>, Option<anyhow::Error>) {
    let mut reports = Vec::new();
    let mut worst = None;
    for name in order.names {
        match sync_in_turn(parts, name, order.options).await {
            Ok(report) => reports.push(report),
            Err(error) => keep_worst(&mut worst, error.into()),
        }
    }
    if order.wait
        && let Err(error) = wait::wait(config, store, parts, &reports).await
    {
        keep_worst(&mut worst, error);
    }
    let mut synced = Vec::new();
    for report in reports {
        match SyncResult::load(store, report).await {
            Ok(result) => synced.push(result),
            Err(error) => keep_worst(&mut worst, error),
        }
    }
    if order.wait
        && let Some(error) = failure(&synced)
    {
        keep_worst(&mut worst, error);
    }
    (synced, worst)
}

async fn sync_in_turn(parts: &Parts, name: &str, options: SyncOptions) -> Result<SyncReport, SyncError> {
    let mut is_told = false;
    loop {
        match parts.sync.sync(name, options).await {
            Err(error @ SyncError::Busy(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    output::note(format!("{error}; waiting for it"));
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            synced => return synced,
        }
    }
}

/// How often to retry while another process lists the source.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

fn keep_worst(worst: &mut Option<anyhow::Error>, new: anyhow::Error) {
    let is_worse = worst.as_ref().is_none_or(|worst| exit_code(&new) > exit_code(worst));
    if let Some(other) = if is_worse { worst.replace(new) } else { Some(new) } {
        output::error(&other);
    }
}
