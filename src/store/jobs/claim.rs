//! Claims due jobs for a worker.

use std::{cmp::Reverse, time::Duration};

use serde_json::Value;
use sqlx::PgConnection;

use super::{Lease, Result, Store, interval, kinds::lock_kind};

/// Which jobs a worker claims, and for how long.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Claim<'a> {
    pub kind: &'a str,
    /// Unique for each process.
    pub worker: &'a str,
    pub limit: u32,
    /// Whether the jobs share the worker, or wait for a slot; then none of them may be one that must run alone.
    pub shared: bool,
    /// How many more to claim of those that must run alone.
    pub lone: u32,
    /// The most jobs of the kind that run at once in all daemons; `None` is no limit.
    pub fleet_limit: Option<u32>,
    /// How long the claim lasts without renewal.
    pub lease: Duration,
    /// For jobs that do not set their own.
    pub max_attempts: u32,
}

/// A job claimed for this worker.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ClaimedJob {
    pub lease: Lease,
    pub key: Option<String>,
    pub payload: Value,
    /// Higher ones run first.
    pub priority: i16,
    /// Counts from 1.
    pub attempt: u32,
    pub max_attempts: u32,
    /// From when it was due to the claim.
    pub waited: Duration,
    pub traceparent: Option<String>,
    pub time_limit: Option<Duration>,
    /// Whether no other job runs beside it: it may have crashed its worker.
    pub is_alone: bool,
}

impl Store {
    /// Claims due jobs: those that must run alone first, then by priority, time and id.
    pub async fn claim(&self, claim: Claim<'_>) -> Result<Vec<ClaimedJob>> {
        let mut claimed = match claim.fleet_limit {
            None => self.queue.run(async |connection| take(connection, claim).await).await,
            Some(most) => {
                self.queue.transact(async |connection| take_within(connection, claim, most).await).await
            }
        }?;
        // A job that must run alone may exceed the slots by one; the job that then waits is not charged an attempt.
        claimed.sort_unstable_by_key(|job| (!job.is_alone, Reverse(job.priority), job.lease.job));
        Ok(claimed)
    }
}

/// Claims within the limit over all daemons; keeps the kind's row locked from counting until the claim is visible.
async fn take_within(connection: &mut PgConnection, claim: Claim<'_>, limit: u32) -> Result<Vec<ClaimedJob>> {
    lock_kind(connection, claim.kind).await?;
    let running = sqlx::query_scalar!(
        r#"select count(*) as "count!" from shopkeeper.job where kind = $1 and state = 'running'"#,
        claim.kind
    );
    let running = running.fetch_one(&mut *connection).await?;
    let free = limit.saturating_sub(u32::try_from(running).unwrap_or(u32::MAX));
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
