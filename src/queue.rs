//! Runs jobs: the only place that knows apalis.
//!
//! apalis drives the workers; the storage is ours (`queue/backend.rs`), because its own for PostgreSQL loses
//! and doubles jobs under failures (`docs/decisions/0001-apalis-over-our-own-backend.md`). Each kind of
//! job has one worker in a daemon. A worker claims jobs for its free slots, and a few more where they are
//! short; runs each by itself, or in batches where the kind is a [`BatchJob`]; renews their leases apart from
//! the jobs; and acknowledges outcomes in batches, each under its job's fence. What belongs to no worker is done
//! by the upkeep: delayed jobs that are due, and jobs whose worker is gone.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{WorkerBuilder, WorkerError};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::{
    job::{Backoff, BatchJob, Job},
    store::Store,
};

mod acknowledge;
mod backend;
mod heartbeat;
mod lease;
mod maintenance;
mod run;
mod schedule;
mod slots;
mod strays;
mod wait_log;
mod wakeup;

pub use heartbeat::Heartbeat;
use run::{Runner, Single};
pub use schedule::{CatchUp, Schedule, Ticks};
pub use slots::AHEAD;
use slots::{SlotGuard, Slots};
pub use wakeup::Wakeup;

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
    wakeup: Wakeup,
    heartbeat: Heartbeat,
    stop: CancellationToken,
    given_up: CancellationToken,
}

impl Queue {
    /// Prepares the workers of a process. `stop` ends claiming; what runs then is finished.
    pub fn new(store: Store, wakeup: Wakeup, stop: CancellationToken) -> Self {
        let worker = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let given_up = CancellationToken::new();
        Self { store, worker: worker.into(), wakeup, heartbeat: Heartbeat::default(), stop, given_up }
    }

    /// This process, as jobs and watched sources name it.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Whether the workers get through to the database.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Leaves what still runs, with its connections: its leases run out, and others go on with it.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Looks after what belongs to no worker, until the queue is stopped: delayed jobs that are due, and
    /// jobs whose worker is gone.
    pub async fn upkeep(&self) {
        maintenance::keep(&self.store, &self.heartbeat, &self.stop).await;
    }

    /// Enqueues the jobs of schedules at their ticks, until the queue is stopped.
    pub async fn keep_schedules(&self, schedules: &[Schedule]) {
        schedule::keep(&self.store, schedules, &self.stop).await;
    }

    /// Runs jobs of one kind until the queue is stopped and what ran is finished and acknowledged.
    pub async fn work<J: Job>(&self, job: Arc<J>, limits: Limits) -> Result<(), WorkerError> {
        self.work_batches(Arc::new(Single(job)), limits).await
    }

    /// Does so for a kind whose jobs are run many at a time.
    pub async fn work_batches<J: BatchJob>(&self, job: Arc<J>, limits: Limits) -> Result<(), WorkerError> {
        let slots = Slots::new(&self.store, J::KIND, J::MOST, &self.worker, &self.heartbeat, limits);
        let (outcomes, acknowledging) = acknowledge::start(slots.clone());
        let cancelled = self.wakeup.cancelled(J::KIND);
        let keeping = slots.held.keep(&self.store, limits.lease, &cancelled, &slots.closed);
        let bell = self.wakeup.new_jobs(J::KIND);
        slots.tasks.spawn(backend::claim(slots.clone(), bell, self.stop.clone()));
        let backend = backend::QueueBackend::new(slots.clone(), self.stop.clone());
        let runner = Arc::new(Runner {
            job,
            slots: slots.clone(),
            outcomes: outcomes.downgrade(),
            stop: self.stop.clone(),
            given_up: self.given_up.clone(),
        });
        let run = move |batch: Vec<SlotGuard>| {
            let runner = runner.clone();
            async move { runner.run(batch).await }
        };
        let worker = WorkerBuilder::new(J::KIND).backend(backend).build(run);
        // Boxed, because the compiler cannot see through the unboxed one that it is `Send`.
        let work = async {
            let result = worker.run().boxed().await;
            slots.tasks.close();
            slots.tasks.wait().await;
            drop(outcomes);
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
