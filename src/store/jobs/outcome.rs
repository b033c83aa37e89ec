//! How jobs end: done, tried again, or dead.
//!
//! A batch of ends waits for no lock: a job whose row is locked, because another transaction enqueues its key, is left out
//! and reported as busy.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{Lease, NewJob, columns, enqueue_all, require_held, ring};
use crate::store::{Result, Store, StoreError, usage::ModelAddress};

/// A run of a job that is over.
#[derive(Clone, Debug)]
pub struct JobEnd {
    /// The right to write it.
    pub lease: Lease,
    /// How it ended.
    pub ending: Ending,
}

impl JobEnd {
    /// The end of a job that is done.
    pub fn done(lease: Lease, follow_ups: Vec<NewJob>) -> Self {
        Self { lease, ending: Ending::Done(follow_ups) }
    }

    /// The end of a run that failed.
    pub fn failed(lease: Lease, failure: Failure, error: String) -> Self {
        Self { lease, ending: Ending::Failed(failure, error) }
    }
}

/// How a run of a job ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The job is done; these follow from it.
    Done(Vec<NewJob>),
    /// The job continues as the failure says; the text is its error.
    Failed(Failure, String),
}

/// How a job that did not succeed goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is tried again after this time; its last attempt makes it dead.
    Retry(Duration),
    /// The same, and alone: its run crashed.
    Crash(Duration),
    /// It is tried again at once and alone, and this attempt is not counted: a run of many crashed.
    Suspect,
    /// It is tried again after this time, and this attempt is not counted. It may wait for something that is named.
    Snooze(Duration, Option<WaitsFor>),
    /// It is dead at once.
    Dead {
        /// The address of the model server that will never accept what was asked, if that is why.
        rejected_by: Option<String>,
    },
}

/// What ends with a job that dies or is cancelled. The words are functions of our schema, which are given rows of the
/// history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(prefix = "give_up_", serialize_all = "snake_case")]
pub enum OnDead {
    /// Its answer fails, and a human is asked for.
    Answers,
    /// Its delivery fails.
    Deliveries,
    /// Its document is marked as failed.
    Documents,
}

/// What a job that was put off waits for.
#[derive(Clone, Debug, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(WaitReason),
    doc = "The words for what a job waits for.",
    derive(serde::Serialize, sqlx::Type, strum::IntoStaticStr, strum::VariantNames),
    serde(rename_all = "snake_case"),
    sqlx(type_name = "text", rename_all = "snake_case"),
    strum(serialize_all = "snake_case")
)]
pub enum WaitsFor {
    /// The budget of requests and tokens of a model.
    RateLimit(ModelAddress),
    /// Tomorrow's money.
    DailyBudget,
    /// The release of the stop button.
    Stop,
}

/// Characters of an error that are kept.
const MAX_ERROR_CHARS: usize = 2000;

/// Ends that were not written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnwrittenEnds {
    /// Taken by others, or cancelled.
    pub lost: Vec<Lease>,
    /// Still held, but the row of the job is locked: to be tried again.
    pub busy: Vec<Lease>,
}

/// A job whose end was written.
struct EndedJob {
    id: i64,
    kind: String,
    group_key: Option<String>,
    /// Whether it can be claimed at once.
    again: bool,
}

impl Store {
    /// Writes how jobs ended, and enqueues what follows from them, in one transaction; nothing follows from jobs whose end
    /// was not written. Done jobs leave the queue; the others go back, or into the history as dead. A job that was
    /// enqueued again while it ran goes on in any case, with all its attempts before it.
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
                unwritten(connection, ends, &written).await
            })
            .await
    }
}

/// A failure as `shopkeeper.fail` takes it.
fn row(lease: Lease, failure: &Failure, error: &str) -> Value {
    let (delay, is_charged, is_dead, is_alone) = match failure {
        Failure::Retry(after) => (*after, true, false, false),
        Failure::Crash(after) => (*after, true, false, true),
        Failure::Suspect => (Duration::ZERO, false, false, true),
        Failure::Snooze(after, _) => (*after, false, false, false),
        Failure::Dead { .. } => (Duration::ZERO, false, true, false),
    };
    let rejected_by = if let Failure::Dead { rejected_by } = failure { rejected_by.as_deref() } else { None };
    let waits_for = if let Failure::Snooze(_, waits_for) = failure { waits_for.as_ref() } else { None };
    let model = if let Some(WaitsFor::RateLimit(model)) = waits_for { Some(model) } else { None };
    json!({
        "job": lease.job,
        "fence": lease.fence,
        "delay": delay.as_secs_f64(),
        "charged": is_charged,
        "dead": is_dead,
        "alone": is_alone,
        "error": error.chars().take(MAX_ERROR_CHARS).collect::<String>().replace('\0', "\u{fffd}"),
        "waits_for": waits_for.map(|waits_for| <&str>::from(WaitReason::from(waits_for))),
        "waits_server": model.map(|model| &model.server),
        "waits_model": model.map(|model| &model.model),
        "rejected_by": rejected_by,
    })
}

/// Completes a job in the caller's transaction: into the history, or back into the queue when it was
/// enqueued again while it ran.
pub(in crate::store) async fn complete(connection: &mut PgConnection, lease: Lease) -> Result<()> {
    let mut ended = finish(connection, &[lease]).await?;
    if ended.is_empty() {
        require_held(connection, lease).await?;
        ended = finish(connection, &[lease]).await?;
    }
    let written = advance(connection, ended).await?;
    if written.is_empty() { Err(StoreError::LeaseLost(lease.job)) } else { Ok(()) }
}

/// Completes the jobs that are held in the caller's transaction, and returns their ids. Jobs whose rows are locked are left
/// out.
pub(in crate::store) async fn complete_all(
    connection: &mut PgConnection,
    leases: &[Lease],
) -> Result<BTreeSet<i64>> {
    let ended = finish(connection, leases).await?;
    advance(connection, ended).await
}

async fn finish(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<EndedJob>> {
    let (jobs, fences) = columns(leases);
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

/// Lets the next job of each group run, wakes the workers of jobs that can run again, and returns the ids of those that
/// ended.
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

/// Parts the ends that were not written into those of jobs that are no longer held and the others.
async fn unwritten(
    connection: &mut PgConnection,
    ends: &[JobEnd],
    written: &BTreeSet<i64>,
) -> Result<UnwrittenEnds> {
    let left = ends.iter().map(|end| end.lease).filter(|lease| !written.contains(&lease.job));
    let left: Vec<_> = left.collect();
    if left.is_empty() {
        return Ok(UnwrittenEnds::default());
    }
    let (jobs, fences) = columns(&left);
    let held = sqlx::query_scalar!(
        "select id from shopkeeper.job where id = any ($1) and fence = any ($2) and worker is not null",
        &jobs,
        &fences,
    );
    let held = held.fetch_all(connection).await?;
    let (busy, lost) = left.into_iter().partition(|lease| held.contains(&lease.job));
    Ok(UnwrittenEnds { lost, busy })
}
