//! Keeps the HNSW indexes small and quick: removes dead chunks, and builds anew what is worn.
//!
//! A chunk that is replaced stays in the graph as a dead node until it is vacuumed, and vacuuming repairs the graph only
//! around it: one that has lost many of its nodes is searched slower and finds less. What is searched meanwhile is the
//! old index.

use serde::Deserialize;

use super::{Attempt, Job, JobError, Outcome};
use crate::store::Store;

/// The key of the only job there is of this kind.
pub const KEY: &str = "all";

/// An index that has lost this share of its chunks since it was built is built anew: autovacuum's own measure of worn.
const WORN: f64 = 0.2;

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
            let Some(wear) = self.store.hnsw_wear(version.id).await? else { continue };
            if wear >= WORN {
                tracing::info!(
                    version = version.id,
                    wear,
                    "building the HNSW index of version {} anew",
                    version.id
                );
                self.store.rebuild_hnsw(version.id).await?;
            }
            self.store.vacuum_chunks(version.id).await?;
            tracing::info!(
                version = version.id,
                wear,
                "looked after the HNSW index of version {}",
                version.id
            );
        }
        Ok(Outcome::Done(Vec::new()))
    }
}
