//! Watches a source between its listings: reads the triggers' notes each second, and polls at the interval of the settings.
//! One daemon watches a source; another takes over when it is gone. The watch is renewed while the work goes on, and the
//! work is abandoned at once if the watch is lost or the daemon stops.
//!
//! Hints only say where to look: the documents that they name are compared with the known ones, so that a repeat is
//! harmless. Exactly the notes that were read are deleted, after their jobs are committed.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::{CatalogueError, ChangeHints, ListedRow, Mark},
    job::{self, REFRESH_DOCUMENT},
    sync::{reconcile::SyncCatalogue, report::SyncError},
};

/// How often triggers' notes are read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How long a watch holds without renewal, and how often it is renewed.
const WATCH_LENGTH: Duration = Duration::from_secs(10);
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// Notes read, and documents compared, per statement.
const BATCH: usize = 1000;

/// The watch of one source.
#[expect(missing_docs, reason = "the names say it")]
pub struct WatchCatalogue {
    pub sync: Arc<SyncCatalogue>,
    pub source: String,
    /// The poll interval; zero for never.
    pub poll: Duration,
    pub watcher: String,
}

impl WatchCatalogue {
    /// Watches until stopped, whatever happens to the databases.
    pub async fn run(&self, stop: &CancellationToken) {
        let (mut is_well, mut pause) = (true, POLL_INTERVAL);
        while !stop.is_cancelled() {
            let looked = stop.run_until_cancelled(self.look()).await.unwrap_or(Ok(()));
            // A failed poll may have read a whole table.
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

    /// Reads notes and polls once, unless another daemon watches. If it is dropped midway, the rest is found again.
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

    /// Renews the watch, and returns when another daemon may have it. `asked` is when it was acquired.
    async fn lost(&self, mut since: Instant) {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            let asked = Instant::now();
            let renewed = self.sync.store.watch(&self.source, &self.watcher, WATCH_LENGTH);
            match tokio::time::timeout(WATCH_LENGTH.saturating_sub(since.elapsed()), renewed).await {
                Ok(Ok(Some(_))) => since = asked,
                // The database may be back before the watch ends.
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
            let listed = match hints.find(&keys).await {
                // A listing says what does not fit, and these notes would only pile up.
                Err(error @ CatalogueError::Misfit { .. }) => {
                    self.compare_in_full().await?;
                    hints.forget(&notes.iter().map(|note| note.id).collect::<Vec<_>>()).await?;
                    return Err(error.into());
                }
                listed => listed?,
            };
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
            // A complete listing decides about removals that wait.
            if !may_leave || notes.iter().any(|note| note.key.is_none()) {
                self.compare_in_full().await?;
            }
            hints.forget(&notes.iter().map(|note| note.id).collect::<Vec<_>>()).await?;
        }
    }

    async fn poll(&self, hints: &dyn ChangeHints, last: Option<Mark>) -> Result<(), SyncError> {
        // Taken before the rows are read: changes that are committed meanwhile are read next time.
        let Some(mark) = hints.mark().await? else { return Ok(()) };
        match last {
            Some(last) if mark.follows(&last) => {
                let mut batches = hints.changed(&last).map_err(SyncError::from).try_chunks(BATCH);
                while let Some(batch) = batches.next().await {
                    self.compare(batch.map_err(|error| error.1)?).await?;
                }
            }
            // After a restore or a failover, and at the first poll, only a listing finds the changes.
            _ => self.compare_in_full().await?,
        }
        Ok(self.sync.store.note_polled(&self.source, &mark).await?)
    }

    /// Notes rows that differ from the known ones.
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
