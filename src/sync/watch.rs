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
    store::{Store, sources::SourceWatch},
    sync::reconcile::{SyncCatalogue, SyncError},
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
pub struct WatchCatalogue {
    /// What compares it.
    pub sync: Arc<SyncCatalogue>,
    /// Its name.
    pub source: String,
    /// How often it is polled; zero is never.
    pub poll: Duration,
    /// This daemon.
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
                    tracing::warn!(source = self.source, %error, "source `{}` cannot be watched; trying on", self.source);
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks once, if nobody else watches; says nothing of what did not change. What it has done when it is dropped stays
    /// done, and the rest is found again.
    pub async fn look(&self) -> Result<(), SyncError> {
        let Some(hints) = self.sync.source(&self.source)?.catalogue.change_hints() else { return Ok(()) };
        let store = &self.sync.store;
        let since = Instant::now();
        let Some(watched) = store.watch(&self.source, &self.watcher, WATCH_LENGTH).await? else {
            return Ok(());
        };
        let work = async {
            self.read_notes(hints, store).await?;
            let is_due = watched.polled_ago.is_none_or(|ago| ago >= self.poll);
            if !self.poll.is_zero() && is_due { self.poll(hints, store, &watched).await } else { Ok(()) }
        };
        tokio::select! {
            done = work => done,
            () = self.lost(store, since) => {
                tracing::info!(source = self.source, "the watch over source `{}` was lost to another daemon", self.source);
                Ok(())
            }
        }
    }

    /// Renews the watch that was asked for at this time, and ends when it may be another's.
    async fn lost(&self, store: &Store, mut since: Instant) {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            let asked = Instant::now();
            let renewed = store.watch(&self.source, &self.watcher, WATCH_LENGTH);
            match tokio::time::timeout(WATCH_LENGTH.saturating_sub(since.elapsed()), renewed).await {
                Ok(Ok(Some(_))) => since = asked,
                // The database may be back before the watch has ended.
                Ok(Err(_)) => {}
                Ok(Ok(None)) | Err(_) => return,
            }
        }
    }

    async fn read_notes(&self, hints: &dyn ChangeHints, store: &Store) -> Result<(), SyncError> {
        loop {
            let noted = hints.noted(u32::try_from(BATCH).unwrap_or(u32::MAX)).await?;
            if noted.is_empty() {
                return Ok(());
            }
            let mut keys: Vec<_> = noted.iter().filter_map(|noted| noted.key.clone()).collect();
            keys.sort_unstable();
            keys.dedup();
            let listed = hints.find(&keys).await?;
            let there: HashSet<_> = listed.iter().map(|listed| listed.key.as_str()).collect();
            let gone: Vec<_> = keys.iter().filter(|key| !there.contains(key.as_str())).cloned().collect();
            self.compare(store, listed).await?;
            let known = store.listed_hashes(&self.source, &gone).await?;
            let gone: Vec<_> = gone.into_iter().filter(|key| known.contains_key(key)).collect();
            let may_leave = gone.is_empty() || {
                let guard = self.sync.source(&self.source)?.mass_delete;
                store.let_leave(&self.source, gone.len() as u64, guard, false).await?.allowed
            };
            if may_leave && !gone.is_empty() {
                store.note_unlisted(&self.source, &gone, REFRESH_DOCUMENT).await?;
            }
            // What must wait is settled by a complete listing.
            if !may_leave || noted.iter().any(|noted| noted.key.is_none()) {
                self.compare_in_full(store).await?;
            }
            let ids: Vec<_> = noted.iter().map(|noted| noted.id).collect();
            hints.forget(&ids).await?;
        }
    }

    async fn poll(
        &self,
        hints: &dyn ChangeHints,
        store: &Store,
        watched: &SourceWatch,
    ) -> Result<(), SyncError> {
        // Before the rows are read: what is committed while they are is read again next time.
        let Some(mark) = hints.mark().await? else { return Ok(()) };
        match &watched.mark {
            Some(since) if mark.follows(since) => self.read_changed(hints, store, since).await?,
            // The shop was restored or failed over, or nobody has polled yet: only a listing tells.
            _ => self.compare_in_full(store).await?,
        }
        Ok(store.note_polled(&self.source, &mark).await?)
    }

    async fn read_changed(
        &self,
        hints: &dyn ChangeHints,
        store: &Store,
        since: &Mark,
    ) -> Result<(), SyncError> {
        let mut batches = hints.changed(since).map_err(SyncError::from).try_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            self.compare(store, batch.map_err(|error| error.1)?).await?;
        }
        Ok(())
    }

    /// Notes those whose row is not as it is known.
    async fn compare(&self, store: &Store, mut listed: Vec<ListedRow>) -> Result<(), SyncError> {
        let keys: Vec<_> = listed.iter().map(|listed| listed.key.clone()).collect();
        let known = store.listed_hashes(&self.source, &keys).await?;
        listed.retain(|listed| known.get(&listed.key) != Some(&listed.row_hash));
        listed.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        listed.dedup_by(|one, other| one.key == other.key);
        if !listed.is_empty() {
            store.note_listed(&self.source, &listed, REFRESH_DOCUMENT).await?;
        }
        Ok(())
    }

    async fn compare_in_full(&self, store: &Store) -> Result<(), SyncError> {
        let job = job::sync_catalogue(&self.source);
        store.enqueue(job.kind, &[job.key], &[job.payload]).await?;
        Ok(())
    }
}
