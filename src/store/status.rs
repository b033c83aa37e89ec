//! Counts documents by source; `status/queues.rs` counts jobs by kind.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;

use super::{Result, Store};
use crate::catalogue::SetAsideRow;

mod queues;

pub use queues::{Backlog, Pace, QueueStatus};

/// The documents of one source.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SourceStatus {
    pub source: String,
    pub documents: i64,
    /// Indexed at their revision.
    pub fresh: i64,
    /// Changed since they were indexed, or not indexed yet.
    pub stale: i64,
    /// Could not be indexed at their revision.
    pub failed: i64,
    pub chunks: i64,
    /// The age of the oldest change that is not indexed.
    pub oldest_stale_seconds: Option<f64>,
    pub last_sync_at: Option<DateTime<Utc>>,
    /// The median time from a noticed change to its indexing, over the last day.
    pub lag_p50_seconds: Option<f64>,
    /// The 99th percentile of the same.
    pub lag_p99_seconds: Option<f64>,
    /// Documents whose rows are gone and that stay, because there are more than `mass_delete_limit`.
    pub withheld: i64,
    pub withheld_since: Option<DateTime<Utc>>,
    /// Why the last listing failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_error: Option<String>,
    /// Rows of the last listing that cannot become documents.
    #[serde(skip_serializing_if = "is_zero")]
    pub set_aside: i64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside_rows: Option<Json<Vec<SetAsideRow>>>,
    /// Indexed in the last minute.
    #[serde(skip)]
    pub per_minute: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// The number of a source's documents in each state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `SourceStatus`")]
pub struct DocumentStates {
    pub source: String,
    pub fresh: i64,
    pub stale: i64,
    pub failed: i64,
}

impl Store {
    /// Counts the documents of each source.
    pub async fn source_status(&self) -> Result<Vec<SourceStatus>> {
        let rows = sqlx::query_as!(
            SourceStatus,
            r#"
            with active as (select id from shopkeeper.index_version where state = 'active'),
            documents as (
                select document.source, count(*) as documents,
                    count(*) filter (where indexed.state = 'fresh' and indexed_revision = revision) as fresh,
                    count(*) filter (where indexed.state = 'failed' and indexed_revision = revision) as failed,
                    count(*) filter (
                        where indexed.state = 'fresh' and indexed_at > now() - interval '1 minute'
                    ) as per_minute,
                    min(changed_at) filter (where indexed_revision is distinct from revision) as oldest,
                    percentile_cont(array[0.5, 0.99]) within group (
                        order by extract(epoch from indexed_at - changed_at)::double precision
                    ) filter (
                        where indexed.state = 'fresh' and indexed_revision = revision and indexed_at >= changed_at
                            and indexed_at > now() - interval '1 day'
                    ) as lag
                from shopkeeper.document
                left join shopkeeper.document_index as indexed
                    on indexed.version = (select id from active)
                    and indexed.source = document.source and indexed.key = document.key
                group by document.source
            ), chunks as (
                select source, count(*) as chunks from shopkeeper.chunk
                where version = (select id from active) group by source
            )
            select coalesce(source.name, documents.source) as "source!",
                coalesce(documents.documents, 0) as "documents!",
                coalesce(documents.fresh, 0) as "fresh!",
                coalesce(documents.documents - documents.fresh - documents.failed, 0) as "stale!",
                coalesce(documents.failed, 0) as "failed!",
                coalesce(chunks.chunks, 0) as "chunks!",
                extract(epoch from now() - documents.oldest)::double precision as oldest_stale_seconds,
                source.last_sync_at as "last_sync_at?", coalesce(source.withheld, 0) as "withheld!",
                source.withheld_at as "withheld_since?", source.sync_error as "sync_error?",
                coalesce(source.set_aside, 0) as "set_aside!",
                nullif(source.set_aside_rows, '[]') as "set_aside_rows: Json<Vec<SetAsideRow>>",
                documents.lag[1] as lag_p50_seconds, documents.lag[2] as lag_p99_seconds,
                coalesce(documents.per_minute, 0) as "per_minute!"
            from documents
            full join shopkeeper.source on source.name = documents.source
            left join chunks on chunks.source = documents.source
            order by 1
            "#
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// Counts only the documents of each source by state; cheaper than [`source_status`](Store::source_status).
    pub async fn document_states(&self) -> Result<Vec<DocumentStates>> {
        let states = sqlx::query_as!(
            DocumentStates,
            r#"
            with counted as (
                select document.source, count(*) as documents,
                    count(*) filter (where indexed.state = 'fresh' and indexed_revision = revision) as fresh,
                    count(*) filter (where indexed.state = 'failed' and indexed_revision = revision) as failed
                from shopkeeper.document
                left join shopkeeper.document_index as indexed
                    on indexed.version = (select id from shopkeeper.index_version where state = 'active')
                    and indexed.source = document.source and indexed.key = document.key
                group by document.source
            )
            select coalesce(source.name, counted.source) as "source!", coalesce(fresh, 0) as "fresh!",
                coalesce(documents - fresh - failed, 0) as "stale!", coalesce(failed, 0) as "failed!"
            from counted full join shopkeeper.source on source.name = counted.source
            order by 1
            "#
        );
        Ok(states.fetch_all(&self.pool).await?)
    }
}
