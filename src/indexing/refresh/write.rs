//! Writes many documents in one transaction.

use std::sync::atomic::Ordering;

use futures::FutureExt;

use crate::{
    indexing::{
        batching::BatchLimits,
        refresh::{
            RefreshDocument, RefreshOutcome, RefreshResult, draft::Draft, halving::halving, job_error,
        },
        versions::Version,
    },
    job::{self, BUSY, JobError},
    store::{
        StoreError,
        documents::{DocumentWrite, WriteOutcome},
    },
    telemetry,
};

/// Documents of one transaction, and the vectors in it.
pub(super) const LIMITS: BatchLimits = BatchLimits { items: 500, weight: 2000 };

impl RefreshDocument {
    /// Writes each document unless it changed since it was read.
    pub(super) async fn write(
        &self,
        version: &Version,
        newest: Option<i32>,
        drafts: Vec<Draft>,
        results: &mut [RefreshResult],
    ) {
        let (ends, writes): (Vec<_>, Vec<_>) =
            drafts.into_iter().map(|draft| ((draft.place, draft.changed), draft.write)).unzip();
        let written = self.write_all(version, newest, &writes).await;
        if let Some(place) = written.iter().position(|written| *written == Ok(WriteOutcome::Withheld)) {
            self.list_again(&writes[place].id.source).await;
        }
        for ((place, changed), written) in ends.into_iter().zip(written) {
            results[place] = written.and_then(|written| match written {
                WriteOutcome::Fresh => {
                    telemetry::indexed(changed.elapsed());
                    Ok(RefreshOutcome::Written)
                }
                WriteOutcome::Superseded | WriteOutcome::Withheld => Ok(RefreshOutcome::NothingToDo),
                // Its key is being enqueued in an open transaction, another worker holds it, or another version must be
                // written too: it runs again.
                WriteOutcome::NotHeld => Err(JobError::Snooze {
                    after: BUSY,
                    reason: "the job's row is locked, or an index version is new".into(),
                }),
            });
        }
    }

    /// Returns one result for each document. One that the database refuses does not fail the others.
    ///
    /// A time-out blames no document: a row, or the whole partition, may be locked. The rest of the batch waits with those
    /// that were tried, so that a batch times out once. Because the database may be slow, fewer documents are written
    /// together until a batch succeeds.
    async fn write_all(
        &self,
        version: &Version,
        newest: Option<i32>,
        writes: &[DocumentWrite],
    ) -> Vec<Result<WriteOutcome, JobError>> {
        let mut results = Vec::with_capacity(writes.len());
        while results.len() < writes.len() {
            let limits = BatchLimits { items: self.together.load(Ordering::Relaxed), ..LIMITS };
            let part = limits.first(&writes[results.len()..], DocumentWrite::vectors);
            let blames_a_document =
                |error: &StoreError| matches!(error, StoreError::Failed(_) | StoreError::Overtaken);
            let write = |part| self.store.refresh(version.index.id, newest, part, &self.guards).boxed();
            let written = halving(part, blames_a_document, write).await;
            let slow = written.iter().find_map(|result| match result {
                Err(error @ StoreError::TooSlow(_)) => Some(Err(job_error(error.clone()))),
                _ => None,
            });
            let together = if slow.is_some() { part.len() / 2 } else { 2 * limits.items };
            self.together.store(together.clamp(1, LIMITS.items), Ordering::Relaxed);
            results.extend(written.into_iter().map(|result| result.map_err(job_error)));
            if let Some(slow) = slow {
                results.resize(writes.len(), slow);
            }
        }
        results
    }

    /// Enqueues a listing of a source whose removals wait: only a listing shows whether their rows are back.
    async fn list_again(&self, source: &str) {
        tracing::warn!(
            source,
            "removals of `{source}` wait: more rows are gone than mass_delete_limit allows"
        );
        if let Err(error) = self.store.enqueue_jobs(&[job::sync_catalogue(source)]).await {
            tracing::debug!(%error, source, "no listing could be enqueued; the next one by the clock tells");
        }
    }
}
