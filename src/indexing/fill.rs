//! Fills an index version with the documents that it lacks: all of them when it is new, and those of a large import.
//!
//! The progress is in the documents themselves: a run that is interrupted anywhere is continued by the next one, and no
//! document needs a job of its own. A document that cannot be indexed gets one, with its attempts and its error. Jobs of
//! changes that are made meanwhile write to every version.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, TryStreamExt};
use serde::Deserialize;

use crate::{
    catalogue::DocumentId,
    indexing::{
        maintain::{MaintainIndex, NEARLY_ALL},
        refresh::{RefreshDocument, Request},
        versions::{Version, Versions},
    },
    job::{Attempt, FILL_INDEX, Job, JobError, Outcome, REFRESH_DOCUMENT, refresh_document},
    model::rate_limit::JobRef,
    store::{Store, StoreError, versions::IndexState},
};

/// The kinds of jobs that refresh documents.
pub const REFRESHING: &[&str] = &[FILL_INDEX, REFRESH_DOCUMENT];

/// Documents per page.
const PAGE: u32 = 500;
/// Pages refreshed concurrently.
const CONCURRENT_PAGES: usize = 4;
/// The wait for jobs of documents, and for sources that were never listed.
const WAIT: Duration = Duration::from_secs(1);
/// The wait for settings with the version's model.
const UNKNOWN_MODEL_WAIT: Duration = Duration::from_secs(5);
/// The longest time between two passes over the documents.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The job.
#[expect(missing_docs, reason = "the names say it")]
pub struct FillIndex {
    pub store: Store,
    pub versions: Arc<Versions>,
    pub refresh: Arc<RefreshDocument>,
}

/// Which version.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {
    /// Its number.
    pub version: i32,
}

impl Job for FillIndex {
    const KIND: &'static str = FILL_INDEX;
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let all = self.store.index_versions().await?;
        let Some(index) = all.into_iter().find(|version| version.id == payload.version) else {
            return Ok(Outcome::Done(Vec::new()));
        };
        let Some(model) = self.versions.model(&index).cloned() else {
            if index.state != IndexState::Building {
                // It is kept for a rollback, and the settings no longer have its model.
                return Ok(Outcome::Done(Vec::new()));
            }
            let reason = format!("this daemon's settings have no embedding model {}", index.model);
            return Err(JobError::Snooze { after: UNKNOWN_MODEL_WAIT, reason });
        };
        let version = Version { index, model };
        let began = Instant::now();
        while attempt.unless_stopped(self.refresh_all(&version, attempt)).await? > 0 {}
        self.require_all(&version, began).await?;
        let is_built =
            version.index.state != IndexState::Building && self.store.has_hnsw(version.index.id).await?;
        Ok(Outcome::Done(if is_built { Vec::new() } else { vec![MaintainIndex::job()] }))
    }
}

impl FillIndex {
    /// Enqueues the filling of a version.
    pub async fn enqueue(store: &Store, version: i32) -> Result<(), StoreError> {
        let payload = serde_json::json!({ "version": version });
        store.enqueue(Self::KIND, &[version.to_string()], &[payload]).await?;
        Ok(())
    }

    /// Passes over all documents once, and refreshes those that the version lacks. Returns their number.
    async fn refresh_all(&self, version: &Version, attempt: &Attempt) -> Result<u64, JobError> {
        let pages = self.lacking(version).map_ok(|page| self.refresh_page(version, attempt, page));
        let refreshed = pages.try_buffer_unordered(CONCURRENT_PAGES);
        refreshed.try_fold(0, async |sum, refreshed| Ok(sum + refreshed)).await
    }

    /// Streams the documents that a version lacks, in pages of one source each.
    fn lacking<'a>(
        &'a self,
        version: &'a Version,
    ) -> impl Stream<Item = Result<Vec<DocumentId>, JobError>> + Send + 'a {
        futures::stream::try_unfold(None, async |after: Option<DocumentId>| {
            let mut page = self.store.left_behind(version.index.id, after, PAGE).await?;
            let Some(first) = page.first() else { return Ok(None) };
            let of_source = page.iter().take_while(|id| id.source == first.source).count();
            page.truncate(of_source);
            let next = page.last().cloned();
            Ok(Some((page, next)))
        })
    }

    async fn refresh_page(
        &self,
        version: &Version,
        attempt: &Attempt,
        page: Vec<DocumentId>,
    ) -> Result<u64, JobError> {
        let job = JobRef { kind: Self::KIND, id: attempt.lease.job };
        let request =
            |id: &DocumentId| Request { key: id.key.clone(), lease: None, job, lost: attempt.lost.clone() };
        let requests: Vec<_> = page.iter().map(request).collect();
        let source = &page[0].source;
        let (mut refreshed, mut waits, mut failed) = (0, None, Vec::new());
        for (id, ended) in
            page.iter().zip(self.refresh.refresh_version(version, None, source, &requests).await)
        {
            match ended {
                Ok(_) => refreshed += 1,
                // The attempt is not charged, and documents that are indexed by now are skipped next time.
                Err(error) if error.waits() => waits = Some(error),
                Err(_) => failed.push(refresh_document(source, &id.key)),
            }
        }
        if !failed.is_empty() {
            refreshed += self.store.enqueue_jobs(&failed).await?;
        }
        waits.map_or(Ok(refreshed), Err)
    }

    /// Snoozes until nearly all documents of all sources are indexed, or the version is gone.
    async fn require_all(&self, version: &Version, began: Instant) -> Result<(), JobError> {
        if !self.store.has_listed_all().await? {
            let reason = "there are sources that were never listed".to_owned();
            return Err(JobError::Snooze { after: WAIT, reason });
        }
        let missing = self.store.coverage(version.index.id).await?.missing();
        if missing > NEARLY_ALL {
            let reason = format!("{missing} documents are on their way");
            return Err(JobError::Snooze { after: pause(began.elapsed()), reason });
        }
        Ok(())
    }
}

/// The pause after a pass of this duration: with very many documents, passes are rare.
fn pause(took: Duration) -> Duration {
    (20 * took).clamp(WAIT, LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_less_often() {
        assert_eq!(pause(Duration::from_millis(1)), WAIT);
        assert_eq!(pause(Duration::from_secs(2)), Duration::from_secs(40));
        assert_eq!(pause(Duration::from_hours(1)), LONGEST_WAIT);
    }
}
