//! Leases: the right to write on behalf of a job.

use std::time::Duration;

use sqlx::PgConnection;

use super::{PROMPT, Result, Store, StoreError, interval};

/// The right to write on behalf of a job; void once another worker claims the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The id of the job.
    pub job: i64,
    /// Raised by each claim.
    pub fence: i64,
}

impl Store {
    /// Renews leases and returns the lost ones, whose job was claimed by another worker or cancelled. A job whose row
    /// is locked by an enqueueing transaction is still held; it is renewed the next time, so that the other leases need
    /// not wait.
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

    /// Lists up to `limit` jobs of a kind that the database assigns to a worker.
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

    /// Returns unstarted jobs to the queue, uncharged, and wakes their workers. Skips locked rows; returns the number.
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
}

/// Locks a job's row until the transaction ends, waiting for a concurrent lock. Fails unless the lease holds the job.
pub(in crate::store) async fn require_held(connection: &mut PgConnection, lease: Lease) -> Result<()> {
    let held = sqlx::query!(
        "select id from shopkeeper.job where id = $1 and fence = $2 and worker is not null for update",
        lease.job,
        lease.fence,
    );
    held.fetch_optional(connection).await?.map(drop).ok_or(StoreError::LeaseLost(lease.job))
}

/// Returns the ids of those jobs that are held under these leases.
pub(super) async fn held(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<i64>> {
    let (jobs, fences) = columns(leases);
    let held = sqlx::query_scalar!(
        "select id from shopkeeper.job where id = any ($1) and fence = any ($2) and worker is not null",
        &jobs,
        &fences,
    );
    Ok(held.fetch_all(connection).await?)
}

pub(super) fn columns(leases: &[Lease]) -> (Vec<i64>, Vec<i64>) {
    leases.iter().map(|lease| (lease.job, lease.fence)).unzip()
}
