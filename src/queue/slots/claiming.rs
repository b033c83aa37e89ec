//! Claims jobs into the line, and gives back those that it should not hold.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Duration};

use super::{STALL, Slots};
use crate::store::{
    StoreError,
    jobs::{Claim, ClaimedJob, Lease},
};

/// The usual [`Limits::ahead`](crate::queue::Limits): a few times the duration of a claim.
pub const AHEAD: Duration = Duration::from_millis(20);
/// The most jobs that are claimed ahead.
const MAX_AHEAD: u32 = 500;

/// The size of the next claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) struct Want {
    pub jobs: u32,
    /// Besides them, jobs that run alone.
    pub lone: u32,
    /// Whether another job may be to blame if the worker dies.
    pub shared: bool,
    /// Whether they have no free slot yet.
    pub ahead: bool,
}

impl Slots {
    /// What may be claimed now.
    pub(in crate::queue) fn want(&self) -> Option<Want> {
        let line = self.line();
        let free = self.limits.concurrency.saturating_sub(line.running);
        if let Some(jobs @ 1..) = free.checked_sub(line.waiting()) {
            let shared = self.most > 1 && jobs > 1;
            // One at a time: if the worker dies, it is known which one is to blame.
            let may_take_lone = shared && !line.has_lone();
            return Some(Want { jobs, lone: u32::from(may_take_lone), shared, ahead: false });
        }
        let jobs = (free + self.ahead()).saturating_sub(line.waiting());
        (jobs > 0).then_some(Want { jobs, lone: 0, shared: true, ahead: true })
    }

    /// Takes the jobs out of the line that were claimed ahead before jobs became longer.
    pub(in crate::queue) fn surplus(&self) -> VecDeque<ClaimedJob> {
        let mut line = self.line();
        if line.is_stalled() {
            self.run_time.fetch_max(u64::try_from(STALL.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let keep = self.limits.concurrency.saturating_sub(line.running) + self.ahead();
        if line.waiting() > keep { line.waiting.split_off(keep as usize) } else { VecDeque::new() }
    }

    /// How many jobs may be claimed beyond the free slots: none of a kind that runs in batches, or that has a limit over
    /// all daemons, where a claimed job counts as a running one.
    fn ahead(&self) -> u32 {
        let run_time = self.run_time.load(Ordering::Relaxed);
        if run_time == 0 || self.most > 1 || self.limits.fleet_concurrency.is_some() {
            return 0;
        }
        let rounds = u32::try_from(self.limits.ahead.as_micros() / u128::from(run_time)).unwrap_or(u32::MAX);
        rounds.saturating_mul(self.limits.concurrency).min(MAX_AHEAD)
    }

    /// Claims jobs and puts them into the line; returns their number.
    pub(in crate::queue) async fn claim(&self, want: Want) -> Result<u32, StoreError> {
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
        // The server may have carried it out all the same, or still may.
        let claimed = claim.inspect_err(|_| self.doubt.raise(self.limits.lease))?;
        let found = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        self.held.add(&claimed);
        self.line().extend(claimed);
        self.start.wake();
        Ok(found)
    }

    /// Gives back jobs that never started.
    pub(in crate::queue) async fn give_back(&self, jobs: VecDeque<ClaimedJob>) {
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

    /// Lets the leases of jobs run out whose outcome could not be written.
    pub(in crate::queue) fn abandon(&self, leases: &[Lease]) {
        if leases.is_empty() {
            return;
        }
        self.held.abandon(leases);
        self.doubt.raise(self.limits.lease);
    }
}
