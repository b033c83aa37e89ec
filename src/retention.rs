//! Deletes what is past its retention, in bounded batches.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    job::{Attempt, Job, JobError, Outcome},
    store::{Store, StoreError},
};

/// The key of the only job there is of this kind.
pub const KEY: &str = "all";

/// How long rows are kept after their end; `None` is for ever.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named for what is kept")]
pub struct Retention {
    pub answers: Option<Duration>,
    pub job_history: Option<Duration>,
    pub deliveries: Option<Duration>,
}

/// The job.
pub struct PruneHistory {
    /// What is pruned.
    pub store: Store,
    /// How long rows are kept.
    pub kept: Retention,
    /// Vectors that are kept of what left the index.
    pub cache_entries: u32,
}

/// Nothing.
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
            tracing::info!(
                answers,
                sessions,
                "forgot {answers} answers, and {sessions} sessions without any"
            );
        }
        all(|| store.prune_events()).await?;
        all(|| store.prune_tokens()).await?;
        if let Some(age) = self.kept.deliveries {
            let deliveries = all(|| store.prune_deliveries(age)).await?;
            tracing::info!(deliveries, "forgot {deliveries} deliveries to webhooks");
        }
        let vectors = all(|| store.prune_cache(self.cache_entries)).await?;
        tracing::info!(vectors, "forgot {vectors} vectors of what left the index");
        Ok(())
    }
}

/// Repeats what deletes one batch until there is nothing left; says how much there was.
async fn all<F: Future<Output = Result<u64, StoreError>>>(prune: impl Fn() -> F) -> Result<u64, StoreError> {
    let mut sum = 0;
    while let pruned @ 1.. = prune().await? {
        sum += pruned;
    }
    Ok(sum)
}
