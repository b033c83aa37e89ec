//! Index versions: created, promoted, retired and dropped while the index is in use.

use super::{Result, Store, StoreError};
use crate::words::words;

mod builder;
mod coverage;
mod fits;
mod forms;
mod hnsw;

pub use coverage::{Coverage, Evaluation, IndexStatus};
pub use forms::DocumentForm;

words! {
    /// The states of an index version.
    pub enum IndexState {
        /// Is being filled.
        Building,
        /// Is complete; may become active.
        Ready,
        /// Is searched.
        Active,
        /// Was active.
        Retired,
        /// Is no longer written.
        Dropping,
    }
}

/// The vectors of one model and dimension.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IndexVersion {
    /// Names the partition of the chunks.
    #[serde(rename = "version")]
    pub id: i32,
    pub model: String,
    pub dimensions: i32,
    pub state: IndexState,
}

impl Store {
    /// Lists the versions that are written or searched, the active one first.
    pub async fn index_versions(&self) -> Result<Vec<IndexVersion>> {
        let versions = sqlx::query_as!(
            IndexVersion,
            r#"select id, model, dimensions, state as "state: IndexState" from shopkeeper.index_version
               where state <> 'dropping' order by state <> 'active', id"#
        );
        Ok(versions.fetch_all(&self.pool).await?)
    }

    /// Returns the active version, whatever its model, or creates one for this model.
    pub async fn open_index(&self, model: &str, dimensions: u32) -> Result<IndexVersion> {
        let version = sqlx::query_as!(
            IndexVersion,
            r#"select id as "id!", model as "model!", dimensions as "dimensions!", state as "state!: IndexState"
               from shopkeeper.open_index($1, $2)"#,
            model,
            i32::try_from(dimensions).unwrap_or(i32::MAX),
        );
        Ok(version.fetch_one(&self.pool).await?)
    }

    /// Returns the version of a second model; creates it if there is none.
    pub async fn open_second_index(&self, model: &str, dimensions: u32) -> Result<IndexVersion> {
        let version = sqlx::query_as!(
            IndexVersion,
            r#"select id as "id!", model as "model!", dimensions as "dimensions!", state as "state!: IndexState"
               from shopkeeper.open_second_index($1, $2)"#,
            model,
            i32::try_from(dimensions).unwrap_or(i32::MAX),
        );
        Ok(version.fetch_one(&self.pool).await?)
    }

    /// Creates a version that is written but not searched.
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

    /// Makes a version active unless it lacks documents. The previous one is still written, so there is a way back.
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
        Ok(query.execute(&mut *connection).await.map(drop)?)
        })
        .await
    }

    /// Returns the version that was active before the present one.
    pub async fn index_before(&self) -> Result<Option<i32>> {
        let before = sqlx::query_scalar!(
            "select id from shopkeeper.index_version where state = 'retired' order by active_at desc limit 1"
        );
        Ok(before.fetch_optional(&self.pool).await?)
    }
}
