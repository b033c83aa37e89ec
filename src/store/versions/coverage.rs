//! What index versions contain of the documents, and what they lack.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::types::Json;

use super::{IndexState, IndexVersion, Result, Store};
use crate::catalogue::DocumentId;

/// How much of the documents a version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Coverage {
    pub documents: i64,
    /// Indexed at their revision.
    pub fresh: i64,
    /// Could not be indexed at their revision.
    pub failed: i64,
}

impl Coverage {
    /// Documents still to be written.
    pub fn missing(&self) -> i64 {
        self.documents - self.fresh - self.failed
    }
}

/// A version and its size.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IndexStatus {
    #[serde(flatten)]
    pub version: IndexVersion,
    pub chunks: i64,
    /// The mean of some chunks.
    #[serde(skip)]
    pub tokens_of_chunk: f64,
    /// Its last evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Json<Evaluation>>,
}

/// The figures of an index version on a golden set.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Evaluation {
    pub golden: String,
    pub at: DateTime<Utc>,
    pub questions: usize,
    pub hit_at_1: Option<f64>,
    pub hit_at_5: Option<f64>,
    pub mrr: Option<f64>,
    pub escalation_balanced_accuracy: Option<f64>,
}

impl Store {
    /// Lists all versions with the number of their chunks.
    pub async fn index_status(&self) -> Result<Vec<IndexStatus>> {
        let rows = sqlx::query!(
            r#"select id, model, dimensions, state as "state: IndexState", evaluation as "evaluation: Json<Evaluation>",
                   (select count(*) from shopkeeper.chunk where version = index_version.id) as "chunks!",
                   coalesce((
                       select avg(tokens) from (
                           select tokens from shopkeeper.chunk where version = index_version.id limit 1000
                       ) as sample
                   ), 0)::double precision as "tokens_of_chunk!"
               from shopkeeper.index_version order by id"#
        );
        let rows = rows.fetch_all(&self.pool).await?;
        let versions = rows.into_iter().map(|row| {
            let (id, model, dimensions, state) = (row.id, row.model, row.dimensions, row.state);
            IndexStatus {
                version: IndexVersion { id, model, dimensions, state },
                chunks: row.chunks,
                tokens_of_chunk: row.tokens_of_chunk,
                evaluation: row.evaluation,
            }
        });
        Ok(versions.collect())
    }

    /// Notes the last evaluation of a version.
    pub async fn note_evaluation(&self, version: i32, evaluation: &Evaluation) -> Result<()> {
        sqlx::query!(
            "update shopkeeper.index_version set evaluation = $2 where id = $1",
            version,
            json!(evaluation),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Counts the documents and those that a version has.
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

    /// Whether no version has a chunk, so that a daemon with other models replaces them.
    pub async fn is_unused(&self) -> Result<bool> {
        let unused = sqlx::query_scalar!(r#"select not exists (select from shopkeeper.chunk) as "unused!""#);
        Ok(unused.fetch_one(&self.pool).await?)
    }

    /// Whether every source has been listed, or has had an hour for it.
    pub async fn has_listed_all(&self) -> Result<bool> {
        let listed = sqlx::query_scalar!(
            r#"select not exists (select from shopkeeper.source where last_sync_at is null)
                   or (select min(created_at) < now() - interval '1 hour' from shopkeeper.index_version) as "listed!""#
        );
        Ok(listed.fetch_one(&self.pool).await?)
    }

    /// Returns the next documents, by key, that a version lacks and that have no job of their own; skips failed ones.
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

    /// Returns those of these documents that have no chunks in a version, as sources and keys.
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
}
