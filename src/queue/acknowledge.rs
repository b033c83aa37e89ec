//! Writes the outcomes of jobs in batches: while one batch is written, the next one gathers.
//!
//! A job's slot is free as soon as its run ends; its lease is kept until its outcome is written.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    job::{JobError, Outcome},
    queue::{slots::Slots, wait_log::Waits},
    store::{
        StoreError,
        jobs::{AfterFailure, Ending, JobEnd, Lease},
    },
};

/// Outcomes per batch.
const BATCH: usize = 500;
/// The wait before an outcome is written again; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A finished run.
pub(super) struct RunEnd {
    pub(super) lease: Lease,
    pub(super) attempt: u32,
    pub(super) result: RunResult,
}

/// How a run ended.
pub(super) enum RunResult {
    Outcome(Result<Outcome, JobError>),
    /// It panicked or timed out. Any job of a batch may be to blame.
    Crash {
        reason: String,
        is_shared: bool,
    },
}

impl RunResult {
    /// Its name in the metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Outcome(Ok(_)) => "done",
            Self::Outcome(Err(error)) if error.waits() => "snoozed",
            Self::Outcome(Err(JobError::Dead(_) | JobError::Unfit(_) | JobError::Rejected { .. })) => "dead",
            Self::Outcome(Err(JobError::LeaseLost)) => "lease_lost",
            Self::Outcome(Err(_)) | Self::Crash { .. } => "failed",
        }
    }
}

/// Returns the sender for finished runs, and the task that writes their outcomes until the sender is dropped.
pub(super) fn start(slots: Arc<Slots>) -> (mpsc::UnboundedSender<RunEnd>, impl Future<Output = ()>) {
    let (outcomes, mut ended) = mpsc::unbounded_channel();
    let writing = async move {
        let (mut batch, late, mut waits) = (Vec::with_capacity(BATCH), TaskTracker::new(), Waits::default());
        while ended.recv_many(&mut batch, BATCH).await > 0 {
            let ends = ends(&slots, batch.drain(..), &mut waits);
            waits.log(slots.kind);
            let busy = write(&slots, ends).await;
            if !busy.is_empty() {
                late.spawn(write_late(slots.clone(), busy));
            }
            slots.moved.notify_one();
            if slots.limits.fleet_concurrency.is_some() {
                // Other daemons may have waited for room.
                let _ = slots.store.ring(slots.kind).await;
            }
        }
        late.close();
        late.wait().await;
    };
    (outcomes, writing)
}

/// The ends to write for these runs. Releases jobs that their handlers completed.
fn ends(slots: &Slots, batch: impl Iterator<Item = RunEnd>, waits: &mut Waits) -> Vec<JobEnd> {
    let (mut ends, mut committed, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    for RunEnd { lease, attempt, result } in batch {
        let (failure, error) = match result {
            RunResult::Outcome(Ok(Outcome::Committed)) => {
                committed.push(lease);
                continue;
            }
            RunResult::Outcome(Ok(Outcome::Done(follow_ups))) => {
                ends.push(JobEnd::done(lease, follow_ups));
                continue;
            }
            RunResult::Outcome(Err(error)) => {
                let Some(after) = error.after(slots.limits.backoff, attempt, rand::random()) else {
                    tracing::info!(
                        job.id = lease.job,
                        "job {} is no longer ours: its lease was lost",
                        lease.job
                    );
                    lost.push(lease);
                    continue;
                };
                (after, error.to_string())
            }
            RunResult::Crash { reason, is_shared: true } => (AfterFailure::Suspect, reason),
            RunResult::Crash { reason, is_shared: false } => {
                (AfterFailure::Crash(slots.limits.backoff.after(attempt, rand::random())), reason)
            }
        };
        if let AfterFailure::Snooze(after, _) = failure {
            waits.add(lease.job, error.clone(), after);
        } else {
            tracing::warn!(job.id = lease.job, attempt, "job {} did not succeed: {error}", lease.job);
        }
        ends.push(JobEnd::failed(lease, failure, error));
    }
    slots.held.remove(&committed);
    slots.abandon(&lost);
    ends
}

/// Writes ends of jobs whose rows are locked again, as long as their leases are held.
async fn write_late(slots: Arc<Slots>, mut ends: Vec<JobEnd>) {
    let mut wait = FIRST_WAIT;
    while !ends.is_empty() {
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(LONGEST_WAIT);
        ends.retain(|end| slots.held.is_held(end.lease));
        ends = write(&slots, ends).await;
    }
}

/// Writes ends, with retries while the database is away, until the leases would have run out. A batch that it refuses is
/// written one by one. Returns the ends of jobs whose rows are locked.
async fn write(slots: &Slots, ends: Vec<JobEnd>) -> Vec<JobEnd> {
    let deadline = Instant::now() + slots.limits.lease;
    let (mut busy, mut batches, mut wait) = (Vec::new(), vec![ends], FIRST_WAIT);
    while let Some(mut batch) = batches.pop() {
        if batch.is_empty() {
            continue;
        }
        match slots.store.end_jobs(&batch).await {
            Ok(unwritten) => {
                for lease in &unwritten.lost {
                    tracing::info!(job.id = lease.job, "job {} was no longer ours when it ended", lease.job);
                }
                let (locked, gone): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|end| unwritten.busy.contains(&end.lease));
                busy.extend(locked);
                slots.held.remove(&leases(&gone));
            }
            Err(StoreError::Unreachable(error) | StoreError::TooSlow(error)) if Instant::now() < deadline => {
                tracing::warn!(jobs = batch.len(), %error, "outcomes could not be written; retrying");
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(LONGEST_WAIT);
                batches.push(batch);
            }
            Err(StoreError::Unreachable(error) | StoreError::TooSlow(error)) => {
                // Ends that are written one by one would each take as long.
                let unwritten: Vec<_> = batches.drain(..).chain([batch]).flatten().collect();
                tracing::warn!(jobs = unwritten.len(), %error, "outcomes were not written; their leases run out");
                slots.abandon(&leases(&unwritten));
            }
            Err(_) if batch.len() > 1 => batches.extend(batch.into_iter().map(|one| vec![one])),
            Err(error) => {
                batches.extend(batch.pop().and_then(|end| refused(slots, end, &error)).map(|end| vec![end]));
            }
        }
    }
    busy
}

/// The end to write instead of one that the database refuses.
fn refused(slots: &Slots, end: JobEnd, error: &StoreError) -> Option<JobEnd> {
    let JobEnd { lease, ending } = end;
    match ending {
        // Its follow-up jobs cannot be enqueued, and a retry would not help.
        Ending::Done(_) => {
            let error = format!("its outcome cannot be written: {error}");
            Some(JobEnd::failed(lease, AfterFailure::Dead { rejected_by: None }, error))
        }
        Ending::Failed(..) => {
            tracing::error!(job.id = lease.job, %error, "the failure of job {} cannot be written", lease.job);
            slots.abandon(&[lease]);
            None
        }
    }
}

fn leases(ends: &[JobEnd]) -> Vec<Lease> {
    ends.iter().map(|end| end.lease).collect()
}
