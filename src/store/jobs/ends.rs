//! Writes how jobs ended, waiting for no lock: a job whose row is locked by an enqueueing transaction counts as busy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::PgConnection;

use super::{
    Ending, JobEnd, Lease, Result, Store, StoreError, enqueue_all, lease, outcome::row, require_held, ring,
};

/// Jobs whose ends were not written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnwrittenEnds {
    /// Claimed by another worker, or cancelled.
    pub lost: Vec<Lease>,
    /// Still held, but the row is locked: to be tried again.
    pub busy: Vec<Lease>,
}

struct EndedJob {
    id: i64,
    kind: String,
    group_key: Option<String>,
    /// Whether the job is due again at once.
    again: bool,
}

impl Store {
    /// Writes how jobs ended and enqueues their follow-ups, in one transaction; a job whose end is not written has no
    /// follow-ups. Done jobs leave the queue; others return to it, or enter the history as dead. A job that was
    /// enqueued again while it ran always returns, with all its attempts.
    pub async fn end_jobs(&self, ends: &[JobEnd]) -> Result<UnwrittenEnds> {
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for JobEnd { lease, ending } in ends {
            match ending {
                Ending::Done(_) => done.push(*lease),
                Ending::Failed(failure, error) => failures.push(row(*lease, failure, error)),
            }
        }
        self.queue
            .transact(async |connection| {
                let mut ended = if done.is_empty() { Vec::new() } else { finish(connection, &done).await? };
                if !failures.is_empty() {
                    ended.extend(fail(connection, Value::Array(failures)).await?);
                }
                let written = advance(connection, ended).await?;
                let done = ends.iter().filter(|end| written.contains(&end.lease.job));
                let follow_ups = done.flat_map(|end| match &end.ending {
                    Ending::Done(follow_ups) => follow_ups.as_slice(),
                    Ending::Failed(..) => &[],
                });
                enqueue_all(connection, follow_ups).await?;
                let left = ends.iter().map(|end| end.lease).filter(|lease| !written.contains(&lease.job));
                unwritten(connection, left.collect()).await
            })
            .await
    }
}

/// Completes a job in the caller's transaction: into the history, or back into the queue if it was enqueued meanwhile.
pub(crate) async fn complete(connection: &mut PgConnection, lease: Lease) -> Result<()> {
    if complete_all(connection, &[lease]).await?.is_empty() {
        require_held(connection, lease).await?;
        if complete_all(connection, &[lease]).await?.is_empty() {
            return Err(StoreError::LeaseLost(lease.job));
        }
    }
    Ok(())
}

/// Completes in the caller's transaction those jobs that are held and whose rows are not locked; returns their ids.
pub(crate) async fn complete_all(connection: &mut PgConnection, leases: &[Lease]) -> Result<BTreeSet<i64>> {
    let ended = finish(connection, leases).await?;
    advance(connection, ended).await
}

async fn finish(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<EndedJob>> {
    let (jobs, fences) = lease::columns(leases);
    let ended = sqlx::query_as!(
        EndedJob,
        r#"select id as "id!", kind as "kind!", group_key, again as "again!" from shopkeeper.finish($1, $2)"#,
        &jobs,
        &fences,
    );
    Ok(ended.fetch_all(connection).await?)
}

async fn fail(connection: &mut PgConnection, failures: Value) -> Result<Vec<EndedJob>> {
    let ended = sqlx::query_as!(
        EndedJob,
        r#"select id as "id!", kind as "kind!", group_key, again as "again!" from shopkeeper.fail($1)"#,
        failures,
    );
    Ok(ended.fetch_all(connection).await?)
}

/// Lets the next job of each group run, wakes the workers of jobs due again, and returns the ids of the ended jobs.
async fn advance(connection: &mut PgConnection, ended: Vec<EndedJob>) -> Result<BTreeSet<i64>> {
    let (mut groups, mut again) = (BTreeMap::<_, Vec<String>>::new(), BTreeSet::new());
    let ids = ended.iter().map(|job| job.id).collect();
    for job in ended {
        if job.again {
            again.insert(job.kind.clone());
        }
        if let Some(group) = job.group_key {
            groups.entry(job.kind).or_default().push(group);
        }
    }
    for (kind, keys) in groups {
        sqlx::query!("select shopkeeper.advance($1, $2)", kind, &keys).fetch_one(&mut *connection).await?;
    }
    for kind in again {
        ring(&mut *connection, &kind).await?;
    }
    Ok(ids)
}

/// Separates jobs whose ends are not written into busy ones and those that are no longer held.
async fn unwritten(connection: &mut PgConnection, left: Vec<Lease>) -> Result<UnwrittenEnds> {
    if left.is_empty() {
        return Ok(UnwrittenEnds::default());
    }
    let held = lease::held(connection, &left).await?;
    let (busy, lost) = left.into_iter().partition(|lease| held.contains(&lease.job));
    Ok(UnwrittenEnds { lost, busy })
}
