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

use super::{Limits, Pulse, Wake, lease::HeldLeases, strays::Doubt};
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
/// How often a worker looks by itself, for hints that were missed.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker's parts share.
#[derive(Clone)]
pub(super) struct Slots(Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) kind: &'static str,
    pub(super) pulse: Pulse,
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
    /// When a job started or ended last, or came into an empty line.
    moved: Option<Instant>,
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

    /// Whether jobs wait because those that run are long.
    fn is_stalled(&self) -> bool {
        !self.waiting.is_empty() && self.moved.is_some_and(|moved| moved.elapsed() > STALL)
    }
}

/// What is to be claimed next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) jobs: u32,
    /// Whether there is no slot for them yet.
    pub(super) ahead: bool,
}

impl std::ops::Deref for Slots {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Slots {
    pub(super) fn new(
        store: &Store,
        kind: &'static str,
        worker: &Arc<str>,
        pulse: &Pulse,
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Shared {
            store: store.clone(),
            kind,
            pulse: pulse.clone(),
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
        }))
    }

    /// Keeps the leases of what is held, until closed.
    pub(super) fn keep(&self, wake: &Wake) -> impl Future<Output = ()> + use<> {
        let (slots, cancelled) = (self.clone(), wake.cancelled(self.kind));
        async move { slots.held.keep(&slots.store, slots.limits.lease, &cancelled, &slots.closed).await }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, when there is one and a slot for it; the slot is taken.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<ClaimedJob> {
        self.start.register(cx.waker());
        let mut line = self.line();
        if line.running >= self.limits.concurrency {
            return Poll::Pending;
        }
        let Some(job) = line.waiting.pop_front() else { return Poll::Pending };
        line.running += 1;
        line.moved = Some(Instant::now());
        Poll::Ready(job)
    }

    /// A job ran for this time; its slot is free.
    pub(super) fn ended(&self, time: Duration) {
        self.ran(time);
        let mut line = self.line();
        line.running -= 1;
        line.moved = Some(Instant::now());
        drop(line);
        self.start.wake();
        self.moved.notify_one();
    }

    /// What may be claimed now.
    pub(super) fn want(&self) -> Option<Want> {
        let line = self.line();
        let free = self.limits.concurrency.saturating_sub(line.running);
        let (jobs, ahead) = match free.checked_sub(line.waiting()) {
            None | Some(0) => ((free + self.ahead()).saturating_sub(line.waiting()), true),
            Some(jobs) => (jobs, false),
        };
        (jobs > 0).then_some(Want { jobs, ahead })
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

    /// When to look again, if nothing happens.
    pub(super) fn look(&self) -> Duration {
        if self.line().waiting.is_empty() { LOOK } else { STALL }
    }

    /// Takes everything out of the line.
    pub(super) fn take_line(&self) -> VecDeque<ClaimedJob> {
        std::mem::take(&mut self.line().waiting)
    }

    /// How many jobs may be claimed beyond the free slots. None of a kind with a limit over all daemons:
    /// there a claimed job counts as a running one.
    fn ahead(&self) -> u32 {
        let run_time = self.run_time.load(Ordering::Relaxed);
        if run_time == 0 || self.limits.fleet_concurrency.is_some() {
            return 0;
        }
        let rounds = u32::try_from(self.limits.ahead.as_micros() / u128::from(run_time)).unwrap_or(u32::MAX);
        rounds.saturating_mul(self.limits.concurrency).min(MAX_AHEAD)
    }

    /// Claims jobs and puts them into the line; says how many.
    pub(super) async fn claim(&self, want: Want) -> Result<u32, StoreError> {
        let claim = self
            .store
            .claim(Claim {
                kind: self.kind,
                worker: &self.worker,
                limit: want.jobs,
                ahead: want.ahead,
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
            // Somebody has locked the rows of the others.
            Ok(_) => self.doubt.raise(self.limits.lease),
            Err(error) => {
                tracing::warn!(%error, "claimed jobs could not be given back; trying on");
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

    fn ran(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.run_time.load(Ordering::Relaxed);
        let after = if before == 0 { time } else { before - before / 16 + time / 16 };
        self.run_time.store(after.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
