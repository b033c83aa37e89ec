//! Makes the index hold one document as it is now.
//!
//! Changed, unchanged and removed are one path: the row is read as it is, and the index is made to
//! match. Nothing is sent to the model when the text and the embedding settings are those that are
//! indexed already, and of a text that changed only the chunks that nothing in the index and nothing
//! remembered was made of. If embedding fails, what was indexed before stays searchable.
//!
//! Many of these jobs run at once. What they read meets in one place for each source, and what they embed and
//! write in one for all (`refresh_document/`), so that hundreds of documents are one query, one request, one
//! transaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;

use super::{
    Attempt, Job, JobError, OUTAGE, Outcome,
    budget::JobRef,
    versions::{Version, Versions},
};
use crate::{
    catalogue::{Catalogue, DocumentId, MassDelete},
    store::{
        Store, StoreError,
        jobs::{Lease, NewJob},
    },
};

mod embed;
mod estimate;
mod look;
mod refresher;
mod write;

pub(super) use refresher::Ended;
use refresher::Refresher;

/// What the job needs.
pub struct RefreshSettings {
    /// Where documents are written.
    pub store: Store,
    /// Where they come from, by source.
    pub catalogues: Arc<BTreeMap<String, Arc<dyn Catalogue>>>,
    /// How many documents may leave unasked, by source.
    pub guards: Arc<BTreeMap<String, MassDelete>>,
    /// What is written.
    pub versions: Arc<Versions>,
}

/// The job.
pub struct RefreshDocument {
    settings: RefreshSettings,
    /// By index version.
    refreshers: Mutex<BTreeMap<i32, Arc<Refresher>>>,
}

/// Which document.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {
    /// The source's name.
    pub source: String,
    /// The row's key as text.
    pub key: String,
}

/// How a job goes on after a failure of a statement for many documents. When that takes too long, no document of it is
/// to blame: each waits, and none is charged.
fn job_error(error: StoreError) -> JobError {
    match error {
        StoreError::TooSlow(_) => JobError::Snooze { after: OUTAGE, reason: error.to_string() },
        error => error.into(),
    }
}

impl Job for RefreshDocument {
    const KIND: &'static str = "refresh_document";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = DocumentId { source: payload.source, key: payload.key };
        let job = JobRef { kind: Self::KIND, id: attempt.lease.job };
        match self.refresh(id, Some(attempt.lease), job).await? {
            Ended::Written => Ok(Outcome::Committed),
            Ended::NothingToDo => Ok(Outcome::Done(Vec::new())),
        }
    }
}

impl RefreshDocument {
    /// Prepares the job.
    pub fn new(settings: RefreshSettings) -> Self {
        Self { settings, refreshers: Mutex::default() }
    }

    /// A job for one document.
    pub fn job(source: &str, key: &str) -> NewJob {
        let payload = serde_json::json!({ "source": source, "key": key });
        NewJob { kind: Self::KIND, key: format!("{source}/{key}"), payload }
    }

    /// Makes every index version hold a document as it is now; with a lease, that job is done then. Each version is
    /// written for itself, so that one whose model is away holds up no other; the job is done with the last of them.
    pub(super) async fn refresh(
        &self,
        id: DocumentId,
        lease: Option<Lease>,
        job: JobRef,
    ) -> Result<Ended, JobError> {
        let versions = self.settings.versions.written().await?;
        let mut failed = None;
        for (number, version) in (1..).zip(versions.iter()) {
            let lease = lease.filter(|_| number == versions.len() && failed.is_none());
            match self.refresher(version).refresh(id.clone(), lease, job).await {
                Ok(Ended::Written) => {}
                Ok(Ended::NothingToDo) => return Ok(Ended::NothingToDo),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Ended::Written), Err)
    }

    /// What writes a version.
    fn refresher(&self, version: &Version) -> Arc<Refresher> {
        let mut refreshers = self.refreshers.lock().unwrap_or_else(PoisonError::into_inner);
        let refresher = refreshers.entry(version.index.id).or_insert_with(|| {
            let RefreshSettings { store, catalogues, guards, .. } = &self.settings;
            Arc::new(Refresher::new(store.clone(), catalogues.clone(), guards.clone(), version.clone()))
        });
        refresher.clone()
    }
}
