//! Writes many documents in one transaction.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::FutureExt;

use super::{
    super::{
        JobError,
        gather::{Gather, Limits, halving},
        sync_catalogue::SyncCatalogue,
    },
    refresher::Refreshing,
};
use crate::store::{
    StoreError,
    documents::{Write, Written},
};

/// Documents of one transaction, and the vectors in it.
const LIMITS: Limits = Limits { items: 500, weight: 2000, linger: Duration::from_millis(2), at_once: 3 };

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
    async fn write(&self, writes: &[Write]) -> Vec<Result<Written, JobError>> {
        let is_refused = |error: &StoreError| {
            matches!(error, StoreError::Failed(_) | StoreError::TooSlow(_) | StoreError::Overtaken)
        };
        let write = |part| self.store.refresh(self.version.index.id, part, &self.guards).boxed();
        let results = halving(writes, is_refused, write).await;
        let withheld =
            writes.iter().zip(&results).filter(|(_, result)| matches!(result, Ok(Written::Withheld)));
        let sources: BTreeSet<_> = withheld.map(|(write, _)| write.id.source.clone()).collect();
        self.list_again(&sources).await;
        results.into_iter().map(|result| result.map_err(JobError::from)).collect()
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
