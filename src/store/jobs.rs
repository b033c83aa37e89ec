//! The rows of the queue: enqueue, claim, renew, finish.
//!
//! A claim gives a [`Lease`]: the job's id and a fence. Whatever is written in a job's name goes through
//! `complete` in the same transaction, which fails when the fence is no longer the job's own.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgInterval};

use super::{Store, StoreError};

/// The channel that says that a kind has new jobs; its payload is the kind.
pub const CHANNEL: &str = "shopkeeper_job";

/// A job to be enqueued: nothing but values, so that whoever makes one need not know who runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// The kind of job.
    pub kind: &'static str,
    /// At most one live job of the kind has this key.
    pub key: String,
    /// The job's arguments.
    pub payload: Value,
}

/// A job that was claimed for this worker.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// What it holds and until when.
    pub lease: Lease,
    /// The key it was enqueued with.
    pub key: Option<String>,
    /// The job's arguments.
    pub payload: Value,
    /// Counted from 1, this one included.
    pub attempt: u32,
    /// After this attempt the job is dead.
    pub max_attempts: u32,
}

/// The right to write in a job's name, void as soon as another worker claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job's id.
    pub job: i64,
    /// Raised by each claim.
    pub fence: i64,
}

/// How a job that did not succeed goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is tried again after this time; its last attempt makes it dead.
    Retry(Duration),
    /// It is tried again after this time, and this attempt is not counted.
    Snooze(Duration),
    /// It is dead at once.
    Dead,
}

impl Store {
    /// Enqueues jobs of one kind in one statement; says how many there are to run.
    pub async fn enqueue(&self, kind: &str, keys: &[String], payloads: &[Value]) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await?;
        enqueue(&mut connection, kind, keys, payloads).await
    }

    /// Claims up to `limit` jobs that are due, highest priority first.
    pub async fn claim(
        &self,
        kind: &str,
        worker: &str,
        limit: u32,
        lease: Duration,
        max_attempts: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let rows = sqlx::query!(
            r#"
            with due as materialized (
                select id from shopkeeper.job
                where kind = $1 and worker is null and run_at <= now()
                order by priority desc, run_at, id
                limit $2
                for update skip locked
            )
            update shopkeeper.job as job
            set worker = $3, fence = fence + 1, lease_until = now() + $4, attempts = attempts + 1,
                max_attempts = coalesce(max_attempts, $5), dirty = false
            from due where job.id = due.id
            returning job.id, job.fence, job.key, job.payload, job.attempts, job.max_attempts as "max_attempts!"
            "#,
            kind,
            i64::from(limit),
            worker,
            interval(lease),
            i32::try_from(max_attempts).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        let claimed = rows.into_iter().map(|row| ClaimedJob {
            lease: Lease { job: row.id, fence: row.fence },
            key: row.key,
            payload: row.payload,
            attempt: row.attempts.unsigned_abs(),
            max_attempts: row.max_attempts.unsigned_abs(),
        });
        Ok(claimed.collect())
    }

    /// Renews leases that are still held.
    pub async fn renew(&self, leases: &[Lease], length: Duration) -> Result<(), StoreError> {
        let (jobs, fences): (Vec<_>, Vec<_>) = leases.iter().map(|lease| (lease.job, lease.fence)).unzip();
        sqlx::query!(
            "update shopkeeper.job as job set lease_until = now() + $3
             from unnest($1::bigint[], $2::bigint[]) as held (id, fence)
             where job.id = held.id and job.fence = held.fence and job.worker is not null",
            &jobs,
            &fences,
            interval(length),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Completes a job and enqueues what follows from it, in one transaction.
    pub async fn finish(&self, lease: Lease, follow_ups: &[NewJob]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        complete(&mut transaction, lease).await?;
        for job in follow_ups {
            let (keys, payloads) = (std::slice::from_ref(&job.key), std::slice::from_ref(&job.payload));
            enqueue(&mut transaction, job.kind, keys, payloads).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Puts a job that did not succeed back, or into the history as dead. A job that was enqueued
    /// again while it ran always goes on.
    pub async fn fail(&self, lease: Lease, failure: Failure, error: &str) -> Result<(), StoreError> {
        let (delay, charged, dead) = match failure {
            Failure::Retry(delay) => (delay, true, false),
            Failure::Snooze(delay) => (delay, false, false),
            Failure::Dead => (Duration::ZERO, true, true),
        };
        let ended = sqlx::query!(
            r#"
            with held as (
                select id, dirty, ($5 or ($4 and attempts >= max_attempts)) and not dirty as over
                from shopkeeper.job where id = $1 and fence = $2 and worker is not null
                for update
            ), again as (
                update shopkeeper.job as job
                set worker = null, lease_until = null, last_error = $6, dirty = false,
                    attempts = case when held.dirty then 0 when $4 then attempts else attempts - 1 end,
                    run_at = case when held.dirty then now() else now() + $3 end
                from held where job.id = held.id and not held.over
                returning job.id
            ), gone as (
                delete from shopkeeper.job as job using held where job.id = held.id and held.over returning job.*
            ), kept as (
                insert into shopkeeper.job_history
                    (id, kind, key, group_key, payload, outcome, error, attempts, max_attempts, created_at)
                select id, kind, key, group_key, payload, 'dead', $6, attempts, max_attempts, created_at from gone
            )
            select count(*) as "count!" from held
            "#,
            lease.job,
            lease.fence,
            interval(delay),
            charged,
            dead,
            error,
        )
        .fetch_one(&self.pool)
        .await?;
        if ended.count == 0 { Err(StoreError::LeaseLost(lease.job)) } else { Ok(()) }
    }

    /// Gives claimed jobs that never started back, as if they had not been claimed.
    pub async fn give_back(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let (jobs, fences): (Vec<_>, Vec<_>) = leases.iter().map(|lease| (lease.job, lease.fence)).unzip();
        sqlx::query!(
            "update shopkeeper.job as job
             set worker = null, lease_until = null, attempts = attempts - 1, dirty = false
             from unnest($1::bigint[], $2::bigint[]) as held (id, fence)
             where job.id = held.id and job.fence = held.fence and job.worker is not null",
            &jobs,
            &fences,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Frees jobs whose lease ran out: their worker is gone. Bounded, so that it never takes long.
    pub async fn rescue(&self) -> Result<u64, StoreError> {
        const LEASE_RAN_OUT: &str = "the lease ran out: the worker is gone or hangs";
        let rescued = sqlx::query!(
            r#"
            with lost as materialized (
                select id, (attempts >= max_attempts) and not dirty as over
                from shopkeeper.job where worker is not null and lease_until < now()
                order by lease_until limit 1000
                for update skip locked
            ), again as (
                update shopkeeper.job as job
                set worker = null, lease_until = null, last_error = $1, run_at = now()
                from lost where job.id = lost.id and not lost.over
            ), gone as (
                delete from shopkeeper.job as job using lost where job.id = lost.id and lost.over returning job.*
            ), kept as (
                insert into shopkeeper.job_history
                    (id, kind, key, group_key, payload, outcome, error, attempts, max_attempts, created_at)
                select id, kind, key, group_key, payload, 'dead', $1, attempts, max_attempts, created_at from gone
            )
            select count(*) as "count!" from lost
            "#,
            LEASE_RAN_OUT,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(rescued.count.unsigned_abs())
    }

    /// A connection that hears of new jobs.
    pub async fn listen(&self) -> Result<sqlx::postgres::PgListener, StoreError> {
        let mut listener = sqlx::postgres::PgListener::connect_with(&self.pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }
}

/// Enqueues jobs of one kind in the caller's transaction.
pub(super) async fn enqueue(
    connection: &mut PgConnection,
    kind: &str,
    keys: &[String],
    payloads: &[Value],
) -> Result<u64, StoreError> {
    let enqueued = sqlx::query_scalar!("select shopkeeper.enqueue($1, $2, $3)", kind, keys, payloads)
        .fetch_one(connection)
        .await?;
    Ok(enqueued.unwrap_or_default().unsigned_abs())
}

/// Completes a job in the caller's transaction: into the history, or back into the queue when it was
/// enqueued again while it ran.
pub(super) async fn complete(connection: &mut PgConnection, lease: Lease) -> Result<(), StoreError> {
    let held = sqlx::query!(
        r#"
        with held as (
            select id, dirty from shopkeeper.job
            where id = $1 and fence = $2 and worker is not null
            for update
        ), again as (
            update shopkeeper.job as job
            set worker = null, lease_until = null, attempts = 0, dirty = false, last_error = null, run_at = now()
            from held where job.id = held.id and held.dirty
        ), gone as (
            delete from shopkeeper.job as job using held where job.id = held.id and not held.dirty returning job.*
        ), kept as (
            insert into shopkeeper.job_history
                (id, kind, key, group_key, payload, outcome, attempts, max_attempts, created_at)
            select id, kind, key, group_key, payload, 'done', attempts, max_attempts, created_at from gone
        )
        select count(*) as "count!" from held
        "#,
        lease.job,
        lease.fence,
    )
    .fetch_one(connection)
    .await?;
    if held.count == 0 { Err(StoreError::LeaseLost(lease.job)) } else { Ok(()) }
}

fn interval(length: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(length.as_micros()).unwrap_or(i64::MAX) }
}
