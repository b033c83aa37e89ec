//! Builds the HNSW indexes of versions that are filled, and keeps them small and quick: removes dead chunks, and builds
//! anew what is worn.
//!
//! A chunk that is replaced stays in the graph as a dead node until it is vacuumed, and vacuuming repairs the graph only
//! around it: one that has lost many of its nodes is searched slower and finds less. What is searched meanwhile is the
//! old index.

use serde::Deserialize;

use crate::{
    job::{Attempt, Job, JobError, Outcome},
    store::{Store, StoreError, jobs::NewJob, versions::IndexVersion},
};

/// The key of the only job there is of this kind.
pub const KEY: &str = "all";

/// An index that has lost this share of its chunks since it was built is built anew: autovacuum's own measure of worn.
const WORN: f64 = 0.2;

/// So few documents may be on their way, by jobs of their own, when a version counts as filled.
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
    /// A job that looks after all versions.
    pub fn job() -> NewJob {
        NewJob { kind: Self::KIND, key: KEY.to_owned(), payload: serde_json::json!({}) }
    }

    /// Builds the HNSW index of a version that is filled. Until then it would slow the filling down.
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
