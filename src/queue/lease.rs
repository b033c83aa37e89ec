//! Renews the leases of claimed jobs, apart from the jobs: a job that computes, or waits for a slow server, keeps its lease
//! as long as this process lives. A job whose lease is lost is abandoned.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{
    Store,
    jobs::{ClaimedJob, Lease},
};

/// The longest wait before a failed renewal is retried.
const RETRY: Duration = Duration::from_millis(500);

/// The leases of a worker, each with the token that is cancelled if it is lost.
#[derive(Debug, Default)]
pub(super) struct HeldLeases {
    leases: Mutex<HashMap<i64, (Lease, CancellationToken)>>,
    /// Leases of jobs whose outcome could not be written: they are not renewed, and end as if the worker were gone.
    abandoned: Mutex<HashSet<Lease>>,
}

impl HeldLeases {
    fn leases(&self) -> MutexGuard<'_, HashMap<i64, (Lease, CancellationToken)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abandoned(&self) -> MutexGuard<'_, HashSet<Lease>> {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds leases. A lost job that is claimed again here abandons its former run.
    pub(super) fn add(&self, claimed: &[ClaimedJob]) {
        let mut held = self.leases();
        for job in claimed {
            if let Some((_, lost)) = held.insert(job.lease.job, (job.lease, CancellationToken::new())) {
                lost.cancel();
            }
        }
    }

    /// Returns the token that is cancelled when the lease is lost.
    pub(super) fn lost(&self, lease: Lease) -> CancellationToken {
        match self.leases().get(&lease.job) {
            Some((own, lost)) if *own == lease => lost.clone(),
            _ => {
                let lost = CancellationToken::new();
                lost.cancel();
                lost
            }
        }
    }

    /// Forgets leases, and returns the tokens of their runs.
    pub(super) fn remove(&self, leases: &[Lease]) -> Vec<CancellationToken> {
        let mut held = self.leases();
        let own = leases.iter().filter_map(|lease| match held.entry(lease.job) {
            Entry::Occupied(entry) if entry.get().0 == *lease => Some(entry.remove().1),
            _ => None,
        });
        own.collect()
    }

    /// Lets the leases of jobs run out whose outcome could not be written.
    pub(super) fn abandon(&self, leases: &[Lease]) {
        self.abandoned().extend(leases);
        self.remove(leases);
    }

    /// The leases that this worker knows of, including abandoned ones.
    pub(super) fn known(&self) -> HashSet<Lease> {
        let mut known: HashSet<_> = self.leases().values().map(|(lease, _)| *lease).collect();
        known.extend(self.abandoned().iter());
        known
    }

    /// Forgets abandoned leases that the database no longer has.
    pub(super) fn forget_abandoned(&self, claimed: &[Lease]) {
        self.abandoned().retain(|lease| claimed.contains(lease));
    }

    /// Whether a lease is still held, as far as this process knows.
    pub(super) fn is_held(&self, lease: Lease) -> bool {
        self.leases().get(&lease.job).is_some_and(|(own, _)| *own == lease)
    }

    /// Renews every lease at least three times before it ends, and at once when jobs were cancelled. Runs until stopped,
    /// whatever happens to the database.
    pub(super) async fn keep(
        &self,
        store: &Store,
        length: Duration,
        cancelled: &Arc<Notify>,
        stop: &CancellationToken,
    ) {
        let mut wait = next_renewal(length);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = cancelled.notified() => {}
            }
            let leases: Vec<_> = self.leases().values().map(|(lease, _)| *lease).collect();
            if leases.is_empty() {
                continue;
            }
            match store.renew(&leases, length).await {
                Ok(lost) => {
                    wait = next_renewal(length);
                    self.remove(&lost).iter().for_each(CancellationToken::cancel);
                }
                Err(error) => {
                    wait = (length / 10).min(RETRY);
                    tracing::warn!(%error, leases = leases.len(), "leases could not be renewed");
                }
            }
        }
    }
}

/// The time until the next renewal: random and a bit shorter than it could be, so that kinds of jobs seldom renew at the
/// same time, and one connection suffices.
fn next_renewal(length: Duration) -> Duration {
    (length / 3).mul_f64(0.8 + 0.2 * rand::random::<f64>())
}
