//! Runs jobs: the only place that knows apalis.
//!
//! apalis drives the workers; the storage is ours (`queue/backend.rs`), because its own for PostgreSQL loses
//! and doubles jobs under failures (`docs/decisions/0001-apalis-over-our-own-backend.md`). Each kind of
//! job has one worker in a daemon. A worker claims jobs for its free slots, and a few more where they are
//! short; renews their leases apart from the jobs; and acknowledges outcomes in batches, each under its
//! job's fence. What belongs to no worker is done by the upkeep: delayed jobs that are due, and jobs whose
//! worker is gone.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BoxDynError, WorkerBuilder};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    jobs::{Attempt, Job, JobError, Outcome},
    store::{Store, jobs::ClaimedJob},
    telemetry,
};

mod acknowledge;
mod backend;
mod lease;
mod pulse;
mod retry;
mod schedule;
mod slots;
mod strays;
mod upkeep;
mod waits;
mod wake;

use backend::Claimed;
pub use pulse::Pulse;
pub use retry::Backoff;
pub use schedule::{CatchUp, Schedule, Ticks};
pub use slots::AHEAD;
use slots::Slots;
pub use wake::Wake;

/// How one kind of job is run in this daemon.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Running at once in this daemon.
    pub concurrency: u32,
    /// Running at once over all daemons; none is no limit.
    pub fleet_concurrency: Option<u32>,
    /// Attempts before a job is dead, for jobs that do not say it themselves.
    pub max_attempts: u32,
    /// How much work may be claimed beyond the free slots: what the slots get through in this time. Longer jobs are left
    /// to other daemons.
    pub ahead: Duration,
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
    pulse: Pulse,
    stop: CancellationToken,
    given_up: CancellationToken,
}

impl Queue {
    /// Prepares the workers of a process. `stop` ends claiming; what runs then is finished.
    pub fn new(store: Store, wake: Wake, stop: CancellationToken) -> Self {
        let worker = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let given_up = CancellationToken::new();
        Self { store, worker: worker.into(), wake, pulse: Pulse::default(), stop, given_up }
    }

    /// This process, as jobs and watched sources name it.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Whether the workers get through to the database.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Leaves what still runs, with its connections: its leases run out, and others go on with it.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Looks after what belongs to no worker, until the queue is stopped: delayed jobs that are due, and
    /// jobs whose worker is gone.
    pub async fn upkeep(&self) {
        upkeep::keep(&self.store, &self.pulse, &self.stop).await;
    }

    /// Enqueues the jobs of schedules at their ticks, until the queue is stopped.
    pub async fn keep_schedules(&self, schedules: &[Schedule]) {
        schedule::keep(&self.store, schedules, &self.stop).await;
    }

    /// Runs jobs of one kind until the queue is stopped and what ran is finished and acknowledged.
    pub async fn work<J: Job>(
        &self,
        job: Arc<J>,
        limits: Limits,
    ) -> Result<(), apalis::prelude::WorkerError> {
        let slots = Slots::new(&self.store, J::KIND, &self.worker, &self.pulse, limits);
        let (acknowledge, acknowledging) = acknowledge::start(slots.clone());
        let keeping = slots.keep(&self.wake);
        let backend = backend::QueueBackend::new(
            slots.clone(),
            acknowledge.clone(),
            self.wake.of(J::KIND),
            self.stop.clone(),
        );
        let worker = WorkerBuilder::new(J::KIND).backend(backend).build({
            let (slots, given_up, stop) = (slots.clone(), self.given_up.clone(), self.stop.clone());
            move |claimed: Claimed| {
                let (job, slots, given_up, stop) =
                    (job.clone(), slots.clone(), given_up.clone(), stop.clone());
                async move {
                    let lease = claimed.job.lease;
                    let span = tracing::info_span!(
                        "job",
                        kind = J::KIND,
                        job.id = lease.job,
                        job.attempt = claimed.job.attempt
                    );
                    let ClaimedJob { traceparent, attempt, .. } = &claimed.job;
                    telemetry::follow(&span, traceparent.as_deref(), *attempt == 1);
                    // A task of its own: it may use another core, its panic is its own outcome, and it is
                    // left when its lease is lost.
                    let run = run(job, claimed.job.clone(), stop);
                    let run = async move {
                        given_up.run_until_cancelled(run).await.unwrap_or(Err(JobError::LeaseLost))
                    };
                    let running = slots.tasks.spawn(run.instrument(span));
                    slots.held.started(lease, running.abort_handle());
                    let outcome = running.await.unwrap_or_else(|error| Err(aborted(error)));
                    drop(claimed);
                    outcome.map_err(BoxDynError::from)
                }
            }
        });
        // Boxed, because the compiler cannot see through the unboxed one that it is `Send`.
        let work = async {
            let result = worker.run().boxed().await;
            slots.tasks.close();
            slots.tasks.wait().await;
            acknowledge.close();
            result
        };
        // Leases are kept until the last outcome is written.
        let acknowledged = async {
            acknowledging.await;
            slots.closed.cancel();
        };
        let (result, (), ()) = tokio::join!(work, acknowledged, keeping);
        result
    }
}

async fn run<J: Job>(job: Arc<J>, claimed: ClaimedJob, stop: CancellationToken) -> Result<Outcome, JobError> {
    let payload = serde_json::from_value(claimed.payload)
        .map_err(|error| JobError::Dead(format!("the payload is not one of {}: {error}", J::KIND)))?;
    let attempt = Attempt {
        lease: claimed.lease,
        key: claimed.key.unwrap_or_default(),
        number: claimed.attempt,
        is_last: claimed.attempt >= claimed.max_attempts,
        stop,
    };
    let Some(limit) = claimed.time_limit else { return job.run(payload, &attempt).await };
    tokio::time::timeout(limit, job.run(payload, &attempt)).await.unwrap_or_else(|_| {
        let limit = humantime::format_duration(limit);
        Err(JobError::Retry(format!("it took longer than the {limit} that its schedule allows")))
    })
}

/// What became of a run that did not come to its end.
fn aborted(error: tokio::task::JoinError) -> JobError {
    let Ok(panic) = error.try_into_panic() else { return JobError::LeaseLost };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    JobError::Retry(format!("the job panicked: {text}"))
}
