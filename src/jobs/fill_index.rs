//! Fills an index version with what it lacks, then builds its HNSW index.
//!
//! How far it is stands in the documents themselves: a run that is ended anywhere is followed by one that
//! goes on. Changes that are made meanwhile are written to every version by the jobs that they enqueue, and so are
//! documents that a job for many of them names: as long as there is one that did not fail yet, nothing is enqueued here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    Attempt, BatchJob, Job, JobError, Outcome, index_documents::IndexDocuments,
    refresh_document::RefreshDocument, versions::Versions,
};
use crate::store::{Store, StoreError};

/// Documents enqueued at once.
const PAGE: u32 = 2000;
/// Documents that wait to be refreshed, at most, before more are enqueued.
const BACKLOG: u32 = 10_000;
/// So few may be under way when the HNSW index is built.
const NEARLY_ALL: i64 = 1000;
/// How often the backlog is looked at, and the documents at most.
const LOOK: Duration = Duration::from_millis(500);
/// The longest between two looks at the documents.
const LONGEST: Duration = Duration::from_mins(1);
/// How long it waits for sources that were never listed, and for settings with the version's model.
const WAIT: Duration = Duration::from_secs(5);

/// The job.
pub struct FillIndex {
    /// Where documents are known.
    pub store: Store,
    /// What this process can write.
    pub versions: Arc<Versions>,
}

/// Which version.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {
    /// Its number.
    pub version: i32,
}

impl Job for FillIndex {
    const KIND: &'static str = "fill_index";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let all = self.store.index_versions().await?;
        let Some(version) = all.into_iter().find(|version| version.id == payload.version) else {
            return Ok(Outcome::Done(Vec::new()));
        };
        if self.versions.model(&version).is_none() {
            let reason = format!("this daemon's settings have no embedding model {}", version.model);
            return Err(JobError::Snooze { after: WAIT, reason });
        }
        if !self.store.has_listed_all().await? {
            let reason = "there are sources that were never listed".to_owned();
            return Err(JobError::Snooze { after: WAIT, reason });
        }
        if !attempt.unless_stopped(self.fill(version.id)).await? {
            tracing::info!(version = version.id, "index version {} was dropped meanwhile", version.id);
            return Ok(Outcome::Done(Vec::new()));
        }
        tracing::info!(
            version = version.id,
            "index version {} is filled; building its HNSW index",
            version.id
        );
        self.store.build_hnsw(&version).await?;
        tracing::info!(version = version.id, "index version {} is ready", version.id);
        Ok(Outcome::Done(Vec::new()))
    }
}

impl FillIndex {
    /// Enqueues the filling of a version.
    pub async fn enqueue(store: &Store, version: i32) -> Result<(), StoreError> {
        let payload = serde_json::json!({ "version": version });
        store.enqueue(Self::KIND, &[version.to_string()], &[payload]).await?;
        Ok(())
    }

    /// Returns when no document is left behind, and few are on their way; false when the version is gone.
    async fn fill(&self, version: i32) -> Result<bool, JobError> {
        while self.store.index_versions().await?.iter().any(|known| known.id == version) {
            // Their documents are on their way, unless they wait for somebody who is away.
            if self.store.has_untried_jobs(IndexDocuments::KIND).await? {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let Round { enqueued, took } = self.round(version).await?;
            let began = Instant::now();
            if enqueued == 0 && self.store.coverage(version).await?.missing() <= NEARLY_ALL {
                return Ok(true);
            }
            tokio::time::sleep(pause(took + began.elapsed())).await;
        }
        Ok(false)
    }

    /// Goes through all documents once and enqueues those that are left behind.
    async fn round(&self, version: i32) -> Result<Round, JobError> {
        let (mut round, mut after) = (Round::default(), None);
        loop {
            while self.store.has_more_jobs_than(RefreshDocument::KIND, BACKLOG).await? {
                tokio::time::sleep(LOOK).await;
            }
            let began = Instant::now();
            let page = self.store.enqueue_left_behind(version, after, PAGE, RefreshDocument::KIND).await?;
            round.took += began.elapsed();
            round.enqueued += page.enqueued;
            after = page.next;
            if after.is_none() {
                return Ok(round);
            }
        }
    }
}

/// One look at all documents.
#[derive(Default)]
struct Round {
    enqueued: u64,
    /// What the database was busy with it.
    took: Duration,
}

/// How long nothing is looked at after a look that took so long: where there are very many documents, it is done less
/// often.
fn pause(took: Duration) -> Duration {
    (20 * took).clamp(LOOK, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_less_often() {
        assert_eq!(pause(Duration::from_millis(1)), LOOK);
        assert_eq!(pause(Duration::from_secs(1)), Duration::from_secs(20));
        assert_eq!(pause(Duration::from_hours(1)), LONGEST);
    }
}
