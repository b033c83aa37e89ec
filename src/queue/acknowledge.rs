//! Writes down how jobs ended, in batches: while one is being written, the next one gathers.
//!
//! A job's slot is free as soon as it has ended; its lease is kept until its outcome is written.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    job::{JobError, Outcome},
    queue::{slots::Slots, wait_log::Waits},
    store::{
        Store, StoreError,
        jobs::{Failed, Failure, Finished, Lease, Unwritten, WaitsFor},
    },
};

/// Outcomes that are written together.
const BATCH: usize = 500;
/// How long after a failure an outcome is written again; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Where outcomes are handed in.
#[derive(Clone)]
pub(super) struct Acknowledge {
    /// Taken away when no more outcomes will come.
    outcomes: Arc<Mutex<Option<mpsc::UnboundedSender<JobEnd>>>>,
}

/// A job that ended.
pub(super) struct JobEnd {
    pub(super) lease: Lease,
    pub(super) attempt: u32,
    pub(super) ending: Ending,
}

/// How a run ended.
pub(super) enum Ending {
    Outcome(Result<Outcome, JobError>),
    /// It panicked or took too long: of a batch, any of its jobs may be to blame.
    Crash {
        reason: String,
        is_shared: bool,
    },
}

impl Ending {
    /// Its name in the metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Outcome(Ok(_)) => "done",
            Self::Outcome(Err(error)) if error.waits() => "snoozed",
            Self::Outcome(Err(JobError::Dead(_) | JobError::Rejected { .. })) => "dead",
            Self::Outcome(Err(JobError::LeaseLost)) => "lease_lost",
            Self::Outcome(Err(_)) | Self::Crash { .. } => "failed",
        }
    }
}

/// Makes the place to hand outcomes in, and what writes them until it is closed.
pub(super) fn start(slots: Slots) -> (Acknowledge, impl Future<Output = ()>) {
    let (outcomes, mut ended) = mpsc::unbounded_channel();
    let acknowledge = Acknowledge { outcomes: Arc::new(Mutex::new(Some(outcomes))) };
    let writing = async move {
        let (mut batch, late, mut waits) = (Vec::with_capacity(BATCH), TaskTracker::new(), Waits::default());
        while ended.recv_many(&mut batch, BATCH).await > 0 {
            let ends = Ends::of(&slots, batch.drain(..), &mut waits);
            waits.log(slots.kind);
            let busy = ends.write(&slots).await;
            if !busy.is_empty() {
                late.spawn(busy.write_late(slots.clone()));
            }
            slots.moved.notify_one();
            if slots.limits.fleet_concurrency.is_some() {
                // There is room for others of this kind, in other daemons too.
                let _ = slots.store.ring(slots.kind).await;
            }
        }
        late.close();
        late.wait().await;
    };
    (acknowledge, writing)
}

impl Acknowledge {
    /// Says that no more outcomes will come.
    pub(super) fn close(&self) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn hand_in(&self, ended: JobEnd) {
        if let Some(outcomes) = &*self.outcomes.lock().unwrap_or_else(PoisonError::into_inner) {
            // The receiver lives until the sender is taken away.
            let _ = outcomes.send(ended);
        }
    }
}

/// Ends that are to be written.
#[derive(Default)]
struct Ends {
    finished: Vec<Finished>,
    failed: Vec<Failed>,
}

impl Ends {
    /// Of outcomes; what its handler has written is settled.
    fn of(slots: &Slots, batch: impl Iterator<Item = JobEnd>, waits: &mut Waits) -> Self {
        let (mut ends, mut settled, mut left) = (Self::default(), Vec::new(), Vec::new());
        for JobEnd { lease, attempt, ending } in batch {
            let (failure, error) = match ending {
                Ending::Outcome(Ok(Outcome::Committed)) => {
                    settled.push(lease);
                    continue;
                }
                Ending::Outcome(Ok(Outcome::Done(follow_ups))) => {
                    ends.finished.push(Finished { lease, follow_ups });
                    continue;
                }
                Ending::Outcome(Err(JobError::LeaseLost)) => {
                    tracing::info!(
                        job.id = lease.job,
                        "job {} is no longer ours: its lease was lost",
                        lease.job
                    );
                    left.push(lease);
                    continue;
                }
                Ending::Outcome(Err(error)) => (failure(slots, attempt, &error), error.to_string()),
                Ending::Crash { reason, is_shared: true } => (Failure::Suspect, reason),
                Ending::Crash { reason, is_shared: false } => {
                    (Failure::Crash(backoff(slots, attempt)), reason)
                }
            };
            if let Failure::Snooze(after) | Failure::PutOff(after, _) = failure {
                waits.add(lease.job, error.clone(), after);
            } else {
                tracing::warn!(job.id = lease.job, attempt, "job {} did not succeed: {error}", lease.job);
            }
            ends.failed.push(Failed { lease, failure, error });
        }
        slots.held.remove(&settled);
        slots.abandon(&left);
        ends
    }

    fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.failed.is_empty()
    }

    /// Writes them, and gives back those of jobs whose row somebody has locked.
    async fn write(self, slots: &Slots) -> Self {
        let Self { finished, mut failed } = self;
        let deadline = Instant::now() + slots.limits.lease;
        let mut finished = persist(slots, finished, deadline).await;
        // What follows from them cannot be enqueued: no repeating mends that.
        failed.extend(finished.refused.drain(..).map(|(finished, error)| Failed {
            lease: finished.lease,
            failure: Failure::Dead,
            error: format!("its outcome cannot be written: {error}"),
        }));
        let failed = persist(slots, failed, deadline).await;
        for (failed, error) in failed.refused {
            tracing::error!(job.id = failed.lease.job, %error, "the failure of job {} cannot be written", failed.lease.job);
            slots.abandon(&[failed.lease]);
        }
        Self { finished: finished.busy, failed: failed.busy }
    }

    /// Tries again as long as the jobs are held: they are, while their rows are locked.
    async fn write_late(mut self, slots: Slots) {
        let mut wait = FIRST_WAIT;
        while !self.is_empty() {
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
            self.finished.retain(|end| slots.held.is_held(end.lease));
            self.failed.retain(|end| slots.held.is_held(end.lease));
            self = self.write(&slots).await;
        }
    }
}

/// How the queue goes on with a job that did not succeed.
fn failure(slots: &Slots, attempt: u32, error: &JobError) -> Failure {
    let put_off = |after, waits_for| Failure::PutOff(spread(after, rand::random()), waits_for);
    match error {
        JobError::Snooze { after, .. } => Failure::Snooze(spread(*after, rand::random())),
        JobError::Withheld { after, by, .. } => put_off(*after, by.clone()),
        JobError::Throttled { after, by } => put_off(*after, WaitsFor::RateLimit(by.clone())),
        JobError::Dead(_) => Failure::Dead,
        JobError::Rejected { server, .. } => Failure::Rejected { by: server.clone() },
        JobError::Retry(_) | JobError::LeaseLost => Failure::Retry(backoff(slots, attempt)),
    }
}

fn backoff(slots: &Slots, attempt: u32) -> Duration {
    slots.limits.backoff.after(attempt, rand::random())
}

/// The most that is added to a wait.
const LONGEST_JITTER: Duration = Duration::from_mins(1);

/// Never earlier than asked, and not all at once; `random` is from 0 to 1.
fn spread(after: Duration, random: f64) -> Duration {
    after.saturating_add((after / 5).min(LONGEST_JITTER).mul_f64(random))
}

/// The end of a job, as the store takes it.
trait End: Sized + Sync {
    fn lease(&self) -> Lease;
    fn write(store: &Store, batch: &[Self]) -> impl Future<Output = Result<Unwritten, StoreError>> + Send;
}

impl End for Finished {
    fn lease(&self) -> Lease {
        self.lease
    }

    async fn write(store: &Store, batch: &[Self]) -> Result<Unwritten, StoreError> {
        store.finish(batch).await
    }
}

impl End for Failed {
    fn lease(&self) -> Lease {
        self.lease
    }

    async fn write(store: &Store, batch: &[Self]) -> Result<Unwritten, StoreError> {
        store.fail(batch).await
    }
}

/// What could not be written.
struct Remainder<E> {
    /// The database refuses these for good.
    refused: Vec<(E, StoreError)>,
    /// Somebody has locked these jobs' rows.
    busy: Vec<E>,
}

/// Writes a batch, however often the database is away, until the leases would have run out. What it
/// refuses for good is tried one by one, so that one does not spoil the others.
async fn persist<E: End>(slots: &Slots, batch: Vec<E>, deadline: Instant) -> Remainder<E> {
    let mut left = Remainder { refused: Vec::new(), busy: Vec::new() };
    let mut batches = vec![batch];
    let mut wait = FIRST_WAIT;
    while let Some(mut batch) = batches.pop() {
        if batch.is_empty() {
            continue;
        }
        match E::write(&slots.store, &batch).await {
            Ok(unwritten) => {
                for lease in &unwritten.lost {
                    tracing::info!(job.id = lease.job, "job {} was no longer ours when it ended", lease.job);
                }
                let (busy, gone): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|end| unwritten.busy.contains(&end.lease()));
                left.busy.extend(busy);
                slots.held.remove(&leases(&gone));
            }
            Err(StoreError::Unreachable(error) | StoreError::TooSlow(error)) if Instant::now() < deadline => {
                tracing::warn!(jobs = batch.len(), %error, "outcomes could not be written; trying on");
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(LONGEST_WAIT);
                batches.push(batch);
            }
            Err(StoreError::Unreachable(error) | StoreError::TooSlow(error)) => {
                // Those that are tried one by one would each take as long.
                let unwritten: Vec<_> = batches.drain(..).chain([batch]).flatten().collect();
                tracing::warn!(jobs = unwritten.len(), %error, "outcomes were not written; their leases run out");
                slots.abandon(&leases(&unwritten));
            }
            Err(error) if batch.len() == 1 => left.refused.extend(batch.pop().map(|one| (one, error))),
            Err(_) => batches.extend(batch.into_iter().map(|one| vec![one])),
        }
    }
    left
}

fn leases<E: End>(ends: &[E]) -> Vec<Lease> {
    ends.iter().map(End::lease).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_spread_by_a_fifth_and_a_minute_at_most_however_long_it_is() {
        assert_eq!(spread(Duration::from_secs(10), 0.0), Duration::from_secs(10));
        assert_eq!(spread(Duration::from_secs(10), 1.0), Duration::from_secs(12));
        assert_eq!(spread(Duration::from_hours(24), 1.0), Duration::from_hours(24) + Duration::from_mins(1));
        assert_eq!(spread(Duration::MAX, 1.0), Duration::MAX);
    }
}
