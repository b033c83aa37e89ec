//! Builds the HNSW indexes of filled versions, and maintains them: vacuums dead chunks, and rebuilds worn indexes.
//!
//! A replaced chunk stays in the graph as a dead node until it is vacuumed, and vacuuming repairs the graph only around it.
//! A graph that has lost many nodes is slower to search and finds less. During a rebuild the old index is searched.

use serde::Deserialize;

use crate::{
    job::{Attempt, Job, JobError, Outcome},
    store::{Store, StoreError, jobs::NewJob, versions::IndexVersion},
};

/// The key of the only job of this kind.
pub const KEY: &str = "all";

/// An index that has lost this share of its chunks since it was built is rebuilt; autovacuum's default scale factor.
const WORN: f64 = 0.2;

/// The most documents that may be missing, with jobs of their own, in a version that counts as filled.
pub(super) const NEARLY_ALL: i64 = 1000;

/// The job.
pub struct MaintainIndex {
    /// Where the indexes are.
    pub store: Store,
}

/// Nothing.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for MaintainIndex {
    const KIND: &'static str = "maintain_index";
    type Payload = Payload;

    async fn run(&self, _: Payload, _: &Attempt) -> Result<Outcome, JobError> {
        for version in self.store.index_versions().await? {
            let id = version.id;
            let Some(wear) = self.store.hnsw_wear(id).await? else {
                self.build(&version).await?;
                continue;
            };
            if wear >= WORN {
                tracing::info!(version = id, wear, "rebuilding the HNSW index of version {id}");
                self.store.rebuild_hnsw(id).await?;
            }
            self.store.vacuum_chunks(id).await?;
            tracing::info!(version = id, wear, "maintained the HNSW index of version {id}");
        }
        Ok(Outcome::Done(Vec::new()))
    }
}

impl MaintainIndex {
    /// The job, which maintains all versions.
    pub fn job() -> NewJob {
        NewJob { kind: Self::KIND, key: KEY.to_owned(), payload: serde_json::json!({}) }
    }

    /// Builds the HNSW index of a version if that is filled; earlier, the index would slow down the filling.
    async fn build(&self, version: &IndexVersion) -> Result<(), StoreError> {
        let id = version.id;
        if !self.store.has_listed_all().await? || self.store.coverage(id).await?.missing() > NEARLY_ALL {
            return Ok(());
        }
        tracing::info!(version = id, "index version {id} is filled; building its HNSW index");
        self.store.build_hnsw(version).await?;
        tracing::info!(version = id, "index version {id} is ready");
        Ok(())
    }
}
