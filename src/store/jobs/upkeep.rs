//! Maintenance of the queue in bounded batches.

use std::time::Duration;

use super::{Result, Store, interval};

/// Rows that one statement changes.
const BATCH: i64 = 1000;
const PRUNE_BATCH: i64 = 10_000;

/// Delayed jobs that became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// How many.
    pub jobs: u64,
    /// Whether more may be due.
    pub is_full: bool,
    /// The time until the next one is due.
    pub next: Option<Duration>,
}

impl Store {
    /// Makes due jobs ready, and wakes the workers of their kinds.
    pub async fn promote(&self) -> Result<Promotion> {
        let row =
            sqlx::query!(r#"select promoted as "promoted!", next_in from shopkeeper.promote($1)"#, BATCH)
                .fetch_one(&self.upkeep)
                .await?;
        let next = row.next_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Promotion { jobs: row.promoted.unsigned_abs(), is_full: row.promoted >= BATCH, next })
    }

    /// Frees jobs whose lease expired because their worker is gone. Charges an attempt to those that may have started,
    /// so that a job that kills its worker dies in the end.
    pub async fn rescue(&self) -> Result<u64> {
        let freed = sqlx::query_scalar!(r#"select shopkeeper.rescue($1) as "freed!""#, BATCH);
        Ok(freed.fetch_one(&self.upkeep).await?.unsigned_abs())
    }

    /// Lets the next job of each group run where that was missed, as a worker died or a transaction was enqueueing.
    pub async fn advance_all(&self) -> Result<u64> {
        let advanced = sqlx::query_scalar!("select shopkeeper.advance_all()").fetch_one(&self.upkeep).await?;
        Ok(advanced.unwrap_or_default().unsigned_abs())
    }

    /// Does the same for one kind, over the connections of its worker.
    pub async fn advance(&self, kind: &str) -> Result<u64> {
        let advanced =
            sqlx::query_scalar!("select shopkeeper.advance($1)", kind).fetch_one(&self.queue).await?;
        Ok(advanced.unwrap_or_default().unsigned_abs())
    }

    /// Deletes one batch of finished jobs older than this, except dead ones; returns their number.
    pub async fn prune_jobs(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.job_history where ctid = any (array(
                 select ctid from shopkeeper.job_history where outcome <> 'dead' and finished_at < now() - $1::interval
                 order by finished_at limit $2
             ))",
            interval(older_than),
            PRUNE_BATCH,
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
