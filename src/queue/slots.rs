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
use crate::store::{
    Store, StoreError,
    jobs::{Claim, ClaimedJob, Lease},
};

/// What is usual for [`Limits::ahead`]: a few times what a claim takes.
pub const AHEAD: Duration = Duration::from_millis(20);
/// The most jobs that are claimed ahead.
const MAX_AHEAD: u32 = 500;
/// When nothing has started or ended for so long, what runs is long: what was claimed ahead is given back.
const STALL: Duration = Duration::from_millis(100);
/// How often a worker claims without a hint: one may have been missed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker's parts share.
pub(super) struct Slots {
    pub(super) store: Store,
    pub(super) kind: &'static str,
    /// Jobs that are run together, at most.
    most: usize,
    pub(super) heartbeat: Heartbeat,
    pub(super) worker: Arc<str>,
    pub(super) limits: Limits,
    line: Mutex<Line>,
    /// Woken when a job may start.
    start: AtomicWaker,
    /// Rung when a job has ended, or its end was written.
    pub(super) moved: Notify,
    /// A moving average of how long jobs run, in microseconds; zero before the first.
    run_time: AtomicU64,
    pub(super) held: HeldLeases,
    pub(super) doubt: Doubt,
    /// The runs of jobs.
    pub(super) tasks: TaskTracker,
    /// Ends the keeping of leases.
    pub(super) closed: CancellationToken,
}

/// The jobs that are held.
#[derive(Default)]
struct Line {
    /// Claimed, and not started yet.
    waiting: VecDeque<ClaimedJob>,
    /// Slots that are taken.
    running: u32,
    /// Of them, those that run alone.
    lone: u32,
    /// When a job started or ended last, or came into an empty line.
    moved: Option<Instant>,
}

/// A claimed job and the slot that it takes; dropping it frees the slot.
pub(super) struct SlotGuard {
    pub(super) job: ClaimedJob,
    slots: Arc<Slots>,
    since: Instant,
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.slots.ended(self.since.elapsed(), self.job.is_alone);
    }
}

impl Line {
    fn waiting(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    fn extend(&mut self, claimed: Vec<ClaimedJob>) {
        if self.waiting.is_empty() {
            // They could not start before: a long idle time is no stall.
            self.moved = Some(Instant::now());
        }
        self.waiting.extend(claimed);
    }

    /// Takes out the jobs that are run together next; so many at most.
    fn next(&mut self, most: usize) -> Vec<ClaimedJob> {
        let Some(first) = self.waiting.pop_front() else { return Vec::new() };
        let mut batch = vec![first];
        while batch.len() < most
            && !batch[0].is_alone
            && let Some(next) = self.waiting.pop_front_if(|job| !job.is_alone)
        {
            batch.push(next);
        }
        batch
    }

    fn has_lone(&self) -> bool {
        self.lone > 0 || self.waiting.iter().any(|job| job.is_alone)
    }

    /// Whether jobs wait because those that run are long.
    fn is_stalled(&self) -> bool {
        !self.waiting.is_empty() && self.moved.is_some_and(|moved| moved.elapsed() > STALL)
    }
}

/// What is to be claimed next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) jobs: u32,
    /// More, that run alone.
    pub(super) lone: u32,
    /// Whether another job may be to blame when the worker dies.
    pub(super) shared: bool,
    /// Whether there is no slot for them yet.
    pub(super) ahead: bool,
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

    /// The next batch, when there is one and slots for it; the slots are taken.
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

    /// A job ran for this time; its slot is free.
    fn ended(&self, time: Duration, was_alone: bool) {
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

    /// What may be claimed now.
    pub(super) fn want(&self) -> Option<Want> {
        let line = self.line();
        let free = self.limits.concurrency.saturating_sub(line.running);
        if let Some(jobs @ 1..) = free.checked_sub(line.waiting()) {
            let shared = self.most > 1 && jobs > 1;
            // One at a time, so that of those which may end their worker one alone is to blame.
            let may_take_lone = shared && !line.has_lone();
            return Some(Want { jobs, lone: u32::from(may_take_lone), shared, ahead: false });
        }
        let jobs = (free + self.ahead()).saturating_sub(line.waiting());
        (jobs > 0).then_some(Want { jobs, lone: 0, shared: true, ahead: true })
    }

    /// Takes out of the line what was claimed ahead and should not have been: jobs have become longer.
    pub(super) fn surplus(&self) -> VecDeque<ClaimedJob> {
        let mut line = self.line();
        if line.is_stalled() {
            self.run_time.fetch_max(u64::try_from(STALL.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let keep = self.limits.concurrency.saturating_sub(line.running) + self.ahead();
        if line.waiting() > keep { line.waiting.split_off(keep as usize) } else { VecDeque::new() }
    }

    /// When to claim again, if nothing happens.
    pub(super) fn poll_interval(&self) -> Duration {
        if self.line().waiting.is_empty() { POLL_INTERVAL } else { STALL }
    }

    /// Takes everything out of the line.
    pub(super) fn take_line(&self) -> VecDeque<ClaimedJob> {
        std::mem::take(&mut self.line().waiting)
    }

    /// How many jobs may be claimed beyond the free slots. None of a kind with a limit over all daemons,
    /// where a claimed job counts as a running one, and none of a kind that is run in batches.
    fn ahead(&self) -> u32 {
        let run_time = self.run_time.load(Ordering::Relaxed);
        if run_time == 0 || self.most > 1 || self.limits.fleet_concurrency.is_some() {
            return 0;
        }
        let rounds = u32::try_from(self.limits.ahead.as_micros() / u128::from(run_time)).unwrap_or(u32::MAX);
        rounds.saturating_mul(self.limits.concurrency).min(MAX_AHEAD)
    }

    /// Claims jobs and puts them into the line; returns their number.
    pub(super) async fn claim(&self, want: Want) -> Result<u32, StoreError> {
        let claim = self
            .store
            .claim(Claim {
                kind: self.kind,
                worker: &self.worker,
                limit: want.jobs,
                shared: want.shared,
                lone: want.lone,
                fleet_limit: self.limits.fleet_concurrency,
                lease: self.limits.lease,
                max_attempts: self.limits.max_attempts,
            })
            .await;
        // It may have been done all the same, or be done yet.
        let claimed = claim.inspect_err(|_| self.doubt.raise(self.limits.lease))?;
        let found = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        self.held.add(&claimed);
        self.line().extend(claimed);
        self.start.wake();
        Ok(found)
    }

    /// Gives jobs that never started back.
    pub(super) async fn give_back(&self, jobs: VecDeque<ClaimedJob>) {
        if jobs.is_empty() {
            return;
        }
        let leases: Vec<_> = jobs.iter().map(|job| job.lease).collect();
        match self.store.give_back(&leases).await {
            Ok(back) if back == leases.len() => {}
            // The rows of the others are locked.
            Ok(_) => self.doubt.raise(self.limits.lease),
            Err(error) => {
                tracing::warn!(%error, "claimed jobs could not be given back; retrying");
                self.doubt.raise(self.limits.lease);
            }
        }
        self.held.remove(&leases);
    }

    /// Lets leases of jobs that ran, and of whose outcome the database does not know, run out.
    pub(super) fn abandon(&self, leases: &[Lease]) {
        if leases.is_empty() {
            return;
        }
        self.held.abandon(leases);
        self.doubt.raise(self.limits.lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_must_run_alone_is_no_part_of_a_batch() {
        let mut line = Line::default();
        line.extend(
            [false, false, true, false, false, false].map(|is_alone| ClaimedJob { is_alone, ..job() }).into(),
        );
        let sizes: Vec<_> =
            std::iter::from_fn(|| Some(line.next(2).len()).filter(|size| *size > 0)).collect();
        assert_eq!(sizes, [2, 1, 2, 1]);
    }

    fn job() -> ClaimedJob {
        ClaimedJob {
            lease: Lease { job: 1, fence: 1 },
            key: None,
            payload: serde_json::Value::Null,
            priority: 0,
            attempt: 1,
            max_attempts: 1,
            waited: Duration::ZERO,
            traceparent: None,
            time_limit: None,
            is_alone: false,
        }
    }

    #[test]
    fn a_line_stalls_while_jobs_wait_in_it_and_not_while_it_is_empty() {
        let long_ago = Instant::now().checked_sub(10 * STALL).unwrap();
        let mut line = Line { moved: Some(long_ago), ..Line::default() };
        assert!(!line.is_stalled(), "idle");
        line.extend(vec![job()]);
        assert!(line.moved.unwrap() > long_ago, "an idle time is no stall");
        line.moved = Some(long_ago);
        line.extend(vec![job()]);
        assert!(line.is_stalled(), "those that come later start nothing");
    }
}
