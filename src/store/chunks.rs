//! Nearest neighbours.

use pgvector::HalfVector;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, types::Json};

use super::{Store, StoreError, documents::IndexVersion};
use crate::answer::Passage;

#[derive(sqlx::FromRow)]
struct Row {
    source: String,
    key: String,
    title: String,
    content: String,
    link: Option<String>,
    metadata: Json<Box<RawValue>>,
    distance: f64,
}

impl Store {
    /// Finds the chunks nearest to a vector by cosine distance, nearest first.
    ///
    /// `sources` restricts the search; none of them means all. The version and the dimensions are written
    /// into the statement, because only then does it fit the partition's HNSW index.
    pub async fn nearest(
        &self,
        version: &IndexVersion,
        vector: &[f32],
        top_k: u32,
        sources: Option<&[String]>,
    ) -> Result<Vec<Passage>, StoreError> {
        let (id, dimensions) = (version.id, version.dimensions);
        let filter = if sources.is_some() { "and source = any($3)" } else { "and $3::text[] is null" };
        let statement = format!(
            "select near.source, near.key, document.title, near.content, document.link, document.metadata, near.distance
             from (
                 select source, key, content, embedding::halfvec({dimensions}) <=> $1 as distance
                 from shopkeeper.chunk where version = {id} {filter}
                 order by embedding::halfvec({dimensions}) <=> $1 limit $2
             ) as near
             join shopkeeper.document using (source, key)
             order by near.distance, near.source, near.key"
        );
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(statement))
            .bind(HalfVector::from_f32_slice(vector))
            .bind(i64::from(top_k))
            .bind(sources)
            .fetch_all(&self.pool)
            .await?;
        let passages = rows.into_iter().map(|row| Passage {
            source: row.source,
            key: row.key,
            title: row.title,
            content: row.content,
            link: row.link,
            metadata: row.metadata.0,
            distance: row.distance,
        });
        Ok(passages.collect())
    }
}
