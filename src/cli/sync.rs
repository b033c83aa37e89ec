//! `sync`: compare the sources with the index now, and with `--wait` refresh what differs.
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
    Exit, FAILED, REFUSED, exit_code, output, settings,
    waiting::{Progress, Stopped, backlog, given_up},
};
use crate::{
    config::Config,
    daemon::{self, Parts, Workers},
    indexing::fill::REFRESHING,
    store::{Store, status::Failure},
    sync::reconcile::{SyncError, SyncOptions, SyncReport},
};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Sync {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Refresh every document, also those that did not change
    #[arg(long)]
    full: bool,
    /// Wait until the documents are fresh or failed; helps with the work meanwhile
    #[arg(long)]
    wait: bool,
    /// Believe a source that lists far fewer documents than before
    #[arg(long)]
    allow_mass_delete: bool,
    /// Print one JSON object a line for each source
    #[arg(long)]
    json: bool,
}

/// What is synced and how.
pub(super) struct Order<'a> {
    /// The sources.
    pub(super) names: &'a [String],
    /// How each is compared.
    pub(super) options: SyncOptions,
    /// Whether to wait until the documents are fresh or failed.
    pub(super) wait: bool,
}

pub(super) async fn sync(arguments: Sync, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    let parts = daemon::prepare(&config, &store).await?;
    let names: Vec<_> = match arguments.source {
        Some(name) => vec![name],
        None => config.sources.iter().map(|source| source.name.clone()).collect(),
    };
    if let [name] = &*names
        && parts.sync.require(name).is_err()
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

/// What a sync of one source did, and which of its documents cannot be indexed.
#[derive(Serialize)]
pub(super) struct SyncResult {
    #[serde(flatten)]
    report: SyncReport,
    /// Documents that cannot be indexed as they are now.
    failed: i64,
    /// Why, the most frequent reason first.
    reasons: Vec<FailureReason>,
}

/// Documents of a source that cannot be indexed for one reason.
#[derive(Serialize)]
struct FailureReason {
    reason: String,
    documents: i64,
}

/// The documents of a source that left the settings; `None` when there are none.
async fn left_over(store: &Store, name: &str) -> anyhow::Result<Option<i64>> {
    let sources = store.source_status().await?;
    let documents = sources.into_iter().find(|source| source.source == name).map(|source| source.documents);
    Ok(documents.filter(|documents| *documents > 0))
}

/// Removes the documents of a source that left the settings: all at once, which the mass-delete guard allows only when asked.
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

/// Syncs sources one after the other. One that cannot be read does not keep the others from being synced;
/// the error that decides how the process ends comes back with what was done.
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
            Err(error) => worst = Some(worse(worst, error.into())),
        }
    }
    if order.wait
        && let Err(error) = wait(config, store, parts, &reports).await
    {
        worst = Some(worse(worst, error));
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
            Err(error) => worst = Some(worse(worst, error.into())),
        }
    }
    if order.wait
        && let Some(error) = failures(&synced)
    {
        worst = Some(worse(worst, error));
    }
    (synced, worst)
}

/// Waits while another process lists the source.
async fn sync_in_turn(parts: &Parts, name: &str, options: SyncOptions) -> Result<SyncReport, SyncError> {
    let mut is_told = false;
    loop {
        match parts.sync.sync(name, options).await {
            Err(error @ SyncError::Busy(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    output::note(format!("{error}; waiting for it"));
                }
                tokio::time::sleep(BUSY).await;
            }
            synced => return synced,
        }
    }
}

/// How often a listing that another process holds up is tried again.
const BUSY: Duration = Duration::from_millis(500);

/// Why documents failed that were waited for, if any did.
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
    Some(Exit { code: FAILED, message }.into())
}

/// Reasons shown for one source; `--json` has them all.
const REASONS: usize = 5;

/// Keeps the error with the higher exit code, and says the other one now.
fn worse(worst: Option<anyhow::Error>, new: anyhow::Error) -> anyhow::Error {
    let Some(worst) = worst else { return new };
    let (keep, say) = if exit_code(&new) > exit_code(&worst) { (new, worst) } else { (worst, new) };
    output::complain(&say);
    keep
}

pub(super) fn show(synced: &[SyncResult], json: bool) -> anyhow::Result<()> {
    if json {
        return synced.iter().try_for_each(output::json);
    }
    let rows = synced.iter().map(|SyncResult { report, failed, .. }| {
        let numbers = [
            report.listed,
            report.added,
            report.changed,
            report.removed,
            report.unchanged,
            report.enqueued,
            failed.unsigned_abs(),
            report.elapsed_ms,
        ];
        std::iter::once(report.source.clone()).chain(numbers.map(|number| number.to_string())).collect()
    });
    output::table(
        &["source", "listed", "added", "changed", "removed", "unchanged", "enqueued", "failed", "ms"],
        rows,
    );
    Ok(())
}

/// How often the backlog is looked at, where it is short: it is counted.
const LOOK: Duration = Duration::from_millis(100);

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

/// Waits until no refresh of these sources is pending, with a bar on a terminal; says why it does not wait longer.
async fn until_fresh(store: &Store, sources: &[String]) -> anyhow::Result<Option<String>> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "refreshing {bar:30} {pos}/{len} documents, {per_sec}, {eta} left",
    )?);
    let (mut progress, mut stopped) = (Progress::new(), Stopped::new(REFRESHING));
    loop {
        let began = Instant::now();
        let backlog = backlog(store, sources).await?;
        let pause = LOOK.max(10 * began.elapsed());
        let pending = backlog.pending;
        let total = bar.length().unwrap_or_default().max(pending);
        bar.set_length(total);
        bar.set_position(total - pending);
        if pending == 0 {
            bar.finish_and_clear();
            return Ok(None);
        }
        for text in stopped.news(store).await? {
            bar.suspend(|| output::note(text));
        }
        if let Some(why) = progress.stalled(pending, backlog.last_error) {
            bar.finish_and_clear();
            return Ok(Some(format!(
                "{pending} documents wait for another attempt: {why}\n  they stay queued, and a daemon goes on with them"
            )));
        }
        tokio::time::sleep(pause).await;
    }
}
