//! Runs jobs: the only place that knows apalis.
//!
//! apalis drives the workers; the storage is ours (`queue/backend.rs`), because its own for PostgreSQL loses and doubles
//! jobs under failures (`docs/decisions/0001-apalis-over-our-own-backend.md`). Each kind of job has one worker in a daemon.
//! A worker claims jobs for its free slots, and ahead of them if jobs are short; runs them one by one, or in batches if the
//! kind is a [`BatchJob`]; renews their leases apart from the jobs; and acknowledges outcomes in batches, each under its
//! job's fence. `queue/maintenance.rs` promotes delayed jobs, and frees those whose worker is gone.

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

/// The limits of one kind of job in this daemon.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most that run at once in this daemon.
    pub concurrency: u32,
    /// The most that run at once over all daemons.
    pub fleet_concurrency: Option<u32>,
    /// Attempts before a job is dead, unless the job has a limit of its own.
    pub max_attempts: u32,
    /// Jobs that the slots complete in this time may be claimed beyond the free slots. Longer jobs are left to other
    /// daemons.
    pub ahead: Duration,
    /// How long a claim holds without renewal.
    pub lease: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
}

/// The state that all workers of a process share.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    /// Unique for each process, so that a restarted one is not taken for its predecessor.
    worker: Arc<str>,
    wakeup: Wakeup,
    heartbeat: Heartbeat,
    stop: CancellationToken,
    given_up: CancellationToken,
}

impl Queue {
    /// Prepares the workers of a process. `stop` ends claiming; running jobs are finished.
    pub fn new(store: Store, wakeup: Wakeup, stop: CancellationToken) -> Self {
        let worker = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let given_up = CancellationToken::new();
        Self { store, worker: worker.into(), wakeup, heartbeat: Heartbeat::default(), stop, given_up }
    }

    /// The name of this process in jobs and watches.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Whether the workers reach the database.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Abandons running jobs and their connections: their leases run out, and other daemons run them again.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Promotes delayed jobs, and frees jobs whose worker is gone, until the queue is stopped.
    pub async fn upkeep(&self) {
        maintenance::keep(&self.store, &self.heartbeat, &self.stop).await;
    }

    /// Enqueues the jobs of schedules at their ticks, until the queue is stopped.
    pub async fn keep_schedules(&self, schedules: &[Schedule]) {
        schedule::keep(&self.store, schedules, &self.stop).await;
    }

    /// Runs jobs of one kind until the queue is stopped and running jobs are acknowledged.
    pub async fn work<J: Job>(&self, job: Arc<J>, limits: Limits) -> Result<(), WorkerError> {
        self.work_batches(Arc::new(Single(job)), limits).await
    }

    /// Like [`Queue::work`], for a kind that runs in batches.
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
        // Boxed, because the compiler cannot prove that the unboxed one is `Send`.
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
