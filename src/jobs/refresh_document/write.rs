//! Writes many documents in one transaction.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;

use super::{
    super::{
        JobError,
        gather::{Gather, Limits, halving},
        sync_catalogue::SyncCatalogue,
    },
    job_error,
    refresher::Refreshing,
};
use crate::store::{
    StoreError,
    documents::{Write, Written},
};

/// Documents of one transaction, and the vectors in it.
pub(super) const LIMITS: Limits =
    Limits { items: 500, weight: 2000, linger: Duration::from_millis(2), at_once: 3 };

pub(super) fn writes(shared: &Arc<Refreshing>) -> Gather<Write, Result<Written, JobError>> {
    let shared = shared.clone();
    let work = move |writes: Vec<Write>| {
        let shared = shared.clone();
        async move { shared.write(&writes).await }.boxed()
    };
    Gather::new(LIMITS, Write::vectors, || false, work)
}

impl Refreshing {
    /// One result for each document; one that the database refuses spoils no other.
    ///
    /// A time-out blames none of them: a row, or the whole partition, may be locked. What is left of the batch waits with
    /// those that were tried, so that a batch is timed out once. Because the database may also be slow, fewer documents
    /// are tried together next time, until that gets through again.
    async fn write(&self, writes: &[Write]) -> Vec<Result<Written, JobError>> {
        let mut results = Vec::with_capacity(writes.len());
        while results.len() < writes.len() {
            let (left, together) = (&writes[results.len()..], self.together.load(Ordering::Relaxed));
            let part = &left[..left.len().min(together)];
            let is_refused =
                |error: &StoreError| matches!(error, StoreError::Failed(_) | StoreError::Overtaken);
            let write = |part| self.store.refresh(self.version.index.id, part, &self.guards).boxed();
            let written = halving(part, is_refused, write).await;
            let slow = written.iter().find_map(|result| match result {
                Err(error @ StoreError::TooSlow(_)) => Some(Err(job_error(error.clone()))),
                _ => None,
            });
            let together = if slow.is_some() { part.len() / 2 } else { 2 * together };
            self.together.store(together.clamp(1, LIMITS.items), Ordering::Relaxed);
            results.extend(written.into_iter().map(|result| result.map_err(job_error)));
            if let Some(slow) = slow {
                results.resize(writes.len(), slow);
            }
        }
        let withheld =
            writes.iter().zip(&results).filter(|(_, result)| matches!(result, Ok(Written::Withheld)));
        let sources: BTreeSet<_> = withheld.map(|(write, _)| write.id.source.clone()).collect();
        self.list_again(&sources).await;
        results
    }

    /// Has sources listed whose removals wait: only a complete listing tells whether their rows are back.
    async fn list_again(&self, sources: &BTreeSet<String>) {
        for source in sources {
            tracing::warn!(
                source,
                "removals of `{source}` wait: more rows are gone than mass_delete_limit allows"
            );
            let job = SyncCatalogue::job(source);
            if let Err(error) = self.store.enqueue(job.kind, &[job.key], &[job.payload]).await {
                tracing::debug!(%error, source, "no listing could be enqueued; the next one by the clock tells");
            }
        }
    }
}
