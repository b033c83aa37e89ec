//! Tracks which jobs of this process wait in their slots for a budget, and publishes the counts in the database.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::store::{Store, budgets::ModelAddress, jobs::SlotWait};

/// A running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobRef {
    /// The kind of job.
    pub kind: &'static str,
    /// Unique.
    pub id: i64,
}

/// Jobs that wait in their slots for a budget. Clones are the same.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Jobs>>);

/// How many requests a job waits with.
type Jobs = HashMap<(JobRef, ModelAddress), usize>;

/// Guard: the jobs count as waiting until it is dropped.
pub(super) struct WaitingEntry {
    waiting: Waiting,
    jobs: Vec<(JobRef, ModelAddress)>,
}

/// How often the counts are published.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

impl Waiting {
    pub(super) fn enter(&self, model: &ModelAddress, jobs: &[JobRef]) -> WaitingEntry {
        let jobs: Vec<_> = jobs.iter().map(|job| (*job, model.clone())).collect();
        let mut locked = self.lock();
        for job in &jobs {
            *locked.entry(job.clone()).or_default() += 1;
        }
        drop(locked);
        WaitingEntry { waiting: self.clone(), jobs }
    }

    /// Publishes the counts in our database, each second while any job waits, until stopped.
    pub async fn keep_publishing(&self, store: &Store, worker: &str, stop: &CancellationToken) {
        let mut is_published = false;
        loop {
            let is_stopped = stop.run_until_cancelled(tokio::time::sleep(PUBLISH_INTERVAL)).await.is_none();
            let waits = if is_stopped { Vec::new() } else { self.counts() };
            if is_published || !waits.is_empty() {
                match store.note_slot_waits(worker, &waits).await {
                    Ok(()) => is_published = !waits.is_empty(),
                    Err(error) => {
                        tracing::debug!(%error, "the jobs that wait for a budget could not be published");
                    }
                }
            }
            if is_stopped {
                return;
            }
        }
    }

    fn counts(&self) -> Vec<SlotWait> {
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        for (job, model) in self.lock().keys() {
            *counts.entry((job.kind, model.clone())).or_default() += 1;
        }
        counts.into_iter().map(|((kind, model), jobs)| SlotWait { kind, model, jobs }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingEntry {
    fn drop(&mut self) {
        let mut locked = self.waiting.lock();
        for job in &self.jobs {
            if let Some(requests) = locked.get_mut(job) {
                *requests -= 1;
                if *requests == 0 {
                    locked.remove(job);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_counts_once_however_many_of_its_requests_wait() {
        let of = |model: &str| ModelAddress { server: "http://s/v1".to_owned(), model: model.to_owned() };
        let (waiting, one, other) =
            (Waiting::default(), JobRef { kind: "k", id: 1 }, JobRef { kind: "k", id: 2 });
        let first = waiting.enter(&of("m"), &[one, other]);
        let second = waiting.enter(&of("m"), &[one]);
        let third = waiting.enter(&of("n"), &[one]);
        let counts =
            || waiting.counts().into_iter().map(|wait| (wait.model.model, wait.jobs)).collect::<Vec<_>>();
        assert_eq!(counts(), [("m".to_owned(), 2), ("n".to_owned(), 1)]);
        drop((first, third));
        assert_eq!(counts(), [("m".to_owned(), 1)]);
        drop(second);
        assert!(waiting.lock().is_empty());
    }
}
