//! Builds, checks and cleans the HNSW indexes of versions.

use super::{IndexVersion, Result, Store};
use crate::store::pool::Pool;

impl Store {
    /// Whether a version has a valid HNSW index.
    pub async fn has_hnsw(&self, version: i32) -> Result<bool> {
        let valid = sqlx::query_scalar!(
            "select indisvalid from pg_index where indexrelid = to_regclass($1)",
            format!("shopkeeper.chunk_{version}_hnsw"),
        );
        Ok(valid.fetch_optional(&self.pool).await?.unwrap_or(false))
    }

    /// Returns the share of its chunks that an HNSW index has lost since it was built; `None` without an index.
    pub async fn hnsw_wear(&self, version: i32) -> Result<Option<f64>> {
        let wear = sqlx::query_scalar!(
            // The counters restart after a crash of the server, and the recorded count is then too high. `reltuples` is
            // used because `n_live_tup` counts rows twice when their writers report after a vacuum.
            r#"select greatest(0, deleted - case when version.hnsw_deleted <= deleted then version.hnsw_deleted else 0 end)
                   / greatest(1, reltuples)::double precision as "wear!"
               from shopkeeper.index_version as version
               join pg_stat_user_tables as chunks on relid = to_regclass('shopkeeper.chunk_' || version.id)
               join pg_class on pg_class.oid = relid
               cross join lateral (select n_tup_del + n_tup_upd as deleted) as counted
               where version.id = $1 and version.state <> 'building' and exists (
                   select from pg_index
                   where indexrelid = to_regclass('shopkeeper.chunk_' || version.id || '_hnsw') and indisvalid
               )"#,
            version,
        );
        Ok(wear.fetch_optional(&self.pool).await?)
    }

    /// Builds a version's HNSW index without locking out writers, and makes it ready. First drops an earlier attempt.
    pub async fn build_hnsw(&self, version: &IndexVersion) -> Result<()> {
        let (id, dimensions) = (version.id, version.dimensions);
        let mut builder = self.builder().await?;
        let is_valid = sqlx::query_scalar!(
            r#"select indisvalid from pg_index where indexrelid = to_regclass($1)"#,
            format!("shopkeeper.chunk_{id}_hnsw"),
        );
        let is_valid = is_valid.fetch_optional(&self.pool).await?;
        if is_valid == Some(false) {
            builder.execute(format!("drop index concurrently shopkeeper.chunk_{id}_hnsw")).await?;
        }
        if is_valid != Some(true) {
            let statement = format!(
                "create index concurrently chunk_{id}_hnsw on shopkeeper.chunk_{id}
                 using hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)"
            );
            builder.execute(statement).await?;
            builder.execute(format!("analyze shopkeeper.chunk_{id}")).await?;
            note_built(&self.pool, id).await?;
        }
        let query = sqlx::query!(
            "update shopkeeper.index_version set state = 'ready' where id = $1 and state = 'building'",
            id
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Rebuilds a version's HNSW index without locking out writers or searches.
    pub async fn rebuild_hnsw(&self, version: i32) -> Result<()> {
        let mut builder = self.builder().await?;
        // Left behind by an interrupted rebuild.
        let left = sqlx::query_scalar!(
            r#"select indexrelid::regclass::text as "name!" from pg_index
               where indrelid = to_regclass('shopkeeper.chunk_' || $1) and not indisvalid
                   and indexrelid::regclass::text ~ '_hnsw_cc(new|old)'"#,
            version.to_string(),
        );
        for name in left.fetch_all(&self.pool).await? {
            builder.execute(format!("drop index concurrently {name}")).await?;
        }
        builder.execute(format!("reindex index concurrently shopkeeper.chunk_{version}_hnsw")).await?;
        note_built(&self.pool, version).await
    }

    /// Removes dead chunks of a version from its table and indexes.
    pub async fn vacuum_chunks(&self, version: i32) -> Result<()> {
        let mut builder = self.builder().await?;
        builder.execute(format!("vacuum (analyze) shopkeeper.chunk_{version}")).await
    }
}

/// Records how many chunks had been deleted when the HNSW index was built.
async fn note_built(pool: &Pool, version: i32) -> Result<()> {
    let query = sqlx::query!(
        "update shopkeeper.index_version as version set hnsw_deleted = n_tup_del + n_tup_upd
         from pg_stat_user_tables where version.id = $1 and relid = to_regclass('shopkeeper.chunk_' || version.id)",
        version,
    );
    Ok(query.execute(pool).await.map(drop)?)
}
