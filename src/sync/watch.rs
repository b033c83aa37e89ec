//! Watches a source between its listings: reads what triggers noted each second, and polls it as often as
//! the settings say. One daemon watches a source; another takes over when it is gone. The watch is renewed as long as
//! the work goes on, and the work is left at once when the watch is lost or the daemon stops.
//!
//! Both hints only say where to look: what they name is compared with what is known, so that a repeat is
//! harmless. Notes are forgotten after the jobs that follow from them were committed, and exactly those
//! that were read.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::{ChangeHints, ListedRow, Mark},
    job::{self, REFRESH_DOCUMENT},
    sync::{reconcile::SyncCatalogue, report::SyncError},
};

/// How often triggers' notes are read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause after one that failed.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How long a watch holds unless it is renewed, and how often it is.
const WATCH_LENGTH: Duration = Duration::from_secs(10);
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// Notes read, and documents compared, at once.
const BATCH: usize = 1000;

/// One source that is watched.
#[expect(missing_docs, reason = "the names say it")]
pub struct WatchCatalogue {
    pub sync: Arc<SyncCatalogue>,
    pub source: String,
    /// How often it is polled; zero is never.
    pub poll: Duration,
    pub watcher: String,
}

impl WatchCatalogue {
    /// Watches until stopped, however often one of the databases is away.
    pub async fn run(&self, stop: &CancellationToken) {
        let (mut is_well, mut pause) = (true, POLL_INTERVAL);
        while !stop.is_cancelled() {
            let looked = stop.run_until_cancelled(self.look()).await.unwrap_or(Ok(()));
            // What failed may have read a whole table for it.
            pause = if looked.is_ok() { POLL_INTERVAL } else { (pause * 2).min(MAX_PAUSE) };
            match looked {
                Ok(()) => is_well = true,
                Err(error) if is_well => {
                    is_well = false;
                    tracing::warn!(source = self.source, %error, "source `{}` cannot be watched; retrying", self.source);
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks once, unless another daemon watches. What it has done when it is dropped stays done, and the rest is found
    /// again.
    pub async fn look(&self) -> Result<(), SyncError> {
        let Some(hints) = self.sync.source(&self.source)?.catalogue.change_hints() else { return Ok(()) };
        let since = Instant::now();
        let watch = self.sync.store.watch(&self.source, &self.watcher, WATCH_LENGTH).await?;
        let Some(watch) = watch else { return Ok(()) };
        let work = async {
            self.read_notes(hints).await?;
            let is_due = watch.polled_ago.is_none_or(|ago| ago >= self.poll);
            if !self.poll.is_zero() && is_due { self.poll(hints, watch.mark).await } else { Ok(()) }
        };
        tokio::select! {
            done = work => done,
            () = self.lost(since) => {
                tracing::info!(source = self.source, "the watch over source `{}` was lost to another daemon", self.source);
                Ok(())
            }
        }
    }

    /// Renews the watch that was asked for at this time, and ends when another daemon may have it.
    async fn lost(&self, mut since: Instant) {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            let asked = Instant::now();
            let renewed = self.sync.store.watch(&self.source, &self.watcher, WATCH_LENGTH);
            match tokio::time::timeout(WATCH_LENGTH.saturating_sub(since.elapsed()), renewed).await {
                Ok(Ok(Some(_))) => since = asked,
                // The database may be back before the watch has ended.
                Ok(Err(_)) => {}
                Ok(Ok(None)) | Err(_) => return,
            }
        }
    }

    async fn read_notes(&self, hints: &dyn ChangeHints) -> Result<(), SyncError> {
        let store = &self.sync.store;
        loop {
            let notes = hints.noted(u32::try_from(BATCH).unwrap_or(u32::MAX)).await?;
            if notes.is_empty() {
                return Ok(());
            }
            let mut keys: Vec<_> = notes.iter().filter_map(|note| note.key.clone()).collect();
            keys.sort_unstable();
            keys.dedup();
            let listed = hints.find(&keys).await?;
            let there: HashSet<_> = listed.iter().map(|row| row.key.as_str()).collect();
            let gone: Vec<_> = keys.iter().filter(|key| !there.contains(key.as_str())).cloned().collect();
            self.compare(listed).await?;
            let known = store.listed_hashes(&self.source, &gone).await?;
            let gone: Vec<_> = gone.into_iter().filter(|key| known.contains_key(key)).collect();
            let may_leave = gone.is_empty() || {
                let guard = self.sync.source(&self.source)?.mass_delete;
                store.let_leave(&self.source, gone.len() as u64, guard, false).await?.allowed
            };
            if may_leave && !gone.is_empty() {
                store.note_unlisted(&self.source, &gone, REFRESH_DOCUMENT).await?;
            }
            // Removals that must wait are settled by a complete listing.
            if !may_leave || notes.iter().any(|note| note.key.is_none()) {
                self.compare_in_full().await?;
            }
            hints.forget(&notes.iter().map(|note| note.id).collect::<Vec<_>>()).await?;
        }
    }

    async fn poll(&self, hints: &dyn ChangeHints, last: Option<Mark>) -> Result<(), SyncError> {
        // Before the rows are read: what is committed while they are is read again next time.
        let Some(mark) = hints.mark().await? else { return Ok(()) };
        match last {
            Some(last) if mark.follows(&last) => {
                let mut batches = hints.changed(&last).map_err(SyncError::from).try_chunks(BATCH);
                while let Some(batch) = batches.next().await {
                    self.compare(batch.map_err(|error| error.1)?).await?;
                }
            }
            // The shop was restored or failed over, or this is the first poll: only a listing tells.
            _ => self.compare_in_full().await?,
        }
        Ok(self.sync.store.note_polled(&self.source, &mark).await?)
    }

    /// Notes rows that differ from what is known.
    async fn compare(&self, mut listed: Vec<ListedRow>) -> Result<(), SyncError> {
        let keys: Vec<_> = listed.iter().map(|row| row.key.clone()).collect();
        let known = self.sync.store.listed_hashes(&self.source, &keys).await?;
        listed.retain(|row| known.get(&row.key) != Some(&row.row_hash));
        listed.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        listed.dedup_by(|one, other| one.key == other.key);
        if !listed.is_empty() {
            self.sync.store.note_listed(&self.source, &listed, REFRESH_DOCUMENT).await?;
        }
        Ok(())
    }

    async fn compare_in_full(&self) -> Result<(), SyncError> {
        self.sync.store.enqueue_jobs(&[job::sync_catalogue(&self.source)]).await?;
        Ok(())
    }
}
