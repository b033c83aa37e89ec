//! `--wait`: helps with the work until the documents are fresh or failed.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::exit::given_up;
use crate::cli::waiting::{Watch, backlog};
use crate::daemon::{Parts, Workers};
use crate::store::{Store, status::Backlog};
use crate::{config::Config, indexing::fill::REFRESHING, sync::report::SyncReport};

const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn wait(config: &Config, store: &Store, parts: &Parts, synced: &[SyncReport]) -> Result<()> {
    let workers = Workers::new(store);
    workers.start_refreshing(parts, &config.queue);
    let sources: Vec<_> = synced.iter().map(|report| report.source.clone()).collect();
    let stalled = until_fresh(store, &sources).await;
    workers.stop().await;
    match stalled? {
        Some(message) => Err(given_up(store, parts, message).await),
        None => Ok(()),
    }
}

/// Waits until no refresh of these sources is pending. Returns why it gave up, if it did.
async fn until_fresh(store: &Store, sources: &[String]) -> Result<Option<String>> {
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
