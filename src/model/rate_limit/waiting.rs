//! Tracks which jobs of this process wait in their slots for a budget, and publishes the counts in the database.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::store::{
    Store,
    usage::{ModelAddress, SlotWait},
};

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

/// How often others are told.
const TELL: Duration = Duration::from_secs(1);

impl Waiting {
    pub(super) fn enter(&self, of: &ModelAddress, jobs: &[JobRef]) -> WaitingEntry {
        let jobs: Vec<_> = jobs.iter().map(|job| (*job, of.clone())).collect();
        let mut locked = self.lock();
        for job in &jobs {
            *locked.entry(job.clone()).or_default() += 1;
        }
        drop(locked);
        WaitingEntry { waiting: self.clone(), jobs }
    }

    /// Tells others through our database, each second while any job waits, until stopped.
    pub async fn keep_telling(&self, store: &Store, worker: &str, stop: &CancellationToken) {
        let mut is_told = false;
        loop {
            let is_stopped = stop.run_until_cancelled(tokio::time::sleep(TELL)).await.is_none();
            let waits = if is_stopped { Vec::new() } else { self.counts() };
            if is_told || !waits.is_empty() {
                match store.note_slot_waits(worker, &waits).await {
                    Ok(()) => is_told = !waits.is_empty(),
                    Err(error) => tracing::debug!(%error, "others could not be told which jobs wait"),
                }
            }
            if is_stopped {
                return;
            }
        }
    }

    fn counts(&self) -> Vec<SlotWait> {
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        for (job, of) in self.lock().keys() {
            *counts.entry((job.kind, of.clone())).or_default() += 1;
        }
        counts.into_iter().map(|((kind, of), jobs)| SlotWait { kind, of, jobs }).collect()
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
            || waiting.counts().into_iter().map(|wait| (wait.of.model, wait.jobs)).collect::<Vec<_>>();
        assert_eq!(counts(), [("m".to_owned(), 2), ("n".to_owned(), 1)]);
        drop((first, third));
        assert_eq!(counts(), [("m".to_owned(), 1)]);
        drop(second);
        assert!(waiting.lock().is_empty());
    }
}
