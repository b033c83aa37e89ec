//! Deletes what is past its retention, in bounded batches.

use std::time::Duration;

use serde::Deserialize;

use super::{Attempt, Job, JobError, Outcome};
use crate::store::Store;

/// The key of the only job there is of this kind.
pub const KEY: &str = "all";

/// The job.
pub struct PruneHistory {
    /// What is pruned.
    pub store: Store,
    /// How long finished jobs are kept; none is for ever.
    pub job_history: Option<Duration>,
    /// How long answers are kept; none is for ever.
    pub answers: Option<Duration>,
    /// How long deliveries to webhooks are kept; none is for ever.
    pub deliveries: Option<Duration>,
    /// Vectors that are kept of what left the index.
    pub cache_entries: u32,
}

/// Nothing.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for PruneHistory {
    const KIND: &'static str = "prune_history";
    type Payload = Payload;

    async fn run(&self, _: Payload, _: &Attempt) -> Result<Outcome, JobError> {
        if let Some(job_history) = self.job_history {
            let mut jobs = 0;
            while let pruned @ 1.. = self.store.prune_jobs(job_history).await? {
                jobs += pruned;
            }
            let ticks = self.store.prune_ticks(job_history).await?;
            tracing::info!(jobs, ticks, "pruned {jobs} finished jobs and {ticks} ticks of schedules");
        }
        if let Some(age) = self.answers {
            let mut answers = 0;
            while let pruned @ 1.. = self.store.prune_answers(age).await? {
                answers += pruned;
            }
            tracing::info!(answers, "forgot {answers} answers");
        }
        while self.store.prune_events().await? > 0 {}
        self.store.prune_tokens().await?;
        if let Some(age) = self.deliveries {
            let mut deliveries = 0;
            while let pruned @ 1.. = self.store.prune_deliveries(age).await? {
                deliveries += pruned;
            }
            tracing::info!(deliveries, "forgot {deliveries} deliveries to webhooks");
        }
        let mut vectors = 0;
        while let pruned @ 1.. = self.store.prune_cache(self.cache_entries).await? {
            vectors += pruned;
        }
        tracing::info!(vectors, "forgot {vectors} vectors of what left the index");
        Ok(Outcome::Done(Vec::new()))
    }
}
