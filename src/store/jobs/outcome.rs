//! How jobs end: done, tried again, or dead.
//!
//! Lock order of everybody who holds several: jobs by id, then what follows from them.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use sqlx::{PgConnection, Postgres, Transaction};

use super::{Lease, NewJob, columns, enqueue};
use crate::store::{Store, StoreError};

/// A job that succeeded, and what follows from it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The right to say so.
    pub lease: Lease,
    /// Enqueued when the job is done, and only then.
    pub follow_ups: Vec<NewJob>,
}

/// A job that did not succeed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The right to say so.
    pub lease: Lease,
    /// How it goes on.
    pub failure: Failure,
    /// What went wrong.
    pub error: String,
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

/// Of an error's text, what is kept.
const MAX_ERROR_CHARS: usize = 2000;

/// A job that was held when its end was written.
struct Held {
    id: i64,
    kind: String,
    group_key: Option<String>,
}

impl Store {
    /// Completes jobs and enqueues what follows from them, in one transaction; says which leases were
    /// lost, and nothing follows from those. A job that was enqueued again while it ran goes on.
    pub async fn finish(&self, finished: &[Finished]) -> Result<Vec<Lease>, StoreError> {
        let leases: Vec<_> = finished.iter().map(|finished| finished.lease).collect();
        let mut transaction = self.pool.begin().await?;
        let held = complete_all(&mut transaction, &leases).await?;
        let held = settled(&mut transaction, held).await?;
        let mut follow_ups: BTreeMap<_, (Vec<_>, Vec<_>)> = BTreeMap::new();
        for finished in finished.iter().filter(|finished| held.contains(&finished.lease.job)) {
            for job in &finished.follow_ups {
                let (keys, payloads) = follow_ups.entry(job.kind).or_default();
                keys.push(job.key.clone());
                payloads.push(job.payload.clone());
            }
        }
        for (kind, (keys, payloads)) in follow_ups {
            enqueue(&mut transaction, kind, &keys, &payloads).await?;
        }
        transaction.commit().await?;
        Ok(leases.into_iter().filter(|lease| !held.contains(&lease.job)).collect())
    }

    /// Puts jobs that did not succeed back, or into the history as dead; says which leases were lost. A
    /// job that was enqueued again while it ran always goes on, with all its attempts before it.
    pub async fn fail(&self, failed: &[Failed]) -> Result<Vec<Lease>, StoreError> {
        let leases: Vec<_> = failed.iter().map(|failed| failed.lease).collect();
        let (jobs, fences) = columns(&leases);
        let mut delays = Vec::new();
        let (mut charged, mut dead, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for failed in failed {
            let delay = match failed.failure {
                Failure::Retry(delay) | Failure::Snooze(delay) => delay,
                Failure::Dead => Duration::ZERO,
            };
            delays.push(delay.as_secs_f64());
            charged.push(!matches!(failed.failure, Failure::Snooze(_)));
            dead.push(failed.failure == Failure::Dead);
            errors.push(
                failed.error.chars().take(MAX_ERROR_CHARS).collect::<String>().replace('\0', "\u{fffd}"),
            );
        }
        let mut transaction = self.pool.begin().await?;
        let held = sqlx::query_as!(
            Held,
            r#"
            with held as materialized (
                select job.id, job.kind, job.group_key, job.dirty, ended.error, ended.charged,
                    case when ended.dead then 0 else ended.delay end as delay,
                    (ended.dead or (ended.charged and job.attempts >= job.max_attempts)) and not job.dirty as over
                from unnest($1::bigint[], $2::bigint[], $3::double precision[], $4::boolean[], $5::boolean[], $6::text[])
                    as ended (id, fence, delay, charged, dead, error)
                join shopkeeper.job as job on job.fence = ended.fence
                where job.id = any ($1) and job.worker is not null
                order by job.id
                for update of job
            ), again as (
                update shopkeeper.job as job
                set state = case when held.delay > 0 then 'scheduled' else 'ready' end,
                    worker = null, lease_until = null, last_error = held.error, dirty = false,
                    attempts = case when held.dirty then 0 when held.charged then attempts else attempts - 1 end,
                    run_at = now() + make_interval(secs => held.delay)
                from held where job.id = any ($1) and job.id = held.id and not held.over
            ), gone as (
                delete from shopkeeper.job as job using held
                where job.id = any ($1) and job.id = held.id and held.over
                returning job.*, held.error
            ), kept as (
                insert into shopkeeper.job_history
                    (id, kind, key, group_key, payload, priority, outcome, error, attempts, max_attempts, worker,
                     traceparent, created_at, run_at, started_at)
                select id, kind, key, group_key, payload, priority, 'dead', error, attempts, max_attempts, worker,
                    traceparent, created_at, run_at, started_at
                from gone
            )
            select id as "id!", kind as "kind!", group_key from held
            "#,
            &jobs,
            &fences,
            &delays,
            &charged,
            &dead,
            &errors,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let held = settled(&mut transaction, held).await?;
        transaction.commit().await?;
        Ok(leases.into_iter().filter(|lease| !held.contains(&lease.job)).collect())
    }
}

/// Completes a job in the caller's transaction: into the history, or back into the queue when it was
/// enqueued again while it ran.
pub(in crate::store) async fn complete(
    transaction: &mut Transaction<'_, Postgres>,
    lease: Lease,
) -> Result<(), StoreError> {
    let held = complete_all(transaction, &[lease]).await?;
    let held = settled(transaction, held).await?;
    if held.is_empty() { Err(StoreError::LeaseLost(lease.job)) } else { Ok(()) }
}

async fn complete_all(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<Held>, StoreError> {
    let mut held = end(connection, leases).await?;
    if held.len() < leases.len() {
        // One that became dirty while it was being deleted was neither deleted nor seen as dirty.
        let ended: BTreeSet<_> = held.iter().map(|job| job.id).collect();
        let left: Vec<_> = leases.iter().filter(|lease| !ended.contains(&lease.job)).copied().collect();
        held.extend(end(connection, &left).await?);
    }
    Ok(held)
}

async fn end(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<Held>, StoreError> {
    let (jobs, fences) = columns(leases);
    let held = sqlx::query_as!(
        Held,
        r#"select id as "id!", kind as "kind!", group_key from shopkeeper.finish($1, $2)"#,
        &jobs,
        &fences,
    );
    Ok(held.fetch_all(connection).await?)
}

/// Lets the next of each group run, and gives the ids of the jobs.
async fn settled(connection: &mut PgConnection, held: Vec<Held>) -> Result<BTreeSet<i64>, StoreError> {
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let ids = held.iter().map(|job| job.id).collect();
    for job in held {
        if let Some(group) = job.group_key {
            groups.entry(job.kind).or_default().push(group);
        }
    }
    for (kind, keys) in groups {
        sqlx::query!("select shopkeeper.advance($1, $2)", kind, &keys).fetch_one(&mut *connection).await?;
    }
    Ok(ids)
}
