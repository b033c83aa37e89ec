//! Searches for passages: by nearest vectors, and by SKU.

use pgvector::HalfVector;
use serde_json::{Map, Value, value::RawValue};
use sqlx::{AssertSqlSafe, types::Json};

use super::{Result, Store, pool::Pool, versions::IndexVersion};
use crate::{
    answering::passage::{Passage, confidence},
    catalogue::{DocumentId, filter::Filter},
};

/// Documents considered for SKUs of a question. A SKU shared by thousands identifies none of them.
const MAX_NAMED: i64 = 20;

/// pgvector's default of `hnsw.ef_search`, and the most that it allows.
const EF_SEARCH: i32 = 40;
const MAX_EF_SEARCH: i32 = 1000;

/// Restricts a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchFilter<'a> {
    /// Only these sources; `None` is all.
    pub sources: Option<&'a [String]>,
    /// Only documents whose metadata match.
    pub metadata: Option<&'a Filter>,
}

impl SearchFilter<'_> {
    /// What the metadata must contain; `None` if every document matches: an empty object would, too, at a cost.
    fn contained(&self) -> Option<Json<&Map<String, Value>>> {
        self.metadata.map(|filter| &filter.contained).filter(|contained| !contained.is_empty()).map(Json)
    }

    /// The conditions as a `jsonpath`.
    fn path(&self) -> Option<String> {
        self.metadata.and_then(Filter::path)
    }
}

/// A vector of a question, and the index version to compare it with.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct View<'a> {
    pub version: &'a IndexVersion,
    pub vector: &'a [f32],
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
        let (contained, path) = (filter.contained(), filter.path());
        let (vector, top_k) = (HalfVector::from_f32_slice(vector), i32::try_from(top_k).unwrap_or(i32::MAX));
        let rows: Vec<Row> = if filter.sources.is_none() && contained.is_none() && path.is_none() {
            let statement = nearest(version, top_k);
            let search = |pool| {
                let pool = in_one_walk(pool, top_k);
                let query = sqlx::query_as(AssertSqlSafe(statement.as_str())).bind(vector.clone());
                async move { query.fetch_all(&pool).await }
            };
            self.search(search).await?
        } else {
            let search = |pool| {
                let query = sqlx::query_as(
                    "select *, null::double precision as second_distance
                     from shopkeeper.nearest_within($1, $2, $3, $4, $5, $6::text::jsonpath)",
                );
                let query = query.bind(version.id).bind(vector.clone()).bind(top_k);
                query.bind(filter.sources).bind(contained).bind(&path).fetch_all(pool)
            };
            self.search(search).await?
        };
        Ok(rows.into_iter().filter_map(|row| row.passage(false)).collect())
    }

    /// Finds the chunks nearest by either of two models, `most` by each, with their distances by both, in no order. The
    /// versions must have the same chunks; one that the second lacks has no distance by it.
    pub async fn nearest_by_two(
        &self,
        first: View<'_>,
        second: View<'_>,
        most: u32,
        filter: SearchFilter<'_>,
    ) -> Result<Vec<Passage>> {
        let (contained, path) = (filter.contained(), filter.path());
        let is_filtered = filter.sources.is_some() || contained.is_some() || path.is_some();
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let statement = nearest_by_two(first.version, second.version, most, is_filtered);
        let search = |pool| {
            let pool = in_one_walk(pool, most);
            let query = sqlx::query_as(AssertSqlSafe(statement.as_str()));
            let query = query.bind(HalfVector::from_f32_slice(first.vector));
            let query = query.bind(HalfVector::from_f32_slice(second.vector));
            let query =
                if is_filtered { query.bind(filter.sources).bind(contained).bind(&path) } else { query };
            async move { query.fetch_all(&pool).await }
        };
        let rows: Vec<Row> = self.search(search).await?;
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
                "select named.source, named.key, named.title, near.content, named.link, named.metadata, near.distance,
                     null::double precision as second_distance
                 from (
                     select source, key, title, link, metadata from shopkeeper.document
                     where sku is not null and upper(regexp_replace(sku, '[^A-Za-z0-9]', '', 'g')) = any($3)
                         and ($4::text[] is null or source = any($4)) and ($6::jsonb is null or metadata @> $6)
                         and ($7::text is null or metadata @@ $7::jsonpath)
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
            let query = query.bind(filter.sources).bind(MAX_NAMED).bind(filter.contained());
            query.bind(filter.path()).fetch_all(pool)
        };
        let rows: Vec<Row> = self.search(search).await?;
        Ok(rows.into_iter().filter_map(|row| row.passage(true)).collect())
    }

    /// Finds the chunk of one document that is nearest to a vector; `None` if the version has none of it.
    pub async fn nearest_of(
        &self,
        version: &IndexVersion,
        vector: &[f32],
        document: &DocumentId,
    ) -> Result<Option<Passage>> {
        let query = sqlx::query_as(
            "select document.source, document.key, document.title, near.content, document.link, document.metadata,
                 near.distance, null::double precision as second_distance
             from shopkeeper.document
             cross join lateral (
                 select content, embedding <=> $2 as distance from shopkeeper.chunk
                 where version = $1 and source = document.source and key = document.key
                 order by distance limit 1
             ) as near
             where document.source = $3 and document.key = $4",
        );
        let query = query.bind(version.id).bind(HalfVector::from_f32_slice(vector));
        let row: Option<Row> =
            query.bind(&document.source).bind(&document.key).fetch_optional(&self.pool).await?;
        Ok(row.and_then(|row| row.passage(false)))
    }
}

/// The same connections, for so many chunks of an HNSW index: a walk through it finds `hnsw.ef_search` of them, and the next
/// ones cost another walk. A larger value set for the database stays.
fn in_one_walk(pool: &Pool, chunks: i32) -> Pool {
    if chunks <= EF_SEARCH {
        return pool.clone();
    }
    let chunks = chunks.min(MAX_EF_SEARCH);
    pool.set_local(&format!(
        "; select set_config('hnsw.ef_search', greatest({chunks}, nullif(current_setting('hnsw.ef_search', true), '')::integer)::text, true)"
    ))
}

/// The statement of a search in all chunks of a version. The version and the dimensions are literals, so that it
/// matches the partition's HNSW index. So is the number of chunks, without which no plan is kept: the planner would take
/// it for a tenth of all.
pub(super) fn nearest(version: &IndexVersion, top_k: i32) -> String {
    let (id, dimensions) = (version.id, version.dimensions);
    format!(
        "select near.source, near.key, document.title, near.content, document.link, document.metadata, near.distance,
             null::double precision as second_distance
         from (
             select source, key, content, embedding::halfvec({dimensions}) <=> $1 as distance
             from shopkeeper.chunk where version = {id}
             order by embedding::halfvec({dimensions}) <=> $1 limit {top_k}
         ) as near
         join shopkeeper.document using (source, key)
         order by near.distance, near.source, near.key"
    )
}

/// The statement of a search by two models. A chunk of one version is that of the other with the same text; only where one
/// search alone found it is its other distance looked up.
pub(super) fn nearest_by_two(
    first: &IndexVersion,
    second: &IndexVersion,
    most: i32,
    is_filtered: bool,
) -> String {
    let near = |version: &IndexVersion, vector: &str| {
        let (id, dimensions) = (version.id, version.dimensions);
        if is_filtered {
            format!(
                "select source, key, content, distance
                 from shopkeeper.nearest_within({id}, {vector}, {most}, $3, $4, $5::text::jsonpath)"
            )
        } else {
            format!(
                "select source, key, content, embedding::halfvec({dimensions}) <=> {vector} as distance
                 from shopkeeper.chunk where version = {id}
                 order by embedding::halfvec({dimensions}) <=> {vector} limit {most}"
            )
        }
    };
    let distance = |version: &IndexVersion, vector: &str| {
        format!(
            "(select embedding <=> {vector} from shopkeeper.chunk
              where version = {} and source = near.source and key = near.key and content = near.content limit 1)",
            version.id
        )
    };
    let (near_first, near_second) = (near(first, "$1"), near(second, "$2"));
    let (by_first, by_second) = (distance(first, "$1"), distance(second, "$2"));
    format!(
        "select near.source, near.key, document.title, near.content, document.link, document.metadata,
             coalesce(near.distance, {by_first}, 'NaN') as distance,
             nullif(coalesce(near.second_distance, {by_second}), 'NaN') as second_distance
         from (
             select source, key, content, one.distance, other.distance as second_distance
             from ({near_first}) as one full join ({near_second}) as other using (source, key, content)
         ) as near
         join shopkeeper.document using (source, key)"
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
    second_distance: Option<f64>,
}

impl Row {
    /// Returns the passage, or `None` if it has no distance to the question: its vector is zero, or the version lacks it.
    fn passage(self, is_named: bool) -> Option<Passage> {
        self.distance.is_finite().then_some(Passage {
            source: self.source,
            key: self.key,
            title: self.title,
            content: self.content,
            distance: self.distance,
            score: confidence(self.distance),
            second_distance: self.second_distance,
            rank: None,
            second_rank: None,
            rerank_score: None,
            url: self.link,
            metadata: self.metadata.0,
            is_named,
        })
    }
}
