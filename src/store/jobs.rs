//! The rows of the queue: enqueue, claim and renew; `jobs/` has how jobs end, and what operators do to them.
//!
//! A claim gives a [`Lease`]: the job's id and a fence. Whatever is written in a job's name goes through
//! `complete` in the same transaction, which fails when the fence is no longer the job's own.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgInterval};

use super::{PROMPT, Result, Store, StoreError};

mod control;
mod outcome;
mod upkeep;

pub use control::{JobFilter, JobRow, JobState, Selection};
pub use outcome::{Ending, Failure, JobEnd, OnDead, UnwrittenEnds, WaitReason, WaitsFor};
pub(super) use outcome::{complete, complete_all};
pub use upkeep::Promotion;

/// A job to be enqueued: plain values, so that its creator need not know its handler.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewJob {
    pub kind: &'static str,
    /// At most one live job of the kind has this key.
    pub key: String,
    pub payload: Value,
}

/// What a worker claims, and how.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Claim<'a> {
    pub kind: &'a str,
    /// Who claims; unique for each process.
    pub worker: &'a str,
    pub limit: u32,
    /// Whether they are run with others, or wait for a slot: then none that must run alone.
    pub shared: bool,
    /// So many more that must run alone.
    pub lone: u32,
    /// Running at once over all daemons; none is no limit.
    pub fleet_limit: Option<u32>,
    /// How long the claim holds without renewal.
    pub lease: Duration,
    /// Attempts of jobs that do not say it themselves.
    pub max_attempts: u32,
}

/// A job that was claimed for this worker.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ClaimedJob {
    pub lease: Lease,
    pub key: Option<String>,
    pub payload: Value,
    /// Higher ones run first.
    pub priority: i16,
    /// Counted from 1, this one included.
    pub attempt: u32,
    /// After this attempt the job is dead.
    pub max_attempts: u32,
    /// How long it was due before it was claimed.
    pub waited: Duration,
    pub traceparent: Option<String>,
    pub time_limit: Option<Duration>,
    /// Whether it is run with no other: it may have ended its worker.
    pub is_alone: bool,
}

/// The right to write in a job's name, void as soon as another worker claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job's id.
    pub job: i64,
    /// Raised by each claim.
    pub fence: i64,
}

fn columns(leases: &[Lease]) -> (Vec<i64>, Vec<i64>) {
    leases.iter().map(|lease| (lease.job, lease.fence)).unzip()
}

impl Store {
    /// Enqueues jobs of one kind in one statement; returns the number of jobs to run.
    pub async fn enqueue(&self, kind: &str, keys: &[String], payloads: &[Value]) -> Result<u64> {
        self.pool.run(async |connection| enqueue(connection, kind, keys, payloads).await).await
    }

    /// Enqueues jobs in one transaction; returns the number of jobs to run.
    pub async fn enqueue_jobs(&self, jobs: &[NewJob]) -> Result<u64> {
        self.pool.transact(async |connection| enqueue_all(connection, jobs.iter()).await).await
    }

    /// Claims jobs that are due: those that must run alone first, then by priority, time and id.
    pub async fn claim(&self, claim: Claim<'_>) -> Result<Vec<ClaimedJob>> {
        let mut claimed = match claim.fleet_limit {
            None => self.queue.run(async |connection| take(connection, claim).await).await,
            Some(most) => {
                self.queue.transact(async |connection| take_within(connection, claim, most).await).await
            }
        }?;
        // A job that must run alone may exceed the slots by one: then another waits, which is not charged for it.
        claimed.sort_unstable_by_key(|job| (!job.is_alone, Reverse(job.priority), job.lease.job));
        Ok(claimed)
    }

    /// Renews leases, and returns those that are lost: taken by others, or cancelled. A job whose row is locked, because
    /// its key is being enqueued, is still ours; its lease is renewed next time, so that the others need not wait.
    pub async fn renew(&self, leases: &[Lease], length: Duration) -> Result<Vec<Lease>> {
        let (jobs, fences) = columns(leases);
        let held = sqlx::query_scalar!(
            "with renewed as (
                 update shopkeeper.job set lease_until = now() + $3
                 where id = any (array(
                     select id from shopkeeper.job
                     where id = any ($1) and fence = any ($2) and worker is not null
                     for update skip locked
                 ))
             )
             select id from shopkeeper.job where id = any ($1) and fence = any ($2) and worker is not null",
            &jobs,
            &fences,
            interval(length),
        );
        let held = held.fetch_all(&self.renewals.within(PROMPT.min(length / 2))).await?;
        Ok(leases.iter().filter(|lease| !held.contains(&lease.job)).copied().collect())
    }

    /// Lists the jobs of a kind that a worker holds according to the database, `limit` at most.
    pub async fn claimed_by(&self, kind: &str, worker: &str, limit: usize) -> Result<Vec<Lease>> {
        let claimed = sqlx::query_as!(
            Lease,
            r#"select id as "job!", fence as "fence!" from shopkeeper.claimed_by($1, $2, $3)"#,
            kind,
            worker,
            i64::try_from(limit).unwrap_or(i64::MAX),
        );
        Ok(claimed.fetch_all(&self.queue).await?)
    }

    /// Gives back claimed jobs that never started, uncharged, and wakes the workers of their kinds. Returns their number;
    /// a job whose row is locked is left as it is.
    pub async fn give_back(&self, leases: &[Lease]) -> Result<usize> {
        let (jobs, fences) = columns(leases);
        let back = sqlx::query_scalar!(
            r#"with back as (
                 update shopkeeper.job
                 set state = 'ready', worker = null, lease_until = null, attempts = attempts - 1, dirty = false
                 where id = any (array(
                     select id from shopkeeper.job
                     where id = any ($1) and fence = any ($2) and worker is not null
                     for update skip locked
                 ))
                 returning kind
             ), rung as (
                 select pg_notify('shopkeeper_job', kind), jobs
                 from (select kind, count(*) as jobs from back group by kind) as kinds
             )
             select coalesce(sum(jobs), 0)::bigint as "back!" from rung"#,
            &jobs,
            &fences,
        );
        Ok(usize::try_from(back.fetch_one(&self.queue).await?).unwrap_or_default())
    }

    /// Wakes the workers of a kind, in all daemons.
    pub async fn ring(&self, kind: &str) -> Result<()> {
        self.queue.run(async |connection| ring(connection, kind).await).await
    }
}

/// Locks the row of a job until the transaction ends; waits for a concurrent lock on it. Fails unless the job is held
/// under this lease then.
pub(super) async fn require_held(connection: &mut PgConnection, lease: Lease) -> Result<()> {
    let held = sqlx::query!(
        "select id from shopkeeper.job where id = $1 and fence = $2 and worker is not null for update",
        lease.job,
        lease.fence,
    );
    held.fetch_optional(connection).await?.map(drop).ok_or(StoreError::LeaseLost(lease.job))
}

async fn ring(connection: &mut PgConnection, kind: &str) -> Result<()> {
    sqlx::query!("select pg_notify('shopkeeper_job', $1)", kind).fetch_one(connection).await?;
    Ok(())
}

/// Locks the row of a kind until the transaction ends, and creates it first if there is none.
async fn lock_kind(connection: &mut PgConnection, kind: &str) -> Result<()> {
    loop {
        let locked = sqlx::query!("select kind from shopkeeper.queue_kind where kind = $1 for update", kind)
            .fetch_optional(&mut *connection)
            .await?;
        if locked.is_some() {
            return Ok(());
        }
        sqlx::query!("insert into shopkeeper.queue_kind (kind) values ($1) on conflict do nothing", kind)
            .execute(&mut *connection)
            .await?;
    }
}

/// Claims no more jobs than the limit over all daemons allows. Counting takes the lock of the kind's row, until the claim
/// can be seen.
async fn take_within(
    connection: &mut PgConnection,
    claim: Claim<'_>,
    fleet_limit: u32,
) -> Result<Vec<ClaimedJob>> {
    lock_kind(connection, claim.kind).await?;
    let running = sqlx::query_scalar!(
        r#"select count(*) as "count!" from shopkeeper.job where kind = $1 and state = 'running'"#,
        claim.kind
    );
    let running = running.fetch_one(&mut *connection).await?;
    let free = fleet_limit.saturating_sub(u32::try_from(running).unwrap_or(u32::MAX));
    let lone = claim.lone.min(free);
    take(connection, Claim { limit: claim.limit.min(free - lone), lone, ..claim }).await
}

async fn take(connection: &mut PgConnection, claim: Claim<'_>) -> Result<Vec<ClaimedJob>> {
    let rows = sqlx::query!(
        r#"
        select id as "id!", fence as "fence!", key, payload as "payload!", priority as "priority!",
            attempts as "attempts!", max_attempts as "max_attempts!",
            extract(epoch from now() - greatest(run_at, created_at))::double precision as "waited!", traceparent,
            extract(epoch from time_limit)::double precision as time_limit, alone as "alone!"
        from shopkeeper.claim($1, $2, $3, $4, $5, $6, $7)
        "#,
        claim.kind,
        i64::from(claim.limit),
        claim.shared,
        i64::from(claim.lone),
        claim.worker,
        interval(claim.lease),
        i32::try_from(claim.max_attempts).unwrap_or(i32::MAX),
    );
    let rows = rows.fetch_all(connection).await?;
    let claimed = rows.into_iter().map(|row| ClaimedJob {
        lease: Lease { job: row.id, fence: row.fence },
        key: row.key,
        payload: row.payload,
        priority: row.priority,
        attempt: row.attempts.unsigned_abs(),
        max_attempts: row.max_attempts.unsigned_abs(),
        waited: Duration::try_from_secs_f64(row.waited).unwrap_or_default(),
        traceparent: row.traceparent,
        time_limit: row.time_limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        is_alone: row.alone,
    });
    Ok(claimed.collect())
}

/// Makes a job due that waits for its next attempt.
pub(super) async fn hasten(connection: &mut PgConnection, kind: &str, key: &str) -> Result<()> {
    let query = sqlx::query!(
        "update shopkeeper.job set state = 'ready', run_at = now()
         where kind = $1 and key = $2 and state = 'scheduled'",
        kind,
        key,
    );
    query.execute(&mut *connection).await?;
    ring(connection, kind).await
}

/// Enqueues jobs of any kinds in the caller's transaction.
async fn enqueue_all(connection: &mut PgConnection, jobs: impl Iterator<Item = &NewJob>) -> Result<u64> {
    let mut by_kind: BTreeMap<_, (Vec<_>, Vec<_>)> = BTreeMap::new();
    for job in jobs {
        let (keys, payloads) = by_kind.entry(job.kind).or_default();
        keys.push(job.key.clone());
        payloads.push(job.payload.clone());
    }
    let mut enqueued = 0;
    for (kind, (keys, payloads)) in by_kind {
        enqueued += enqueue(connection, kind, &keys, &payloads).await?;
    }
    Ok(enqueued)
}

/// Enqueues jobs of one kind in the caller's transaction.
pub(super) async fn enqueue(
    connection: &mut PgConnection,
    kind: &str,
    keys: &[String],
    payloads: &[Value],
) -> Result<u64> {
    enqueue_at(connection, kind, keys, payloads, None).await
}

/// Enqueues jobs of one kind in the caller's transaction; `run_at` is when they are due, unless now.
pub(super) async fn enqueue_at(
    connection: &mut PgConnection,
    kind: &str,
    keys: &[String],
    payloads: &[Value],
    run_at: Option<DateTime<Utc>>,
) -> Result<u64> {
    let enqueued = sqlx::query_scalar!(
        "select shopkeeper.enqueue_many($1::text, $2::text[], $3::jsonb[], run_at => coalesce($4, now()))",
        kind,
        keys,
        payloads,
        run_at,
    );
    let enqueued = enqueued.fetch_one(connection).await?;
    Ok(enqueued.unwrap_or_default().unsigned_abs())
}

pub(super) fn interval(length: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(length.as_micros()).unwrap_or(i64::MAX) }
}
