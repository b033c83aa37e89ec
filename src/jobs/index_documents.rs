//! Makes the index hold documents that are new, many in one job.
//!
//! A first listing finds a million documents that nobody knows: a job for each would cost PostgreSQL more than the
//! documents themselves. Such a job is tried once. What it cannot do, and all of it when its worker died, goes on as
//! one [`RefreshDocument`] job for each document, with that job's attempts; only what is nobody's fault here, such as
//! a model server that is down, is waited for together.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Attempt, BatchJob, Job, JobError, Outcome,
    budget::JobRef,
    refresh_document::{RefreshDocument, Request},
};
use crate::store::jobs::NewJob;

/// Documents of one job.
pub const TOGETHER: usize = 200;

/// The kinds of jobs that refresh documents.
pub const REFRESHING: &[&str] = &[RefreshDocument::KIND, IndexDocuments::KIND];

/// The job.
pub struct IndexDocuments {
    /// Refreshes each of them.
    pub refresh: Arc<RefreshDocument>,
}

/// Which documents.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Payload {
    /// The source's name.
    pub source: String,
    /// The rows' keys as text.
    pub keys: Vec<String>,
}

impl Job for IndexDocuments {
    const KIND: &'static str = "index_documents";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let Payload { source, keys } = payload;
        if attempt.number > 1 {
            return Ok(Outcome::Done(keys.iter().map(|key| alone(&source, key)).collect()));
        }
        let job = JobRef { kind: Self::KIND, id: attempt.lease.job };
        let request =
            |key: &String| Request { key: key.clone(), lease: None, job, lost: attempt.lost.clone() };
        let refreshed = self.refresh.refresh(&source, keys.iter().map(request).collect()).await;
        let mut failed = Vec::new();
        for (key, ended) in keys.iter().zip(refreshed) {
            match ended {
                Ok(_) => {}
                // Those that are indexed by now have nothing to do next time.
                Err(error) if error.waits() => return Err(error),
                Err(_) => failed.push(alone(&source, key)),
            }
        }
        Ok(Outcome::Done(failed))
    }
}

fn alone(source: &str, key: &str) -> NewJob {
    RefreshDocument::job(source, key)
}
