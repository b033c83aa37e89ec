//! The slots of a worker: how many jobs it may hold, and which.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Limits, Wake, lease::Held};
use crate::store::{
    Store,
    jobs::{Claim, ClaimedJob},
};

/// How much work is claimed ahead of the free slots: what the slots get through in this time, which is a
/// few times what a claim takes. Longer jobs are not claimed ahead, so that another daemon can have them.
const AHEAD: Duration = Duration::from_millis(20);
/// The most jobs that are claimed ahead.
const MAX_AHEAD: u32 = 500;

/// What a worker's parts share.
#[derive(Clone)]
pub(super) struct Slots(Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) kind: &'static str,
    worker: Arc<str>,
    pub(super) limits: Limits,
    /// A permit for each job that may run.
    pub(super) free: Arc<Semaphore>,
    /// Claimed, and not started yet.
    waiting: AtomicU32,
    /// Rung when a job has started or ended.
    pub(super) moved: Notify,
    /// A moving average of how long jobs run, in microseconds; zero before the first.
    run_time: AtomicU64,
    pub(super) held: Held,
    /// The runs of jobs.
    pub(super) tasks: TaskTracker,
    /// Ends the keeping of leases.
    pub(super) closed: CancellationToken,
}

impl std::ops::Deref for Slots {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Slots {
    pub(super) fn new(store: &Store, kind: &'static str, worker: &Arc<str>, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            store: store.clone(),
            kind,
            worker: worker.clone(),
            limits,
            free: Arc::new(Semaphore::new(limits.concurrency as usize)),
            waiting: AtomicU32::new(0),
            moved: Notify::new(),
            run_time: AtomicU64::new(0),
            held: Held::default(),
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
    /// How many jobs may be claimed now.
    pub(super) fn room(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        (free + self.ahead()).saturating_sub(self.waiting.load(Ordering::Acquire))
    }

    /// How many jobs may be claimed beyond the free slots. None of a kind with a limit over all daemons:
    /// there a claimed job counts as a running one.
    fn ahead(&self) -> u32 {
        let run_time = self.run_time.load(Ordering::Relaxed);
        if run_time == 0 || self.limits.fleet_concurrency.is_some() {
            return 0;
        }
        let rounds = u32::try_from(AHEAD.as_micros() / u128::from(run_time)).unwrap_or(u32::MAX);
        rounds.saturating_mul(self.limits.concurrency).min(MAX_AHEAD)
    }

    /// Claims up to so many jobs.
    pub(super) async fn claim(&self, limit: u32) -> Result<Vec<ClaimedJob>, crate::store::StoreError> {
        let claimed = self
            .store
            .claim(Claim {
                kind: self.kind,
                worker: &self.worker,
                limit,
                fleet_limit: self.limits.fleet_concurrency,
                lease: self.limits.lease,
                max_attempts: self.limits.max_attempts,
            })
            .await?;
        self.held.add(&claimed);
        self.waiting.fetch_add(u32::try_from(claimed.len()).unwrap_or(u32::MAX), Ordering::AcqRel);
        Ok(claimed)
    }

    /// A claimed job left the line.
    pub(super) fn leave_line(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// A job ran for this time.
    pub(super) fn ran(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.run_time.load(Ordering::Relaxed);
        let after = if before == 0 { time } else { before - before / 16 + time / 16 };
        self.run_time.store(after.max(1), Ordering::Relaxed);
    }
}
