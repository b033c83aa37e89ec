//! What keeps the queue going without anybody's asking, each in bounded batches.

use std::time::Duration;

use super::interval;
use crate::store::{Store, StoreError};

/// Rows that one statement takes.
const BATCH: i64 = 1000;
/// Finished jobs that one statement deletes.
const PRUNE_BATCH: i64 = 10_000;

/// What a look at the delayed jobs found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// Jobs that were due, and are ready now.
    pub jobs: u64,
    /// Whether there may be more that are due.
    pub is_full: bool,
    /// Until the next one is due.
    pub next: Option<Duration>,
}

impl Store {
    /// Makes delayed jobs that are due ready, and wakes those who run them.
    pub async fn promote(&self) -> Result<Promoted, StoreError> {
        let row =
            sqlx::query!(r#"select promoted as "promoted!", next_in from shopkeeper.promote($1)"#, BATCH,)
                .fetch_one(&self.pool)
                .await?;
        let next = row.next_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Promoted { jobs: row.promoted.unsigned_abs(), is_full: row.promoted >= BATCH, next })
    }

    /// Frees jobs whose lease ran out: their worker is gone. An attempt was charged, so that a job that
    /// ends its worker dies in time.
    pub async fn rescue(&self) -> Result<u64, StoreError> {
        const LEASE_RAN_OUT: &str = "the lease ran out: the worker is gone or hangs";
        let row = sqlx::query!(
            r#"
            with lost as materialized (
                select id, (attempts >= max_attempts) and not dirty as over
                from shopkeeper.job where state = 'running' and lease_until < now()
                limit $2
                for update skip locked
            ), again as (
                update shopkeeper.job as job
                set state = 'ready', worker = null, lease_until = null, last_error = $1, run_at = now(), dirty = false,
                    attempts = case when dirty then 0 else attempts end
                from lost where job.id = lost.id and not lost.over
                returning job.kind
            ), gone as (
                delete from shopkeeper.job as job using lost where job.id = lost.id and lost.over returning job.*
            ), kept as (
                insert into shopkeeper.job_history
                    (id, kind, key, group_key, payload, priority, outcome, error, attempts, max_attempts, worker,
                     traceparent, created_at, run_at, started_at)
                select id, kind, key, group_key, payload, priority, 'dead', $1, attempts, max_attempts, worker,
                    traceparent, created_at, run_at, started_at
                from gone
            ), woken as (
                select pg_notify('shopkeeper_job', kind) from (select distinct kind from again) as kinds
            )
            select (select count(*) from lost) as "lost!", (select count(*) from woken) as woken
            "#,
            LEASE_RAN_OUT,
            BATCH,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.lost.unsigned_abs())
    }

    /// Lets the next of each group run, where nobody did: who ended its head was gone too soon, or
    /// somebody was just enqueueing into the group. Of one kind, or of all.
    pub async fn advance(&self, kind: Option<&str>) -> Result<u64, StoreError> {
        let advanced = match kind {
            Some(kind) => {
                sqlx::query_scalar!("select shopkeeper.advance($1)", kind).fetch_one(&self.pool).await?
            }
            None => sqlx::query_scalar!("select shopkeeper.advance_all()").fetch_one(&self.pool).await?,
        };
        Ok(advanced.unwrap_or_default().unsigned_abs())
    }

    /// Deletes one batch of finished jobs that are older than this; says how many.
    pub async fn prune_jobs(&self, older_than: Duration) -> Result<u64, StoreError> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.job_history where ctid = any (array(
                 select ctid from shopkeeper.job_history where finished_at < now() - $1::interval limit $2
             ))",
            interval(older_than),
            PRUNE_BATCH,
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
