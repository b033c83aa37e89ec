//! Renews the leases of claimed jobs, apart from the jobs: a job that computes for long, or waits for a
//! slow server, keeps its lease as long as this process lives. A job whose lease is lost is left.

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

/// The longest until a renewal that failed is tried again: as soon as the database is back.
const RETRY: Duration = Duration::from_millis(500);

/// The leases that a worker holds, and for each what is cancelled when it is lost.
#[derive(Debug, Default)]
pub(super) struct HeldLeases {
    leases: Mutex<HashMap<i64, (Lease, CancellationToken)>>,
    /// Of jobs that ran and whose outcome could not be written: they are not renewed, and end as if the worker were gone.
    abandoned: Mutex<HashSet<Lease>>,
}

impl HeldLeases {
    fn leases(&self) -> MutexGuard<'_, HashMap<i64, (Lease, CancellationToken)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abandoned(&self) -> MutexGuard<'_, HashSet<Lease>> {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that was lost and is claimed again here leaves the run that it had.
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

    /// Lets leases of jobs that ran, and of whose outcome the database does not know, run out.
    pub(super) fn abandon(&self, leases: &[Lease]) {
        self.abandoned().extend(leases);
        self.remove(leases);
    }

    /// The leases that this worker knows of, abandoned ones among them.
    pub(super) fn known(&self) -> HashSet<Lease> {
        let mut known: HashSet<_> = self.leases().values().map(|(lease, _)| *lease).collect();
        known.extend(self.abandoned().iter());
        known
    }

    /// Forgets those abandoned leases that the database no longer has.
    pub(super) fn forget_abandoned(&self, claimed: &[Lease]) {
        self.abandoned().retain(|lease| claimed.contains(lease));
    }

    /// Whether it is still held, as far as is known here.
    pub(super) fn is_held(&self, lease: Lease) -> bool {
        self.leases().get(&lease.job).is_some_and(|(own, _)| *own == lease)
    }

    /// Renews every lease at least three times in its length, and at once when jobs were cancelled. Runs until
    /// stopped; the database may be away meanwhile.
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

/// How long after a renewal the next one comes: a bit sooner than it must, so that different kinds of jobs seldom renew
/// at the same time, and one connection is enough for them.
fn next_renewal(length: Duration) -> Duration {
    (length / 3).mul_f64(0.8 + 0.2 * rand::random::<f64>())
}
