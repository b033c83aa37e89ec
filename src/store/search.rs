//! Searches for passages: by nearest vectors, and by SKU.

use pgvector::HalfVector;
use serde_json::{Map, Value, value::RawValue};
use sqlx::{AssertSqlSafe, types::Json};

use super::{Result, Store, versions::IndexVersion};
use crate::answering::passage::{Passage, confidence};

/// Documents considered for SKUs of a question. A SKU shared by thousands identifies none of them.
const MAX_NAMED: i64 = 20;

/// Restricts a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchFilter<'a> {
    /// Only these sources; `None` is all.
    pub sources: Option<&'a [String]>,
    /// Only documents with this metadata.
    pub metadata: Option<&'a Map<String, Value>>,
}

impl Store {
    /// Finds the chunks nearest to a vector by cosine distance, nearest first; with a filter, exactly where few match.
    pub async fn nearest(
        &self,
        version: &IndexVersion,
        vector: &[f32],
        top_k: u32,
        filter: SearchFilter<'_>,
    ) -> Result<Vec<Passage>> {
        // An empty object matches every document.
        let metadata = filter.metadata.filter(|metadata| !metadata.is_empty()).map(Json);
        let (vector, top_k) = (HalfVector::from_f32_slice(vector), i32::try_from(top_k).unwrap_or(i32::MAX));
        let rows: Vec<Row> = if filter.sources.is_none() && metadata.is_none() {
            let statement = nearest(version);
            let search = |pool| {
                let query = sqlx::query_as(AssertSqlSafe(statement.as_str()));
                query.bind(vector.clone()).bind(top_k).fetch_all(pool)
            };
            self.search(search).await?
        } else {
            let search = |pool| {
                let query = sqlx::query_as("select * from shopkeeper.nearest_within($1, $2, $3, $4, $5)");
                let query = query.bind(version.id).bind(vector.clone()).bind(top_k);
                query.bind(filter.sources).bind(metadata).fetch_all(pool)
            };
            self.search(search).await?
        };
        Ok(rows.into_iter().filter_map(|row| row.passage(false)).collect())
    }

    /// Finds documents with one of these [SKUs](crate::answering::sku), each with its chunk nearest to a vector.
    pub async fn named(
        &self,
        version: &IndexVersion,
        vector: &[f32],
        codes: &[String],
        filter: SearchFilter<'_>,
    ) -> Result<Vec<Passage>> {
        let search = |pool| {
            let query = sqlx::query_as(
                "select named.source, named.key, named.title, near.content, named.link, named.metadata, near.distance
                 from (
                     select source, key, title, link, metadata from shopkeeper.document
                     where sku is not null and upper(regexp_replace(sku, '[^A-Za-z0-9]', '', 'g')) = any($3)
                         and ($4::text[] is null or source = any($4)) and ($6::jsonb is null or metadata @> $6)
                     limit $5
                 ) as named
                 cross join lateral (
                     select content, embedding <=> $2 as distance from shopkeeper.chunk
                     where version = $1 and source = named.source and key = named.key
                     order by distance limit 1
                 ) as near
                 order by near.distance, named.source, named.key",
            );
            let query = query.bind(version.id).bind(HalfVector::from_f32_slice(vector)).bind(codes);
            query.bind(filter.sources).bind(MAX_NAMED).bind(filter.metadata.map(Json)).fetch_all(pool)
        };
        let rows: Vec<Row> = self.search(search).await?;
        Ok(rows.into_iter().filter_map(|row| row.passage(true)).collect())
    }
}

/// The statement of a search in all chunks of a version. The version and the dimensions are literals, so that it
/// matches the partition's HNSW index.
pub(super) fn nearest(version: &IndexVersion) -> String {
    let (id, dimensions) = (version.id, version.dimensions);
    format!(
        "select near.source, near.key, document.title, near.content, document.link, document.metadata, near.distance
         from (
             select source, key, content, embedding::halfvec({dimensions}) <=> $1 as distance
             from shopkeeper.chunk where version = {id}
             order by embedding::halfvec({dimensions}) <=> $1 limit $2
         ) as near
         join shopkeeper.document using (source, key)
         order by near.distance, near.source, near.key"
    )
}

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

impl Row {
    /// Returns the passage, or `None` if its vector is zero and so has no distance to the question.
    fn passage(self, is_named: bool) -> Option<Passage> {
        self.distance.is_finite().then_some(Passage {
            source: self.source,
            key: self.key,
            title: self.title,
            content: self.content,
            distance: self.distance,
            score: confidence(self.distance),
            url: self.link,
            metadata: self.metadata.0,
            is_named,
        })
    }
}
