//! Records what a listing of a source found: new, changed and unlisted documents.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{Result, Store, failures::enqueue_refresh, lock};
use crate::catalogue::{ListedRow, changes::KnownRow};

impl Store {
    /// Reads one page of a source's documents in key order, after `after`.
    pub async fn known(&self, source: &str, after: Option<&str>, limit: u32) -> Result<Vec<KnownRow>> {
        // The next possible key, as a text holds no NUL. Every plan for this condition starts there in the index.
        let from = after.map_or_else(String::new, |after| format!("{after}\u{1}"));
        let page = sqlx::query_as!(
            KnownRow,
            "select key, row_hash from shopkeeper.document where source = $1 and key >= $2 order by key limit $3",
            source,
            from,
            i64::from(limit),
        );
        Ok(page.fetch_all(&self.pool).await?)
    }

    /// Reads the row hashes of those of these documents that are known and not being removed.
    pub async fn listed_hashes(&self, source: &str, keys: &[String]) -> Result<HashMap<String, i64>> {
        let rows = sqlx::query!(
            r#"select document.key, row_hash as "row_hash!" from unnest($2::text[]) as wanted (key)
               join shopkeeper.document on source = $1 and document.key = wanted.key collate "C"
               where row_hash is not null"#,
            source,
            keys,
        );
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.key, row.row_hash)).collect())
    }

    /// Notes that documents were added or changed, and enqueues a job for each.
    pub async fn note_listed(&self, source: &str, listed: &[ListedRow], refresh: &str) -> Result<u64> {
        let keys: Vec<_> = listed.iter().map(|entry| entry.key.clone()).collect();
        self.pool
            .transact(async |connection| {
                let enqueued = enqueue_refresh(connection, refresh, source, &keys).await?;
                note(connection, source, listed).await?;
                Ok(enqueued)
            })
            .await
    }

    /// Notes that documents were added, and enqueues a fill of every index version, as all of them lack the documents.
    pub async fn note_new(&self, source: &str, listed: &[ListedRow], fill: &str) -> Result<u64> {
        self.pool.transact(async |connection| {
            let query = sqlx::query!(
                "select shopkeeper.enqueue_many(
                     $1, array_agg(id::text order by id), array_agg(jsonb_build_object('version', id) order by id)
                 ) from shopkeeper.index_version where state <> 'dropping' having count(*) > 0",
                fill,
            );
            query.fetch_optional(&mut *connection).await?;
            note(connection, source, listed).await?;
            Ok(listed.len() as u64)
        })
        .await
    }

    /// Notes that documents are no longer listed and may be removed, and enqueues their removal.
    pub async fn note_unlisted(&self, source: &str, keys: &[String], refresh: &str) -> Result<u64> {
        self.pool
            .transact(async |connection| {
                let enqueued = enqueue_refresh(connection, refresh, source, keys).await?;
                lock(connection, &vec![source.to_owned(); keys.len()], keys).await?;
                let query = sqlx::query!(
                "update shopkeeper.document set revision = revision + 1, row_hash = null, changed_at = now()
                 where source = $1 and key = any($2)",
                source,
                keys,
            );
                query.execute(connection).await?;
                Ok(enqueued)
            })
            .await
    }
}

/// Raises the revisions of added and changed documents, in the order of [`lock`], which new rows need as well.
async fn note(connection: &mut PgConnection, source: &str, listed: &[ListedRow]) -> Result<()> {
    let (keys, hashes): (Vec<_>, Vec<_>) =
        listed.iter().map(|entry| (entry.key.clone(), entry.row_hash)).unzip();
    let query = sqlx::query!(
        "insert into shopkeeper.document as document (source, key, row_hash)
         select $1, key, row_hash from unnest($2::text[], $3::bigint[]) as listed (key, row_hash) order by key
         on conflict (source, key) do update
         set revision = document.revision + 1, row_hash = excluded.row_hash, changed_at = now()",
        source,
        &keys,
        &hashes,
    );
    Ok(query.execute(connection).await.map(drop)?)
}
