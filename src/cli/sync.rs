//! `sync`: compare the sources with the index now, and with `--wait` refresh what differs.
//!
//! While it waits, this process is one more worker of the queue: it works with and without a daemon.

use std::{path::Path, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    exit_code, output, settings,
    waiting::{Progress, Stopped, backlog, given_up},
};
use crate::{
    config::Config,
    daemon::{self, Parts, Workers},
    jobs::{
        index_documents::REFRESHING,
        sync_catalogue::{SyncOptions, SyncReport},
    },
    store::Store,
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
    let parts = daemon::assemble(&config, &store).await?;
    let names: Vec<_> = match arguments.source {
        Some(name) => vec![name],
        None => config.sources.iter().map(|source| source.name.clone()).collect(),
    };
    let options = SyncOptions { full: arguments.full, allow_mass_delete: arguments.allow_mass_delete };
    let order = Order { names: &names, options, wait: arguments.wait };
    let (reports, error) = sync_all(&config, &store, &parts, &order).await;
    show(&reports, arguments.json)?;
    error.map_or(Ok(()), Err)
}

/// Syncs sources one after the other. One that cannot be read does not keep the others from being synced;
/// the error that decides how the process ends comes back with what was done.
pub(super) async fn sync_all(
    config: &Config,
    store: &Store,
    parts: &Parts,
    order: &Order<'_>,
) -> (Vec<SyncReport>, Option<anyhow::Error>) {
    let mut reports = Vec::new();
    let mut worst = None;
    for name in order.names {
        match parts.sync.sync(name, order.options).await {
            Ok(report) => reports.push(report),
            Err(error) => worst = Some(worse(worst, error.into())),
        }
    }
    if order.wait
        && let Err(error) = wait(config, store, parts, &reports).await
    {
        worst = Some(worse(worst, error));
    }
    (reports, worst)
}

/// Keeps the error with the higher exit code, and says the other one now.
fn worse(worst: Option<anyhow::Error>, new: anyhow::Error) -> anyhow::Error {
    let Some(worst) = worst else { return new };
    let (keep, say) = if exit_code(&new) > exit_code(&worst) { (new, worst) } else { (worst, new) };
    output::complain(&say);
    keep
}

pub(super) fn show(reports: &[SyncReport], json: bool) -> anyhow::Result<()> {
    if json {
        return reports.iter().try_for_each(output::json);
    }
    let rows = reports.iter().map(|report| {
        let numbers = [
            report.listed,
            report.added,
            report.changed,
            report.removed,
            report.unchanged,
            report.enqueued,
            report.elapsed_ms,
        ];
        std::iter::once(report.source.clone()).chain(numbers.map(|number| number.to_string())).collect()
    });
    output::table(&["source", "listed", "added", "changed", "removed", "unchanged", "enqueued", "ms"], rows);
    Ok(())
}

/// How often the backlog is looked at.
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
        let backlog = backlog(store, sources).await?;
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
        tokio::time::sleep(LOOK).await;
    }
}
