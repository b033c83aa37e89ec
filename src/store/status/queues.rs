//! Work that waits: jobs by kind, and documents to be indexed.

use serde::Serialize;

use super::{Result, SourceStatus, Store};

/// The jobs of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct QueueStatus {
    pub kind: String,
    /// Due; wait for a slot.
    pub ready: i64,
    /// Wait for a later time, or for others of their group.
    pub scheduled: i64,
    pub running: i64,
    pub dead: i64,
    pub oldest_ready_seconds: Option<f64>,
    pub paused: bool,
}

/// The documents of a source that wait to be refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Backlog {
    pub pending: u64,
    pub last_error: Option<String>,
}

/// How fast the active index version catches up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Pace {
    pub pending: i64,
    pub per_minute: i64,
    pub eta_seconds: Option<f64>,
}

impl Pace {
    /// Sums up all sources.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn new(sources: &[SourceStatus]) -> Self {
        let pending = sources.iter().map(|source| source.stale).sum();
        let per_minute = sources.iter().map(|source| source.per_minute).sum();
        let eta_seconds = (per_minute > 0).then(|| 60.0 * pending as f64 / per_minute as f64);
        Self { pending, per_minute, eta_seconds }
    }
}

impl Store {
    /// Counts the jobs of these kinds, and of all others that have any.
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

    /// Returns the last error of a live job.
    pub async fn last_error(&self, kind: &str, key: &str) -> Result<Option<String>> {
        let error = sqlx::query_scalar!(
            "select last_error from shopkeeper.job where kind = $1 and key = $2",
            kind,
            key
        );
        Ok(error.fetch_optional(&self.pool).await?.flatten())
    }

    /// Counts the documents of a source on their way into the active index version: those with a job of the kind
    /// `refresh`, and while the version is being filled, all that it lacks.
    pub async fn backlog(&self, refresh: &str, fill: &str, source: &str) -> Result<Backlog> {
        // Keys are `source/key`, and '0' follows '/': this is a range of the index of keys.
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
