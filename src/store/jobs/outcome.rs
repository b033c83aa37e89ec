//! How jobs end: done, tried again, or dead.
//!
//! A batch of ends waits for nobody: a job whose row somebody has locked, because he is enqueueing its key
//! in a transaction of his own, is left out and said to be busy.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use serde::Serialize;
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
    /// The same, and alone: its run crashed.
    Crash(Duration),
    /// It is tried again at once and alone, and this attempt is not counted: a run of many crashed.
    Suspect,
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

/// What happens when a job dies or is cancelled: what it was for ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDead {
    /// It is written to the history.
    Nothing,
    /// Its answer fails, and a human is asked for.
    FailAnswers,
    /// Its delivery fails.
    FailDeliveries,
    /// Its document is marked as failed.
    FailDocuments,
}

impl OnDead {
    /// The function of our schema that is given the rows of the history.
    pub(super) fn function(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::FailAnswers => Some("give_up_answers"),
            Self::FailDeliveries => Some("give_up_deliveries"),
            Self::FailDocuments => Some("give_up_documents"),
        }
    }
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
struct JobEnd {
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
        let failures = serde_json::to_value(failed.iter().map(Row::from).collect::<Vec<_>>());
        let failures = failures.map_err(|error| StoreError::Failed(error.to_string()))?;
        self.promptly(async |connection| {
            let mut transaction = connection.begin().await?;
            let ended = sqlx::query_as!(
                JobEnd,
                r#"select id as "id!", kind as "kind!", group_key, again as "again!" from shopkeeper.fail($1)"#,
                failures,
            );
            let ended = ended.fetch_all(&mut *transaction).await?;
            let written = go_on(&mut transaction, ended).await?;
            let unwritten = unwritten(&mut transaction, &leases, &written).await?;
            transaction.commit().await?;
            Ok(unwritten)
        })
        .await
    }
}

/// A failure as `shopkeeper.fail` takes it.
#[derive(Serialize)]
struct Row<'a> {
    job: i64,
    fence: i64,
    /// In seconds.
    delay: f64,
    charged: bool,
    dead: bool,
    alone: bool,
    error: String,
    waits_for: Option<&'static str>,
    waits_server: Option<&'a str>,
    waits_model: Option<&'a str>,
    rejected_by: Option<&'a str>,
}

impl<'a> From<&'a Failed> for Row<'a> {
    fn from(failed: &'a Failed) -> Self {
        let row = Self {
            job: failed.lease.job,
            fence: failed.lease.fence,
            delay: 0.0,
            charged: false,
            dead: false,
            alone: false,
            error: failed.error.chars().take(MAX_ERROR_CHARS).collect::<String>().replace('\0', "\u{fffd}"),
            waits_for: None,
            waits_server: None,
            waits_model: None,
            rejected_by: None,
        };
        match &failed.failure {
            Failure::Retry(after) => Self { delay: after.as_secs_f64(), charged: true, ..row },
            Failure::Crash(after) => Self { delay: after.as_secs_f64(), charged: true, alone: true, ..row },
            Failure::Suspect => Self { alone: true, ..row },
            Failure::Snooze(after) => Self { delay: after.as_secs_f64(), ..row },
            Failure::PutOff(after, waits_for) => {
                let of = if let WaitsFor::RateLimit(of) = waits_for { Some(of) } else { None };
                let (server, model) = (of.map(|of| of.server.as_str()), of.map(|of| of.model.as_str()));
                let delay = after.as_secs_f64();
                Self {
                    delay,
                    waits_for: Some(waits_for.word()),
                    waits_server: server,
                    waits_model: model,
                    ..row
                }
            }
            Failure::Dead => Self { dead: true, ..row },
            Failure::Rejected { by } => Self { dead: true, rejected_by: Some(by), ..row },
        }
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

async fn end(connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<JobEnd>, StoreError> {
    let (jobs, fences) = columns(leases);
    let ended = sqlx::query_as!(
        JobEnd,
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
async fn go_on(connection: &mut PgConnection, ended: Vec<JobEnd>) -> Result<BTreeSet<i64>, StoreError> {
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
