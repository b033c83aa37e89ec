//! The kinds of jobs. `job/retry.rs` is the retry policy.
//!
//! | kind | key | does |
//! |---|---|---|
//! | `sync_catalogue` | source | compares a source with the index and enqueues what changed |
//! | `refresh_document` | source/key | brings the index up to date with one document |
//! | `answer_question` | answer's id | answers one question |
//! | `deliver_webhook` | delivery's id | sends the outcome of an answer to another service |
//! | `fill_index` | version | fills an index version with the documents that it lacks |
//! | `maintain_index` | `all` | removes dead chunks, and builds HNSW indexes that are missing or worn |
//! | `eval` | golden set | measures retrieval on a golden set |
//! | `prune_history` | `all` | deletes what is past its retention |
//! | `change_jobs` | bulk action's id | retries, cancels or discards all jobs that a filter matched |
//!
//! A job names its subject and never carries its content: it reads the current state, so that a repeat is harmless.

use std::{future::Future, time::Duration};

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::store::jobs::{Lease, NewJob, OnDead};

mod retry;

pub use retry::{BUSY, Backoff, JobError, OUTAGE, RENDERING};

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

/// A kind of job that is run in batches: a run gets the jobs of one claim.
///
/// A run that panics or times out charges none of its jobs: each is run again, alone.
pub trait BatchJob: Send + Sync + 'static {
    /// Its name everywhere: queue, logs, metrics, settings.
    const KIND: &'static str;
    /// What ends with a job that dies or is cancelled, besides the job.
    const ON_DEAD: Option<OnDead> = None;
    /// The most jobs of one run.
    const MOST: usize;
    /// The arguments of one job.
    type Payload: DeserializeOwned + Send;

    /// Jobs of different lanes are not run together, so that a lane that hangs holds up no other.
    fn lane(payload: &Self::Payload) -> &str;

    /// Runs the jobs once. Returns one result for each, in their order.
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

/// One run of a job.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The right to write in the job's name.
    pub lease: Lease,
    /// The key that the job was enqueued with.
    pub key: String,
    /// Counted from 1.
    pub number: u32,
    /// How long the job could have run before this attempt began: since it was enqueued or put back.
    pub waited: Duration,
    /// Whether the job is dead if this attempt fails.
    pub is_last: bool,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
    /// Cancelled when the lease is lost: nothing is written after that.
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

/// How a run succeeded.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The worker completes the job, with these to follow.
    Done(Vec<NewJob>),
    /// The run completed the job itself, in the transaction that wrote its results.
    Committed,
}
