//! The slots of a worker: how many jobs it may hold, and which.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Heartbeat, Limits, lease::HeldLeases, strays::Doubt};
use crate::store::{Store, jobs::ClaimedJob};

mod claiming;
mod line;

pub use claiming::AHEAD;
use line::{Line, STALL};

/// How often a worker claims without a notification, which may have been missed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The state that a worker's tasks share.
pub(super) struct Slots {
    pub(super) store: Store,
    pub(super) kind: &'static str,
    /// The most jobs in a batch.
    most: usize,
    pub(super) heartbeat: Heartbeat,
    pub(super) worker: Arc<str>,
    pub(super) limits: Limits,
    line: Mutex<Line>,
    /// Woken when a job may start.
    start: AtomicWaker,
    /// Notified when a job has ended, or its end was written.
    pub(super) moved: Notify,
    /// The moving average of run times in microseconds; zero before the first.
    run_time: AtomicU64,
    pub(super) held: HeldLeases,
    pub(super) doubt: Doubt,
    /// Runs of jobs.
    pub(super) tasks: TaskTracker,
    /// Ends the renewal of leases.
    pub(super) closed: CancellationToken,
}

/// A claimed job and the slot that it takes; dropping it frees the slot.
pub(super) struct SlotGuard {
    pub(super) job: ClaimedJob,
    slots: Arc<Slots>,
    since: Instant,
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.slots.free(self.since.elapsed(), self.job.is_alone);
    }
}

impl Slots {
    pub(super) fn new(
        store: &Store,
        kind: &'static str,
        most: usize,
        worker: &Arc<str>,
        heartbeat: &Heartbeat,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            kind,
            most,
            heartbeat: heartbeat.clone(),
            worker: worker.clone(),
            limits,
            line: Mutex::default(),
            start: AtomicWaker::new(),
            moved: Notify::new(),
            run_time: AtomicU64::new(0),
            held: HeldLeases::default(),
            doubt: Doubt::default(),
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Takes the next batch and slots for it.
    pub(super) fn poll_next(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Vec<SlotGuard>> {
        self.start.register(cx.waker());
        let mut line = self.line();
        let free = self.limits.concurrency.saturating_sub(line.running) as usize;
        let batch = if free == 0 { Vec::new() } else { line.next(self.most.min(free)) };
        if batch.is_empty() {
            return Poll::Pending;
        }
        let now = Instant::now();
        line.running += u32::try_from(batch.len()).unwrap_or(u32::MAX);
        line.lone += u32::from(batch[0].is_alone);
        line.moved = Some(now);
        let guard = |job| SlotGuard { job, slots: self.clone(), since: now };
        Poll::Ready(batch.into_iter().map(guard).collect())
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the slot of a job that ran for this time.
    fn free(&self, time: Duration, was_alone: bool) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.run_time.load(Ordering::Relaxed);
        let average = if before == 0 { time } else { before - before / 16 + time / 16 };
        self.run_time.store(average.max(1), Ordering::Relaxed);
        let mut line = self.line();
        line.running -= 1;
        line.lone -= u32::from(was_alone);
        line.moved = Some(Instant::now());
        drop(line);
        self.start.wake();
        self.moved.notify_one();
    }

    /// When to claim again, if nothing happens.
    pub(super) fn poll_interval(&self) -> Duration {
        if self.line().waiting.is_empty() { POLL_INTERVAL } else { STALL }
    }

    /// Takes everything out of the line.
    pub(super) fn take_line(&self) -> VecDeque<ClaimedJob> {
        std::mem::take(&mut self.line().waiting)
    }
}
