//! Renews the leases of running jobs, apart from the jobs: a job that computes for long, or waits for a
//! slow server, keeps its lease as long as this process lives.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::store::{Store, jobs::Lease};

/// The leases that a worker holds.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<i64, Lease>>);

impl Held {
    fn leases(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Lease>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn add(&self, lease: Lease) {
        self.leases().insert(lease.job, lease);
    }

    pub(super) fn remove(&self, lease: Lease) {
        self.leases().remove(&lease.job);
    }

    /// Renews every lease three times in its length, and frees the jobs of workers that are gone. Runs
    /// until stopped; the database may be away meanwhile.
    pub(super) async fn keep(&self, store: &Store, length: Duration, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(length / 3) => {}
            }
            let leases: Vec<_> = self.leases().values().copied().collect();
            if !leases.is_empty()
                && let Err(error) = store.renew(&leases, length).await
            {
                tracing::warn!(%error, leases = leases.len(), "leases could not be renewed");
            }
            match store.rescue().await {
                Ok(0) => {}
                Ok(rescued) => tracing::warn!(rescued, "freed {rescued} jobs whose lease ran out"),
                Err(error) => tracing::debug!(%error, "jobs whose lease ran out could not be looked for"),
            }
        }
    }
}
