//! Index versions: made, filled, swapped and dropped while the index is in use.

use super::{Result, Store, StoreError};
use crate::catalogue::DocumentId;
use crate::words::words;

mod building;

words! {
    /// The states of an index version.
    pub enum IndexState {
        /// Being filled.
        Building,
        /// Filled; may become active.
        Ready,
        /// Searched.
        Active,
        /// Was active.
        Retired,
        /// No longer written.
        Dropping,
    }
}

/// Vectors of one model and dimension.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IndexVersion {
    /// Its number; the name of the chunks' partition.
    #[serde(rename = "version")]
    pub id: i32,
    pub model: String,
    pub dimensions: i32,
    pub state: IndexState,
}

/// How far an index version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Coverage {
    pub documents: i64,
    /// Those whose present revision it has.
    pub fresh: i64,
    /// Those that could not be indexed.
    pub failed: i64,
}

impl Coverage {
    /// Documents that are still to be written.
    pub fn missing(&self) -> i64 {
        self.documents - self.fresh - self.failed
    }
}

impl Store {
    /// The index versions that are written or searched, the active one first.
    pub async fn index_versions(&self) -> Result<Vec<IndexVersion>> {
        let versions = sqlx::query_as!(
            IndexVersion,
            r#"select id, model, dimensions, state as "state: IndexState" from shopkeeper.index_version
               where state <> 'dropping' order by state <> 'active', id"#
        );
        Ok(versions.fetch_all(&self.pool).await?)
    }

    /// Whether a version is the only one and holds nothing: a daemon with another model replaces it.
    pub async fn is_unused(&self, version: &IndexVersion) -> Result<bool> {
        let unused = sqlx::query_scalar!(
            r#"select not exists (select from shopkeeper.chunk where version = $1)
                   and not exists (select from shopkeeper.index_version where id <> $1) as "unused!""#,
            version.id,
        );
        Ok(unused.fetch_one(&self.pool).await?)
    }

    /// Finds the active index version, whatever its model, or makes one for this model.
    pub async fn open_index(&self, model: &str, dimensions: u32) -> Result<IndexVersion> {
        let dimensions = i32::try_from(dimensions).unwrap_or(i32::MAX);
        let version = sqlx::query_as!(
            IndexVersion,
            r#"select id as "id!", model as "model!", dimensions as "dimensions!", state as "state!: IndexState"
               from shopkeeper.open_index($1, $2)"#,
            model,
            dimensions,
        );
        let version = version.fetch_one(&self.pool).await?;
        Ok(version)
    }

    /// Makes an index version that is written but not searched.
    pub async fn create_index(&self, model: &str, dimensions: u32) -> Result<IndexVersion> {
        let version = sqlx::query_as!(
            IndexVersion,
            r#"select id as "id!", model as "model!", dimensions as "dimensions!", state as "state!: IndexState"
               from shopkeeper.create_index($1, $2, 'building')"#,
            model,
            i32::try_from(dimensions).unwrap_or(i32::MAX),
        );
        Ok(version.fetch_one(&self.pool).await?)
    }

    /// The next documents that a version lacks and that have no job of their own, in the order of their keys; those that
    /// failed are left alone.
    pub async fn left_behind(
        &self,
        version: i32,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        let (source, key) = after.map(|id| (id.source, id.key)).unwrap_or_default();
        let page = sqlx::query_as!(
            DocumentId,
            r#"select source as "source!", key as "key!" from shopkeeper.left_behind
               where version = $1 and has_failed is not true and (source, key) > ($2, $3)
               order by source, key limit $4"#,
            version,
            source,
            key,
            i64::from(limit),
        );
        Ok(page.fetch_all(&self.pool).await?)
    }

    /// Whether a version has an HNSW index that can be used.
    pub async fn has_hnsw(&self, version: i32) -> Result<bool> {
        let valid = sqlx::query_scalar!(
            "select indisvalid from pg_index where indexrelid = to_regclass($1)",
            format!("shopkeeper.chunk_{version}_hnsw"),
        );
        Ok(valid.fetch_optional(&self.pool).await?.unwrap_or(false))
    }

    /// Those of some documents that a version has no chunks of, as their sources and keys.
    pub async fn not_indexed(
        &self,
        version: i32,
        sources: &[String],
        keys: &[String],
    ) -> Result<Vec<(String, String)>> {
        let missing = sqlx::query!(
            r#"select asked.source as "source!", asked.key as "key!"
               from unnest($2::text[], $3::text[]) as asked (source, key)
               where not exists (
                   select from shopkeeper.document_index as indexed
                   where indexed.version = $1 and indexed.source = asked.source and indexed.key = asked.key
                       and indexed.fingerprint is not null
               )"#,
            version,
            sources,
            keys,
        );
        let missing = missing.fetch_all(&self.pool).await?;
        Ok(missing.into_iter().map(|row| (row.source, row.key)).collect())
    }

    /// How much of the documents a version has.
    pub async fn coverage(&self, version: i32) -> Result<Coverage> {
        let coverage = sqlx::query_as!(
            Coverage,
            r#"select count(*) as "documents!",
                   count(*) filter (where indexed_revision = revision and state = 'fresh') as "fresh!",
                   count(*) filter (where indexed_revision = revision and state = 'failed') as "failed!"
               from shopkeeper.document as document
               left join shopkeeper.document_index as indexed
                   on indexed.version = $1 and indexed.source = document.source and indexed.key = document.key"#,
            version,
        );
        Ok(coverage.fetch_one(&self.pool).await?)
    }

    /// Whether every source has been listed, or has had an hour for it.
    pub async fn has_listed_all(&self) -> Result<bool> {
        let listed = sqlx::query_scalar!(
            r#"select not exists (select from shopkeeper.source where last_sync_at is null)
                   or (select min(created_at) < now() - interval '1 hour' from shopkeeper.index_version) as "listed!""#
        );
        Ok(listed.fetch_one(&self.pool).await?)
    }

    /// The share of its chunks that a version's HNSW index has lost since it was built; none when it has no index.
    pub async fn hnsw_wear(&self, version: i32) -> Result<Option<f64>> {
        let wear = sqlx::query_scalar!(
            // The counts begin again when the server fell over; an old one is too high then. That of the living is
            // doubled when those who wrote are counted after a vacuum: the table's own is not.
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

    /// Makes another version the one that is searched. Refused when documents would be missing in it:
    /// the active one keeps being written, so that there is a way back.
    pub async fn promote_index(&self, id: i32, allow_missing: bool) -> Result<()> {
        self.pool.transact(async |connection| {
        let states = sqlx::query_scalar!(
            r#"select state as "state: IndexState" from shopkeeper.index_version
               where id = $1 or state = 'active' order by id = $1 desc for update"#,
            id
        );
        match states.fetch_all(&mut *connection).await?.first() {
            Some(IndexState::Ready | IndexState::Retired) => {}
            Some(IndexState::Building) if allow_missing => {}
            Some(IndexState::Building) => {
                return Err(StoreError::Unsuitable(format!(
                    "index version {id} is still being filled; `shopkeeper index list` shows how far it is"
                )));
            }
            _ => return Err(StoreError::Unsuitable(format!("index version {id} cannot become active"))),
        }
        let lacks = sqlx::query_scalar!(
            r#"select count(*) as "count!" from shopkeeper.left_behind as lacking
               where version = $1 and exists (
                   select from shopkeeper.document_index as indexed
                   join shopkeeper.index_version as active on active.id = indexed.version and active.state = 'active'
                   where indexed.source = lacking.source and indexed.key = lacking.key and indexed.state = 'fresh'
               )"#,
            id
        );
        let lacks = lacks.fetch_one(&mut *connection).await?;
        if lacks > 0 && !allow_missing {
            return Err(StoreError::Unsuitable(format!(
                "index version {id} lacks {lacks} documents that the active one has\n  have its model in the settings \
                 of every daemon and run `shopkeeper index create` for it again, or give --allow-missing"
            )));
        }
        sqlx::query!("update shopkeeper.index_version set state = 'retired' where state = 'active'")
            .execute(&mut *connection)
            .await?;
        let query = sqlx::query!(
            "update shopkeeper.index_version set state = 'active', active_at = clock_timestamp() where id = $1",
            id
        );
        query.execute(&mut *connection).await?;
        Ok(())
        })
        .await
    }

    /// The version that was active before the present one.
    pub async fn index_before(&self) -> Result<Option<i32>> {
        let before = sqlx::query_scalar!(
            "select id from shopkeeper.index_version where state = 'retired' order by active_at desc limit 1"
        );
        Ok(before.fetch_optional(&self.pool).await?)
    }

    /// Stops the writing of a version; returns false if it is the active one or does not exist.
    pub async fn retire_index(&self, id: i32) -> Result<bool> {
        let retired = sqlx::query!(
            "update shopkeeper.index_version set state = 'dropping' where id = $1 and state <> 'active'",
            id
        );
        Ok(retired.execute(&self.pool).await?.rows_affected() == 1)
    }
}
