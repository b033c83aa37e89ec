//! `sync`: compares the sources with the index now, and with `--wait` refreshes the differences.
//!
//! While it waits, this process is one more worker of the queue: it works with and without a daemon.

use std::{
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    Exit, REFUSED, exit_code, open, output, selected_sources,
    waiting::{Watch, backlog, given_up},
};
use crate::{
    config::Config,
    daemon::{self, Parts, Workers},
    indexing::fill::REFRESHING,
    store::{Store, documents::Failure, status::Backlog},
    sync::{
        reconcile::SyncOptions,
        report::{SyncError, SyncReport},
    },
};

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
        && let Some(documents) = left_over(&store, name).await?
    {
        let removed = remove_source(&store, name, documents, arguments.allow_mass_delete).await?;
        return show(&[removed], arguments.json);
    }
    let options = SyncOptions { full: arguments.full, allow_mass_delete: arguments.allow_mass_delete };
    let order = Order { names: &names, options, wait: arguments.wait };
    let (synced, error) = sync_all(&config, &store, &parts, &order).await;
    show(&synced, arguments.json)?;
    error.map_or(Ok(()), Err)
}

#[derive(Serialize)]
pub(super) struct SyncResult {
    #[serde(flatten)]
    report: SyncReport,
    /// Documents that cannot be indexed.
    failed: i64,
    /// The most frequent reason first.
    reasons: Vec<FailureReason>,
}

#[derive(Serialize)]
struct FailureReason {
    reason: String,
    documents: i64,
}

/// Counts the documents of a source that left the settings; `None` if it has none.
async fn left_over(store: &Store, name: &str) -> anyhow::Result<Option<i64>> {
    let sources = store.source_status().await?;
    let documents = sources.into_iter().find(|source| source.source == name).map(|source| source.documents);
    Ok(documents.filter(|documents| *documents > 0))
}

/// Removes all documents of a source that left the settings, if the mass-delete guard is told to allow it.
async fn remove_source(
    store: &Store,
    name: &str,
    documents: i64,
    is_allowed: bool,
) -> anyhow::Result<SyncResult> {
    if !is_allowed {
        let message = format!(
            "the settings have no source `{name}` any more, and its {documents} documents are still searched\n  \
             to remove them, run `shopkeeper sync --source {name} --allow-mass-delete`"
        );
        return Err(Exit { code: REFUSED, message }.into());
    }
    let bar = ProgressBar::new(documents.unsigned_abs())
        .with_style(ProgressStyle::with_template("removing {bar:30} {pos}/{len} documents")?);
    let (started, mut report) = (Instant::now(), SyncReport::new(name));
    while let deleted @ 1.. = store.delete_documents(name).await? {
        report.removed += deleted;
        bar.inc(deleted);
    }
    bar.finish_and_clear();
    store.note_synced(name, 0).await?;
    report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(SyncResult { report, failed: 0, reasons: Vec::new() })
}

/// Syncs sources one after the other, also after one failed. Returns the results, and the error that decides the exit
/// code.
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
        && let Err(error) = wait(config, store, parts, &reports).await
    {
        keep_worst(&mut worst, error);
    }
    let mut synced = Vec::new();
    for report in reports {
        match store.failures(Some(&report.source), None).await {
            Ok(failures) => {
                let failed = failures.iter().map(|failure| failure.documents).sum();
                let reason = |Failure { reason, documents, .. }| FailureReason { reason, documents };
                let reasons = failures.into_iter().map(reason).collect();
                synced.push(SyncResult { report, failed, reasons });
            }
            Err(error) => keep_worst(&mut worst, error.into()),
        }
    }
    if order.wait
        && let Some(error) = failures(&synced)
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

/// How often a sync is tried again while another process lists the source.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

fn failures(synced: &[SyncResult]) -> Option<anyhow::Error> {
    let failed: i64 = synced.iter().map(|synced| synced.failed).sum();
    if failed == 0 {
        return None;
    }
    let mut message = format!("{failed} documents could not be indexed");
    for SyncResult { report, reasons, .. } in synced {
        for FailureReason { reason, documents } in reasons.iter().take(REASONS) {
            // Writing to a string cannot fail.
            let _ = write!(message, "\n  {documents} of {}: {reason}", report.source);
        }
    }
    Some(anyhow::Error::msg(message))
}

/// Reasons shown for one source; `--json` has them all.
const REASONS: usize = 5;

/// Keeps the error with the higher exit code, and prints the other one.
fn keep_worst(worst: &mut Option<anyhow::Error>, new: anyhow::Error) {
    let is_worse = worst.as_ref().is_none_or(|worst| exit_code(&new) > exit_code(worst));
    if let Some(other) = if is_worse { worst.replace(new) } else { Some(new) } {
        output::error(&other);
    }
}

pub(super) fn show(synced: &[SyncResult], json: bool) -> anyhow::Result<()> {
    if json {
        return synced.iter().try_for_each(output::json);
    }
    let columns = "source, listed, added, changed, removed, unchanged, enqueued, failed, elapsed_ms as ms";
    output::rows_table(synced, columns)
}

const POLL_INTERVAL: Duration = Duration::from_millis(100);

async fn wait(config: &Config, store: &Store, parts: &Parts, reports: &[SyncReport]) -> anyhow::Result<()> {
    let workers = Workers::new(store);
    workers.start_refreshing(parts, &config.queue);
    let sources: Vec<_> = reports.iter().map(|report| report.source.clone()).collect();
    let stalled = until_fresh(store, &sources).await;
    workers.stop().await;
    match stalled? {
        Some(message) => Err(given_up(store, parts, message).await),
        None => Ok(()),
    }
}

/// Waits until no refresh of these sources is pending; returns why it gave up, if it did.
async fn until_fresh(store: &Store, sources: &[String]) -> anyhow::Result<Option<String>> {
    let template = "refreshing {bar:30} {pos}/{len} documents, {per_sec}, {eta} left";
    let mut watch = Watch::new(store, REFRESHING, Some(template))?;
    loop {
        let began = Instant::now();
        let Backlog { pending, last_error } = backlog(store, sources).await?;
        // Counting takes at most a tenth of the time.
        let pause = POLL_INTERVAL.max(10 * began.elapsed());
        let total = watch.bar.length().unwrap_or_default().max(pending);
        watch.bar.set_length(total);
        watch.bar.set_position(total - pending);
        if pending == 0 {
            return Ok(None);
        }
        if let Some(why) = watch.stalled(pending, last_error).await? {
            return Ok(Some(format!(
                "{pending} documents wait for another attempt: {why}\n  they stay queued, and a daemon goes on with them"
            )));
        }
        tokio::time::sleep(pause).await;
    }
}
