//! Deletes rows past their retention, in bounded batches.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    job::{Attempt, Job, JobError, Outcome},
    store::{Store, StoreError},
};

/// The key of the only job of this kind.
pub const KEY: &str = "all";

/// How long what was done in the console stays on record.
const AUDIT: Duration = Duration::from_hours(365 * 24);

/// How long rows are kept after their end; `None` is for ever.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named for the rows")]
pub struct Retention {
    pub answers: Option<Duration>,
    pub job_history: Option<Duration>,
    pub deliveries: Option<Duration>,
}

/// Deletes rows by age.
#[expect(missing_docs, reason = "the names say it")]
pub struct PruneHistory {
    pub store: Store,
    pub kept: Retention,
    /// The number of cached vectors to keep.
    pub cache_entries: u32,
}

/// Empty.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for PruneHistory {
    const KIND: &'static str = "prune_history";
    type Payload = Payload;

    async fn run(&self, _: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        attempt.unless_stopped(self.prune()).await.map(|()| Outcome::Done(Vec::new()))
    }
}

impl PruneHistory {
    async fn prune(&self) -> Result<(), JobError> {
        let store = &self.store;
        if let Some(age) = self.kept.job_history {
            let jobs = all(|| store.prune_jobs(age)).await?;
            let ticks = all(|| store.prune_ticks(age)).await?;
            tracing::info!(jobs, ticks, "pruned {jobs} finished jobs and {ticks} ticks of schedules");
        }
        if let Some(age) = self.kept.answers {
            let answers = all(|| store.prune_answers(age)).await?;
            let sessions = all(|| store.prune_sessions(age)).await?;
            tracing::info!(answers, sessions, "pruned {answers} answers and {sessions} empty sessions");
        }
        all(|| store.prune_events()).await?;
        all(|| store.prune_tokens()).await?;
        all(|| store.prune_discarded()).await?;
        all(|| store.prune_console(AUDIT)).await?;
        if let Some(age) = self.kept.deliveries {
            let deliveries = all(|| store.prune_deliveries(age)).await?;
            tracing::info!(deliveries, "pruned {deliveries} deliveries to webhooks");
        }
        let vectors = all(|| store.prune_cache(self.cache_entries)).await?;
        tracing::info!(vectors, "pruned {vectors} cached vectors");
        Ok(())
    }
}

/// Deletes batches until nothing is left; returns the number of rows.
async fn all<F: Future<Output = Result<u64, StoreError>>>(prune: impl Fn() -> F) -> Result<u64, StoreError> {
    let mut sum = 0;
    while let pruned @ 1.. = prune().await? {
        sum += pruned;
    }
    Ok(sum)
}
