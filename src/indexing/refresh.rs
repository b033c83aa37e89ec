//! Brings the index up to date with documents.
//!
//! Changed, unchanged and removed documents take one path, a whole batch at a time: load → diff → chunk → look up → embed →
//! write. The rows are read as they are now, and the index is made to match. Only new chunks are embedded: those of which
//! neither the index nor the vector cache has a vector. If embedding fails, the previous chunks stay searchable.
//!
//! A batch is the jobs of one claim and one source, so that hundreds of documents are one query, a few requests and one
//! transaction. Each document has its own outcome: one that fails leaves the batch at the step where it fails.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicUsize},
};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::{Catalogue, MassDelete},
    indexing::versions::{Version, Versions, WriteTargets},
    job::{BatchJob, JobError, JobRun, OUTAGE, Outcome, REFRESH_DOCUMENT},
    model::rate_limit::JobRef,
    store::{
        Store, StoreError,
        jobs::{Lease, OnDead},
    },
};

mod draft;
mod embed;
pub mod estimate;
mod halving;
mod isolate;
mod load;
mod write;

use draft::draft_all;

/// Refreshes documents.
pub struct RefreshDocument {
    store: Store,
    catalogues: BTreeMap<String, Arc<dyn Catalogue>>,
    guards: BTreeMap<String, MassDelete>,
    versions: Arc<Versions>,
    /// Documents per transaction; lowered after one that took too long.
    together: AtomicUsize,
}

/// Which document.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Payload {
    pub source: String,
    /// The row's key as text.
    pub key: String,
}

/// A request to refresh one document.
#[derive(Clone)]
pub struct Request {
    /// The row's key as text.
    pub key: String,
    /// The lease of the job that the write completes, if any.
    pub lease: Option<Lease>,
    /// The job that waits for it.
    pub job: JobRef,
    /// Cancelled when the job's lease is lost.
    pub lost: CancellationToken,
}

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The index has it, and the job is completed, if there is one.
    Written,
    /// It is unknown, changed meanwhile and has another job, or is kept although its row is gone.
    NothingToDo,
}

/// How one document of a batch ended.
type RefreshResult = Result<RefreshOutcome, JobError>;

/// The error of each document after a statement for many failed. If it took too long, no document is to blame: all of them
/// wait, and none is charged.
fn job_error(error: StoreError) -> JobError {
    match error {
        StoreError::TooSlow(_) => JobError::Snooze { after: OUTAGE, reason: error.to_string() },
        error => error.into(),
    }
}

impl BatchJob for RefreshDocument {
    const KIND: &'static str = REFRESH_DOCUMENT;
    const ON_DEAD: Option<OnDead> = Some(OnDead::Documents);
    const MOST: usize = 500;
    type Payload = Payload;

    fn lane(payload: &Payload) -> &str {
        &payload.source
    }

    async fn run(&self, batch: Vec<JobRun<Payload>>) -> Vec<Result<Outcome, JobError>> {
        let source = batch.first().map(|first| first.payload.source.clone()).unwrap_or_default();
        let request = |JobRun { payload, attempt }: JobRun<Payload>| Request {
            key: payload.key,
            lease: Some(attempt.lease),
            job: JobRef { kind: Self::KIND, id: attempt.lease.job },
            lost: attempt.lost,
        };
        let ended = self.refresh(&source, batch.into_iter().map(request).collect()).await;
        let outcome = |ended| match ended {
            RefreshOutcome::Written => Outcome::Committed,
            RefreshOutcome::NothingToDo => Outcome::Done(Vec::new()),
        };
        ended.into_iter().map(|ended| ended.map(outcome)).collect()
    }
}

impl RefreshDocument {
    /// Refreshes documents of these sources; `guards` limit removals.
    pub fn new(
        store: Store,
        catalogues: BTreeMap<String, Arc<dyn Catalogue>>,
        guards: BTreeMap<String, MassDelete>,
        versions: Arc<Versions>,
    ) -> Self {
        let together = AtomicUsize::new(write::LIMITS.items);
        Self { store, catalogues, guards, versions, together }
    }

    /// Refreshes documents of a source in every index version. Each version is written on its own, so that one whose model
    /// is away holds up no other; the last one completes the jobs.
    pub async fn refresh(&self, source: &str, requests: Vec<Request>) -> Vec<RefreshResult> {
        let WriteTargets { versions, newest, .. } = match self.versions.written().await {
            Ok(written) => written,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let mut results = vec![Ok(RefreshOutcome::Written); requests.len()];
        for (number, version) in (1..).zip(versions.iter()) {
            let newest = (number == versions.len()).then_some(newest);
            let open: Vec<_> = (0..requests.len())
                .filter(|place| results[*place] != Ok(RefreshOutcome::NothingToDo))
                .collect();
            let batch = open.iter().map(|place| {
                let lease = requests[*place].lease.filter(|_| newest.is_some() && results[*place].is_ok());
                Request { lease, ..requests[*place].clone() }
            });
            let ended = self.refresh_version(version, newest, source, &batch.collect::<Vec<_>>()).await;
            for (place, ended) in open.into_iter().zip(ended) {
                if results[place].is_ok() || ended == Ok(RefreshOutcome::NothingToDo) {
                    results[place] = ended;
                }
            }
        }
        results
    }

    /// Refreshes documents of a source in one index version. Completes jobs unless a version is newer than `newest`.
    pub(super) async fn refresh_version(
        &self,
        version: &Version,
        newest: Option<i32>,
        source: &str,
        requests: &[Request],
    ) -> Vec<RefreshResult> {
        let mut results = vec![Ok(RefreshOutcome::NothingToDo); requests.len()];
        let loaded = self.load(version, source, requests, &mut results).await;
        let drafts = draft_all(version, source, loaded, &mut results).await;
        let vectors = self.look_up(version, &drafts).await;
        self.embed_and_write(version, newest, requests, drafts, vectors, &mut results).await;
        results
    }
}
