//! The jobs, and the whole of the retry policy.
//!
//! | kind | key | does |
//! |---|---|---|
//! | `sync_catalogue` | source | compares a source with the index and enqueues what changed |
//! | `refresh_document` | source/key | makes the index hold one document as it is now |
//! | `answer_question` | answer's id | answers one question |
//! | `deliver_webhook` | delivery's id | tells another service what became of an answer |
//! | `fill_index` | version | fills an index version with the documents that it lacks |
//! | `maintain_index` | `all` | removes dead chunks, and builds HNSW indexes that are missing or worn |
//! | `eval` | golden set | measures retrieval on a golden set |
//! | `prune_history` | `all` | deletes what is past its retention |
//!
//! A job names what it is about and never carries its content: it reads the world as it is now, so that
//! a repeat is harmless.

use std::{future::Future, time::Duration};

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::CatalogueError,
    model::ModelError,
    store::{
        StoreError,
        jobs::{Failure, Lease, NewJob, OnDead, WaitsFor},
    },
};

/// The kind of job that compares a source with the index.
pub const SYNC_CATALOGUE: &str = "sync_catalogue";
/// The kind of job that refreshes one document.
pub const REFRESH_DOCUMENT: &str = "refresh_document";
/// The kind of job that fills an index version.
pub const FILL_INDEX: &str = "fill_index";

/// A job that compares a source with the index.
pub fn sync_catalogue(source: &str) -> NewJob {
    let payload = serde_json::json!({ "source": source });
    NewJob { kind: SYNC_CATALOGUE, key: source.to_owned(), payload }
}

/// A job that refreshes one document.
pub fn refresh_document(source: &str, key: &str) -> NewJob {
    let payload = serde_json::json!({ "source": source, "key": key });
    NewJob { kind: REFRESH_DOCUMENT, key: format!("{source}/{key}"), payload }
}

/// A kind of job and what it does.
pub trait Job: Send + Sync + 'static {
    /// Its name everywhere: queue, logs, metrics, settings.
    const KIND: &'static str;
    /// What ends with a job that dies or is cancelled, besides the job.
    const ON_DEAD: Option<OnDead> = None;
    /// Its arguments.
    type Payload: DeserializeOwned + Send;

    /// Runs once.
    fn run(
        &self,
        payload: Self::Payload,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

/// A kind of job of which many are run together: the queue hands over what one claim brought.
///
/// A run that panics, or takes longer than it may, blames none of its jobs: each is run once more, alone.
pub trait BatchJob: Send + Sync + 'static {
    /// Its name everywhere: queue, logs, metrics, settings.
    const KIND: &'static str;
    /// What ends with a job that dies or is cancelled, besides the job.
    const ON_DEAD: Option<OnDead> = None;
    /// The most jobs of one run.
    const MOST: usize;
    /// The arguments of one job.
    type Payload: DeserializeOwned + Send;

    /// Only jobs of the same lane are run together, so that a lane that hangs holds up no other.
    fn lane(payload: &Self::Payload) -> &str;

    /// Runs them once. Returns one result for each, in their order.
    fn run(
        &self,
        batch: Vec<JobRun<Self::Payload>>,
    ) -> impl Future<Output = Vec<Result<Outcome, JobError>>> + Send;
}

/// A job that this worker holds.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobRun<P> {
    pub payload: P,
    pub attempt: Attempt,
}

/// Which run of a job this is.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The right to write in the job's name.
    pub lease: Lease,
    /// The key that the job was enqueued with.
    pub key: String,
    /// Counted from 1.
    pub number: u32,
    /// After this one the job is dead when it fails.
    pub is_last: bool,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
    /// Cancelled when the lease is lost: nothing that is done after that is written.
    pub lost: CancellationToken,
}

impl Attempt {
    /// Runs long work until the daemon stops. Then another daemon continues it, and the attempt is not counted.
    pub async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, JobError> {
        self.stop.run_until_cancelled(work).await.unwrap_or_else(|| {
            Err(JobError::Snooze { after: Duration::ZERO, reason: "the daemon is shutting down".to_owned() })
        })
    }
}

/// How a run ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The worker completes the job, with these to follow.
    Done(Vec<NewJob>),
    /// The run completed the job itself, in the transaction that wrote its results.
    Committed,
}

/// How a run ended badly: what the queue does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum JobError {
    /// It may go better next time; the attempt counts, and the wait doubles.
    #[error("{0}")]
    Retry(String),
    /// It is not this job's fault: it waits, and the attempt does not count.
    #[error("{reason}")]
    Snooze { after: Duration, reason: String },
    /// A budget is used up, or an operator has paused spending: the job waits in the same way.
    #[error("{reason}")]
    Withheld { after: Duration, reason: String, by: WaitsFor },
    /// It will never succeed as things are.
    #[error("{0}")]
    Dead(String),
    /// The model will never take what it was asked.
    #[error("{reason}")]
    Rejected { server: String, reason: String },
    /// Another worker has it; whatever was done here was not written.
    #[error("the lease was lost")]
    LeaseLost,
}

impl JobError {
    /// The same with a wait that is no longer than this.
    #[must_use]
    pub fn within(mut self, most: Duration) -> Self {
        if let Self::Snooze { after, .. } | Self::Withheld { after, .. } = &mut self {
            *after = most.min(*after);
        }
        self
    }

    /// Whether the job ends with this failure.
    pub fn ends(&self, attempt: &Attempt) -> bool {
        match self {
            Self::Dead(_) | Self::Rejected { .. } => true,
            Self::Retry(_) => attempt.is_last,
            Self::Snooze { .. } | Self::Withheld { .. } | Self::LeaseLost => false,
        }
    }

    /// Whether the job waits and its attempt does not count.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Snooze { .. } | Self::Withheld { .. })
    }

    /// How the job goes on after this attempt; `random` is from 0 to 1.
    pub fn failure(&self, backoff: Backoff, attempt: u32, random: f64) -> Failure {
        match self {
            Self::Retry(_) | Self::LeaseLost => Failure::Retry(backoff.after(attempt, random)),
            Self::Snooze { after, .. } => Failure::Snooze(spread(*after, random), None),
            Self::Withheld { after, by, .. } => Failure::Snooze(spread(*after, random), Some(by.clone())),
            Self::Dead(_) => Failure::Dead { rejected_by: None },
            Self::Rejected { server, .. } => Failure::Dead { rejected_by: Some(server.clone()) },
        }
    }
}

/// Waits that double from `first` to `max`, each shortened at random, so that jobs which failed together
/// do not come back together.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait after this many attempts; `random` is from 0 to 1.
    pub fn after(self, attempts: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
        // Half is kept, so that a failing job never spins.
        doubled.min(self.max).mul_f64(0.5 + 0.5 * random)
    }
}

/// The most that is added to a snooze.
const LONGEST_JITTER: Duration = Duration::from_mins(1);

/// Lengthens a snooze at random by up to a fifth: jobs come back not too early, and not all at once.
fn spread(after: Duration, random: f64) -> Duration {
    after.saturating_add((after / 5).min(LONGEST_JITTER).mul_f64(random))
}

/// How long a job waits for another job.
pub const BUSY: Duration = Duration::from_secs(1);
/// How long a job waits for something that is down and did not say how long.
pub const OUTAGE: Duration = Duration::from_secs(5);

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(_) => Self::Snooze { after: OUTAGE, reason: error.to_string() },
            StoreError::Overtaken => Self::Snooze { after: BUSY, reason: error.to_string() },
            StoreError::LeaseLost(_) => Self::LeaseLost,
            StoreError::Undecodable(_) => Self::Dead(error.to_string()),
            StoreError::TooSlow(_)
            | StoreError::Forbidden(_)
            | StoreError::Unsuitable(_)
            | StoreError::SessionBusy(_)
            | StoreError::IdempotencyMismatch(_)
            | StoreError::UnknownName(_)
            | StoreError::Failed(_) => Self::Retry(error.to_string()),
        }
    }
}

impl From<CatalogueError> for JobError {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Unreachable { .. } => Self::Snooze { after: OUTAGE, reason: error.to_string() },
            CatalogueError::Broken { .. } | CatalogueError::Misfit { .. } => Self::Retry(error.to_string()),
        }
    }
}

impl From<ModelError> for JobError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unavailable { retry_after, .. } => {
                Self::Snooze { after: retry_after.unwrap_or(OUTAGE), reason: error.to_string() }
            }
            // Until someone pays or corrects the key, asking often does not help.
            ModelError::Refused { .. } => {
                Self::Snooze { after: Duration::from_mins(1), reason: error.to_string() }
            }
            ModelError::Nonsense { .. } | ModelError::NoVector { .. } => Self::Retry(error.to_string()),
            ModelError::Rejected { ref server, .. } => {
                Self::Rejected { server: server.clone(), reason: error.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_mins(1) };
        let waits: Vec<_> =
            [1, 2, 5, 20, u32::MAX].map(|attempts| backoff.after(attempts, 1.0).as_secs()).into();
        assert_eq!(waits, [1, 2, 16, 60, 60]);
    }

    #[test]
    fn chance_shortens_a_wait_by_half_at_most() {
        let backoff = Backoff { first: Duration::from_secs(2), max: Duration::from_mins(1) };
        assert_eq!(backoff.after(1, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn a_snooze_is_lengthened_by_a_fifth_and_a_minute_at_most() {
        assert_eq!(spread(Duration::from_secs(10), 0.0), Duration::from_secs(10));
        assert_eq!(spread(Duration::from_secs(10), 1.0), Duration::from_secs(12));
        assert_eq!(spread(Duration::from_hours(24), 1.0), Duration::from_hours(24) + Duration::from_mins(1));
        assert_eq!(spread(Duration::MAX, 1.0), Duration::MAX);
    }
}
