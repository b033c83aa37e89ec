//! Runs jobs: the only place that knows apalis.
//!
//! apalis drives the workers; the storage is ours (`queue/backend.rs`), because its own for PostgreSQL loses
//! and doubles jobs under failures (`docs/decisions/0001-apalis-over-our-own-backend.md`). Each kind of
//! job has one worker in a daemon. A worker claims no more jobs than it has free slots, renews their
//! leases apart from the jobs, and acknowledges each outcome under the job's fence.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BoxDynError, WorkerBuilder};
use futures::FutureExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    jobs::{Attempt, Job, JobError, Outcome},
    store::{Store, jobs::ClaimedJob},
};

mod acknowledge;
mod backend;
mod lease;
mod retry;
mod wake;

use backend::{Claimed, Slots};
pub use retry::Backoff;
pub use wake::Wake;

/// How one kind of job is run in this daemon.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Running at once.
    pub concurrency: u32,
    /// Attempts before a job is dead, for jobs that do not say it themselves.
    pub max_attempts: u32,
    /// How long a claim holds without renewal.
    pub lease: Duration,
    /// How long a job waits between attempts.
    pub backoff: Backoff,
}

/// What all workers of a process share.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    /// Unique for each process, so that a restarted one is not taken for the one before it.
    worker: Arc<str>,
    wake: Wake,
    stop: CancellationToken,
}

impl Queue {
    /// Prepares the workers of a process. `stop` ends claiming; what runs then is finished.
    pub fn new(store: Store, wake: Wake, stop: CancellationToken) -> Self {
        let worker = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        Self { store, worker: worker.into(), wake, stop }
    }

    /// Runs jobs of one kind until the queue is stopped and what ran is finished.
    pub async fn work<J: Job>(
        &self,
        job: Arc<J>,
        limits: Limits,
    ) -> Result<(), apalis::prelude::WorkerError> {
        let slots = Slots::new(self.store.clone(), J::KIND, self.worker.clone(), limits);
        let woken = self.wake.of(J::KIND);
        let backend = backend::QueueBackend::new(slots.clone(), woken, self.stop.clone());
        let running = TaskTracker::new();
        let worker = WorkerBuilder::new(J::KIND).backend(backend).build({
            let running = running.clone();
            move |claimed: Claimed| {
                let job = job.clone();
                // A task of its own: it may use another core, and its panic is its own outcome.
                let run = running.spawn(run(job, claimed.job.clone()));
                async move {
                    let outcome = run.await.unwrap_or_else(|error| Err(panicked(error)));
                    drop(claimed);
                    outcome.map_err(BoxDynError::from)
                }
            }
        });
        // Boxed, because the compiler cannot see through the unboxed one that it is `Send`.
        let result = worker.run().boxed().await;
        running.close();
        running.wait().await;
        slots.close().await;
        result
    }
}

async fn run<J: Job>(job: Arc<J>, claimed: ClaimedJob) -> Result<Outcome, JobError> {
    let payload = serde_json::from_value(claimed.payload)
        .map_err(|error| JobError::Dead(format!("the payload is not one of {}: {error}", J::KIND)))?;
    let attempt = Attempt {
        lease: claimed.lease,
        key: claimed.key.unwrap_or_default(),
        number: claimed.attempt,
        is_last: claimed.attempt >= claimed.max_attempts,
    };
    job.run(payload, &attempt).await
}

fn panicked(error: tokio::task::JoinError) -> JobError {
    let Ok(panic) = error.try_into_panic() else {
        return JobError::Retry("the job was aborted".to_owned());
    };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    JobError::Retry(format!("the job panicked: {text}"))
}
