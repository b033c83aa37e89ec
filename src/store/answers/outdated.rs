//! Recent answers, compared with the documents that they cite.

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;
use sqlx::types::Json;

use super::{Result, Store};
use crate::store::jobs::interval;

/// What the shop has now of documents: their metadata by key, `None` where it has no such row.
pub type Present = BTreeMap<String, Option<Box<RawValue>>>;

impl Store {
    /// Whether the caller is to compare the answers that cite a source: nobody did within this time.
    pub async fn take_comparison(&self, source: &str, within: Duration) -> Result<bool> {
        let taken = sqlx::query!(
            "update shopkeeper.source set answers_compared_at = now()
             where name = $1 and (answers_compared_at is null or answers_compared_at < now() - $2::interval)",
            source,
            interval(within),
        );
        Ok(taken.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Returns the next keys, in their order, that recent answers cite.
    pub async fn watched_keys(&self, source: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let keys = sqlx::query_scalar!(
            r#"select distinct key from shopkeeper.answer_watch
               where source = $1 and key > $2 collate "C" and until > now() order by key limit $3"#,
            source,
            after,
            i64::from(limit),
        );
        Ok(keys.fetch_all(&self.pool).await?)
    }

    /// Marks answers, at most `most`, that cite documents of a source which are no longer as the answers knew them;
    /// returns their number. `present` is the metadata of some documents; without it, the stored metadata of all is
    /// compared.
    pub async fn mark_outdated(&self, source: &str, present: Option<&Present>, most: u32) -> Result<u64> {
        let keys: Option<Vec<_>> = present.map(|present| present.keys().cloned().collect());
        let metadata: Option<Vec<_>> =
            present.map(|present| present.values().map(|metadata| metadata.as_ref().map(Json)).collect());
        let marked = sqlx::query_scalar!(
            r#"select shopkeeper.mark_outdated($1, $2, $3, $4) as "marked!""#,
            source,
            keys.as_deref(),
            metadata.as_deref() as _,
            i32::try_from(most).unwrap_or(i32::MAX),
        );
        Ok(u64::try_from(marked.fetch_one(&self.pool).await?).unwrap_or_default())
    }

    /// Deletes the watches that are over.
    pub async fn prune_watches(&self) -> Result<()> {
        let pruned = sqlx::query!("delete from shopkeeper.answer_watch where until <= now()");
        pruned.execute(&self.pool).await?;
        Ok(())
    }
}
