//! What the operator is shown: counts of documents, jobs and index versions.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Result, Store};

/// One source's documents.
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
    /// How long the oldest stale document has been stale.
    pub oldest_stale_seconds: Option<f64>,
    /// When the source was last compared in full.
    pub last_sync_at: Option<DateTime<Utc>>,
    /// From when a change was noticed until it was indexed, of half of those of the last day.
    pub lag_p50_seconds: Option<f64>,
    /// The same, of 99 of 100.
    pub lag_p99_seconds: Option<f64>,
    /// Documents whose row is gone and that stay, because they are more than `mass_delete_limit`.
    pub withheld: i64,
    /// Since when removals wait.
    pub withheld_since: Option<DateTime<Utc>>,
    /// Indexed in the last minute.
    #[serde(skip)]
    pub per_minute: i64,
}

/// How many documents of a source are in which state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `SourceStatus`")]
pub struct DocumentStates {
    pub source: String,
    pub fresh: i64,
    pub stale: i64,
    pub failed: i64,
}

/// Documents that could not be indexed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Failure {
    pub source: String,
    pub reason: String,
    pub documents: i64,
}

/// How fast the active index version gets what it lacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Pace {
    /// Documents that wait or are being refreshed.
    pub pending: i64,
    /// Refreshed in the last minute.
    pub per_minute: i64,
    pub eta_seconds: Option<f64>,
}

impl Pace {
    /// The pace of all sources.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn new(sources: &[SourceStatus]) -> Self {
        let pending = sources.iter().map(|source| source.stale).sum();
        let per_minute = sources.iter().map(|source| source.per_minute).sum();
        let eta_seconds = (per_minute > 0).then(|| 60.0 * pending as f64 / per_minute as f64);
        Self { pending, per_minute, eta_seconds }
    }
}

/// One kind's jobs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct QueueStatus {
    pub kind: String,
    /// Waiting and due.
    pub ready: i64,
    /// Waiting for a later time, or for others of their group.
    pub scheduled: i64,
    pub running: i64,
    pub dead: i64,
    /// How long the oldest due job has waited.
    pub oldest_ready_seconds: Option<f64>,
    pub paused: bool,
}

/// How far the refreshing of one source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Documents whose job is live.
    pub pending: u64,
    /// What the last failure was.
    pub last_error: Option<String>,
}

impl Store {
    /// Counts the documents of each source that has any.
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
                source.withheld_at as "withheld_since?",
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

    /// Counts the documents of each source by their state, and nothing else.
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

    /// Counts the jobs of these kinds, and of all that have any.
    pub async fn queue_status(&self, kinds: &[&str]) -> Result<Vec<QueueStatus>> {
        let rows = sqlx::query_as!(
            QueueStatus,
            r#"
            with named as (
                select unnest($1::text[]) as kind
            ), live as (
                select kind,
                    count(*) filter (where state = 'ready') as ready,
                    count(*) filter (where state in ('scheduled', 'blocked')) as scheduled,
                    count(*) filter (where state = 'running') as running,
                    min(run_at) filter (where state = 'ready') as oldest
                from shopkeeper.job group by kind
            ), dead as (
                select kind, count(*) as dead from shopkeeper.job_history where outcome = 'dead' group by kind
            ), paused as (
                select kind from shopkeeper.queue_kind where paused_at is not null
            )
            select kind as "kind!", coalesce(ready, 0) as "ready!", coalesce(scheduled, 0) as "scheduled!",
                coalesce(running, 0) as "running!", coalesce(dead, 0) as "dead!",
                extract(epoch from now() - oldest)::double precision as oldest_ready_seconds,
                kind in (select kind from paused) as "paused!"
            from named full join live using (kind) full join dead using (kind) full join paused using (kind)
            order by 1
            "#,
            kinds as &[&str],
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// Why documents could not be indexed at their present revision, the most frequent reasons first: of one source or of
    /// all, `limit` at most.
    pub async fn failures(&self, source: Option<&str>, limit: Option<i64>) -> Result<Vec<Failure>> {
        let failures = sqlx::query_as!(
            Failure,
            r#"select source, coalesce(indexed.error, '') as "reason!", count(*) as "documents!"
               from shopkeeper.document_index as indexed
               join shopkeeper.document as document using (source, key)
               where indexed.state = 'failed' and indexed_revision = document.revision
                   and ($1::text is null or source = $1)
                   and version = (select id from shopkeeper.index_version where state = 'active')
               group by source, indexed.error order by 3 desc, 1, 2 limit $2"#,
            source,
            limit,
        );
        Ok(failures.fetch_all(&self.pool.by_values()).await?)
    }

    /// What the last failure of a live job was.
    pub async fn last_error(&self, kind: &str, key: &str) -> Result<Option<String>> {
        let error = sqlx::query_scalar!(
            "select last_error from shopkeeper.job where kind = $1 and key = $2",
            kind,
            key
        );
        Ok(error.fetch_optional(&self.pool).await?.flatten())
    }

    /// Counts the documents of a source that are on their way into the active index version: those that have jobs of this
    /// kind, and all that the version lacks while it is being filled.
    pub async fn backlog(&self, refresh: &str, fill: &str, source: &str) -> Result<Backlog> {
        // Keys are `source/key`, and '0' comes right after '/': this is a range of the keys' index.
        let row = sqlx::query!(
            r#"with active as (
                   select id from shopkeeper.index_version where state = 'active'
               ), filling as (
                   select job.last_error from shopkeeper.job, active where kind = $2 and key = active.id::text
               ), jobs as (
                   select count(*) as pending,
                       (array_agg(last_error order by id) filter (where last_error is not null))[1] as last_error
                   from shopkeeper.job where kind = $1 and key >= $3 || '/' and key < $3 || '0'
               )
               select greatest(jobs.pending, case when exists (select from filling) then (
                       select count(*) from shopkeeper.document
                       left join shopkeeper.document_index as indexed
                           on indexed.version = (select id from active)
                           and indexed.source = document.source and indexed.key = document.key
                       where document.source = $3
                           and (indexed.indexed_revision is null or indexed.indexed_revision < document.revision)
                   ) end) as "pending!",
                   coalesce(jobs.last_error, (select last_error from filling)) as last_error
               from jobs"#,
            refresh,
            fill,
            source,
        );
        let row = row.fetch_one(&self.pool).await?;
        Ok(Backlog { pending: row.pending.unsigned_abs(), last_error: row.last_error })
    }
}
