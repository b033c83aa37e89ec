//! Fires the ticks of schedules.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::store::{
    Result, Store,
    jobs::{enqueue, interval},
};

/// A tick of a schedule, and the jobs that it enqueues.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Firing<'a> {
    pub schedule: &'a str,
    /// The nominal instant.
    pub tick: DateTime<Utc>,
    pub kind: &'a str,
    /// One job for each key.
    pub keys: &'a [String],
    pub payloads: &'a [Value],
    pub run_at: DateTime<Utc>,
    /// Whether to skip keys that still have a live job.
    pub skip_live: bool,
    /// Of each run; `None` is no limit.
    pub time_limit: Option<Duration>,
}

impl Store {
    /// Enqueues a tick's jobs and records it in one transaction; returns their number, or `None` if it fired before.
    pub async fn fire(&self, firing: &Firing<'_>) -> Result<Option<u64>> {
        self.queue.transact(async |connection| fire(connection, firing).await).await
    }
}

async fn fire(connection: &mut PgConnection, firing: &Firing<'_>) -> Result<Option<u64>> {
    let first = sqlx::query!(
        "insert into shopkeeper.schedule_tick (schedule, tick, enqueued) values ($1, $2, 0)
         on conflict (schedule, tick) do nothing",
        firing.schedule,
        firing.tick,
    );
    if first.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let (mut keys, mut payloads) = (firing.keys.to_vec(), firing.payloads.to_vec());
    if firing.skip_live {
        let live = sqlx::query_scalar!(
            r#"select key as "key!" from shopkeeper.job where kind = $1 and key = any ($2)"#,
            firing.kind,
            &keys,
        );
        let live = live.fetch_all(&mut *connection).await?;
        (keys, payloads) = keys.into_iter().zip(payloads).filter(|(key, _)| !live.contains(key)).unzip();
    }
    let enqueued = if keys.is_empty() {
        0
    } else {
        let enqueued = enqueue(connection, firing.kind, &keys, &payloads, Some(firing.run_at)).await?;
        // Limits only jobs that this transaction inserted, whose `created_at` is its start, and not those it merged.
        let query = sqlx::query!(
            "update shopkeeper.job set time_limit = $3 where kind = $1 and key = any ($2) and created_at = now()",
            firing.kind,
            &keys,
            firing.time_limit.map(interval),
        );
        query.execute(&mut *connection).await?;
        enqueued
    };
    let query = sqlx::query!(
        "with noted as (
             update shopkeeper.schedule set last_at = case when last_at > now() then $2 else greatest(last_at, $2) end where name = $1
         )
         update shopkeeper.schedule_tick set enqueued = $3 where schedule = $1 and tick = $2",
        firing.schedule,
        firing.tick,
        i32::try_from(enqueued).unwrap_or(i32::MAX),
    );
    query.execute(&mut *connection).await?;
    Ok(Some(enqueued))
}
