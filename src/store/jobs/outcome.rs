//! How jobs end: done, tried again, or dead.
//!
//! A batch of ends waits for nobody: a job whose row somebody has locked, because he is enqueueing its key
//! in a transaction of his own, is left out and said to be busy.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use sqlx::{Connection, PgConnection};

use super::{Lease, NewJob, columns, enqueue, held, ring};
use crate::store::{Store, StoreError, usage::ModelAddress};

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
    /// The same, while it waits for this.
    PutOff(Duration, WaitsFor),
    /// It is dead at once.
    Dead,
    /// It is dead at once: a model server will never take what was asked.
    Rejected {
        /// The server's address.
        by: String,
    },
}

/// What a job waits for that was put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The budget of requests and tokens of a model.
    RateLimit(ModelAddress),
    /// Tomorrow's money.
    DailyBudget,
    /// That the stop button is let go.
    Stop,
}

impl WaitsFor {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::RateLimit(_) => "rate_limit",
            Self::DailyBudget => "daily_budget",
            Self::Stop => "stop",
        }
    }
}

/// Of an error's text, what is kept.
const MAX_ERROR_CHARS: usize = 2000;

/// Ends that were not written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Taken by others, or cancelled: nobody asks for these any more.
    pub lost: Vec<Lease>,
    /// Still held, but somebody has locked the row of the job: to be tried again.
    pub busy: Vec<Lease>,
}

/// A job whose end was written.
struct Ended {
    id: i64,
    kind: String,
    group_key: Option<String>,
    /// Whether it can be claimed at once.
    again: bool,
}

impl Store {
    /// Completes jobs and enqueues what follows from them, in one transaction; nothing follows from those
    /// whose end was not written. A job that was enqueued again while it ran goes on.
    pub async fn finish(&self, finished: &[Finished]) -> Result<Unwritten, StoreError> {
        let leases: Vec<_> = finished.iter().map(|finished| finished.lease).collect();
        self.promptly(async |connection| {
            let mut transaction = connection.begin().await?;
            let ended = end(&mut transaction, &leases).await?;
            let written = go_on(&mut transaction, ended).await?;
            let mut follow_ups: BTreeMap<_, (Vec<_>, Vec<_>)> = BTreeMap::new();
            for finished in finished.iter().filter(|finished| written.contains(&finished.lease.job)) {
                for job in &finished.follow_ups {
                    let (keys, payloads) = follow_ups.entry(job.kind).or_default();
                    keys.push(job.key.clone());
                    payloads.push(job.payload.clone());
                }
            }
            for (kind, (keys, payloads)) in follow_ups {
                enqueue(&mut transaction, kind, &keys, &payloads).await?;
            }
            let unwritten = unwritten(&mut transaction, &leases, &written).await?;
            transaction.commit().await?;
            Ok(unwritten)
        })
        .await
    }

    /// Puts jobs that did not succeed back, or into the history as dead. A job that was enqueued again
    /// while it ran always goes on, with all its attempts before it.
    pub async fn fail(&self, failed: &[Failed]) -> Result<Unwritten, StoreError> {
        let leases: Vec<_> = failed.iter().map(|failed| failed.lease).collect();
        let (jobs, fences) = columns(&leases);
        let mut delays = Vec::new();
        let (mut charged, mut dead, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let (mut waits_for, mut servers, mut models) = (Vec::new(), Vec::new(), Vec::new());
        let mut rejected_by = Vec::new();
        for failed in failed {
            let (delay, wait, rejecting) = match &failed.failure {
                Failure::Retry(delay) | Failure::Snooze(delay) => (*delay, None, None),
                Failure::PutOff(delay, wait) => (*delay, Some(wait), None),
                Failure::Dead => (Duration::ZERO, None, None),
                Failure::Rejected { by } => (Duration::ZERO, None, Some(by.clone())),
            };
            delays.push(delay.as_secs_f64());
            charged.push(!matches!(failed.failure, Failure::Snooze(_) | Failure::PutOff(..)));
            dead.push(matches!(failed.failure, Failure::Dead | Failure::Rejected { .. }));
            let of = match wait {
                Some(WaitsFor::RateLimit(of)) => Some(of),
                _ => None,
            };
            waits_for.push(wait.map(|wait| wait.word().to_owned()));
            servers.push(of.map(|of| of.server.clone()));
            models.push(of.map(|of| of.model.clone()));
            rejected_by.push(rejecting);
            errors.push(
                failed.error.chars().take(MAX_ERROR_CHARS).collect::<String>().replace('\0', "\u{fffd}"),
            );
        }
        self.promptly(async |connection| {
            let mut transaction = connection.begin().await?;
            let ended = sqlx::query_as!(
                Ended,
                r#"
                with held as materialized (
                    select job.id, job.kind, job.group_key, job.dirty, ended.error, ended.charged,
                        ended.waits_for, ended.waits_server, ended.waits_model, ended.rejected_by,
                        job.last_error is not null
                            and (job.waits_for, job.waits_server, job.waits_model)
                                is not distinct from (ended.waits_for, ended.waits_server, ended.waits_model) as waits_on,
                        case when ended.dead then 0 else ended.delay end as delay,
                        (ended.dead or (ended.charged and job.attempts >= job.max_attempts)) and not job.dirty as over
                    from unnest(
                        $1::bigint[], $2::bigint[], $3::double precision[], $4::boolean[], $5::boolean[], $6::text[],
                        $7::text[], $8::text[], $9::text[], $10::text[]
                    ) as ended (
                        id, fence, delay, charged, dead, error, waits_for, waits_server, waits_model, rejected_by
                    )
                    join shopkeeper.job as job on job.fence = ended.fence
                    where job.id = any ($1) and job.worker is not null
                    for update of job skip locked
                ), again as (
                    update shopkeeper.job as job
                    set state = case when held.delay > 0 then 'scheduled' else 'ready' end,
                        worker = null, lease_until = null, last_error = held.error, dirty = false,
                        attempts = case when held.dirty then 0 when held.charged then attempts else attempts - 1 end,
                        run_at = now() + make_interval(secs => held.delay), waits_for = held.waits_for,
                        waits_server = held.waits_server, waits_model = held.waits_model,
                        waits_since = case
                            when held.waits_for is null then null
                            when held.waits_on then coalesce(job.waits_since, now())
                            else now()
                        end
                    from held where job.id = any ($1) and job.id = held.id and not held.over
                ), gone as (
                    delete from shopkeeper.job as job using held
                    where job.id = any ($1) and job.id = held.id and held.over
                    returning job.*, held.error, held.rejected_by
                ), kept as (
                    insert into shopkeeper.job_history
                        (id, kind, key, group_key, payload, priority, outcome, error, rejected_by, attempts, max_attempts,
                         worker, traceparent, created_at, run_at, started_at)
                    select id, kind, key, group_key, payload, priority, 'dead', error, rejected_by, attempts,
                        max_attempts, worker, traceparent, created_at, run_at, started_at
                    from gone
                )
                select id as "id!", kind as "kind!", group_key, not over and delay <= 0 as "again!" from held
                "#,
                &jobs,
                &fences,
                &delays,
                &charged,
                &dead,
                &errors,
                &waits_for as &[Option<String>],
                &servers as &[Option<String>],
                &models as &[Option<String>],
                &rejected_by as &[Option<String>],
            )
            .fetch_all(&mut *transaction)
            .await?;
            let written = go_on(&mut transaction, ended).await?;
            let unwritten = unwritten(&mut transaction, &leases, &written).await?;
            transaction.commit().await?;
            Ok(unwritten)
        })
        .await
    }
}

/// Completes a job in the caller's transaction: into the history, or back into the queue when it was
/// enqueued again while it ran.
pub(in crate::store) async fn complete(
    transaction: &mut PgConnection,
    lease: Lease,
) -> Result<(), StoreError> {
    let mut ended = end(transaction, &[lease]).await?;
    if ended.is_empty() && wait_for(transaction, lease).await? {
        ended = end(transaction, &[lease]).await?;
    }
    let written = go_on(transaction, ended).await?;
    if written.is_empty() { Err(StoreError::LeaseLost(lease.job)) } else { Ok(()) }
}

/// Completes the jobs that are held in the caller's transaction, and gives their ids. One whose row
/// somebody has locked is left out.
pub(in crate::store) async fn complete_all(
    transaction: &mut PgConnection,
    leases: &[Lease],
) -> Result<BTreeSet<i64>, StoreError> {
    let ended = end(transaction, leases).await?;
    go_on(transaction, ended).await
}

/// Waits for who has locked the row of a job, and says whether it is still held then.
async fn wait_for(connection: &mut PgConnection, lease: Lease) -> Result<bool, StoreError> {
    let held = sqlx::query!(
        "select id from shopkeeper.job where id = $1 and fence = $2 and worker is not null for update",
        lease.job,
        lease.fence,
    );
    Ok(held.fetch_optional(connection).await?.is_some())
}

async fn end(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<Ended>, StoreError> {
    let (jobs, fences) = columns(leases);
    let ended = sqlx::query_as!(
        Ended,
        r#"select id as "id!", kind as "kind!", group_key, again as "again!" from shopkeeper.finish($1, $2)"#,
        &jobs,
        &fences,
    );
    Ok(ended.fetch_all(connection).await?)
}

/// Parts the ends that were not written into those of jobs that are held no more and the others.
async fn unwritten(
    connection: &mut PgConnection,
    leases: &[Lease],
    written: &BTreeSet<i64>,
) -> Result<Unwritten, StoreError> {
    let left: Vec<_> = leases.iter().filter(|lease| !written.contains(&lease.job)).copied().collect();
    if left.is_empty() {
        return Ok(Unwritten::default());
    }
    let held = held(connection, &left).await?;
    let (busy, lost) = left.into_iter().partition(|lease| held.contains(&lease.job));
    Ok(Unwritten { lost, busy })
}

/// Lets the next of each group run, wakes those who run what can run again, and gives the ids of the jobs.
async fn go_on(connection: &mut PgConnection, ended: Vec<Ended>) -> Result<BTreeSet<i64>, StoreError> {
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
