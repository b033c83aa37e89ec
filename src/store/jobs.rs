//! The queue's table: how jobs are enqueued, claimed and ended, and what operators see of them and do to them.
//!
//! A claim returns a [`Lease`]: the job's id and a fence. Every write on behalf of a job completes the job in the same
//! transaction; `complete` fails once another worker has claimed it.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgInterval};

use super::{PROMPT, Result, Store, StoreError};

mod bulk;
mod claim;
mod control;
mod discarded;
mod ends;
mod kinds;
mod lease;
mod listing;
mod outcome;
mod shown;
mod upkeep;
mod waits;

pub use bulk::{Bulk, BulkAction, BulkState, Frozen, JobAction};
pub use claim::{Claim, ClaimedJob};
pub use control::Selection;
pub use ends::UnwrittenEnds;
pub(super) use ends::{complete, complete_all};
pub use kinds::OnDead;
pub use lease::Lease;
pub(super) use lease::require_held;
pub use listing::{JobFilter, JobRow, JobState};
pub use outcome::{AfterFailure, Ending, JobEnd};
pub use shown::{ErrorGroup, JobPlace, JobsShown};
pub use upkeep::Promotion;
pub use waits::{BudgetWait, SlotWait, WaitReason, WaitsFor};

/// A job to enqueue, in plain values, so that the caller need not know the handler.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewJob {
    pub kind: &'static str,
    /// Unique among the live jobs of the kind.
    pub key: String,
    pub payload: Value,
}

impl Store {
    /// Enqueues jobs of one kind in one statement; returns the number of jobs to run.
    pub async fn enqueue(&self, kind: &str, keys: &[String], payloads: &[Value]) -> Result<u64> {
        self.pool.run(async |connection| enqueue(connection, kind, keys, payloads, None).await).await
    }

    /// Enqueues jobs in one transaction; returns the number of jobs to run.
    pub async fn enqueue_jobs(&self, jobs: &[NewJob]) -> Result<u64> {
        self.pool.transact(async |connection| enqueue_all(connection, jobs.iter()).await).await
    }

    /// Wakes the workers of a kind in all daemons.
    pub async fn ring(&self, kind: &str) -> Result<()> {
        self.queue.run(async |connection| ring(connection, kind).await).await
    }
}

async fn enqueue_all(connection: &mut PgConnection, jobs: impl Iterator<Item = &NewJob>) -> Result<u64> {
    let mut by_kind: BTreeMap<_, (Vec<_>, Vec<_>)> = BTreeMap::new();
    for job in jobs {
        let (keys, payloads) = by_kind.entry(job.kind).or_default();
        keys.push(job.key.clone());
        payloads.push(job.payload.clone());
    }
    let mut enqueued = 0;
    for (kind, (keys, payloads)) in by_kind {
        enqueued += enqueue(connection, kind, &keys, &payloads, None).await?;
    }
    Ok(enqueued)
}

/// Enqueues jobs of one kind in the caller's transaction, due at `run_at` or now.
pub(super) async fn enqueue(
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

/// Makes a job due that waits for its next attempt.
pub(super) async fn make_due(connection: &mut PgConnection, kind: &str, key: &str) -> Result<()> {
    let query = sqlx::query!(
        "update shopkeeper.job set state = 'ready', run_at = now()
         where kind = $1 and key = $2 and state = 'scheduled'",
        kind,
        key,
    );
    query.execute(&mut *connection).await?;
    ring(connection, kind).await
}

async fn ring(connection: &mut PgConnection, kind: &str) -> Result<()> {
    sqlx::query!("select pg_notify('shopkeeper_job', $1)", kind).fetch_one(connection).await?;
    Ok(())
}

pub(super) fn interval(length: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(length.as_micros()).unwrap_or(i64::MAX) }
}
