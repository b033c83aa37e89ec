//! The ticks of schedules: each fires once, in whichever daemon comes first.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Result, Store, jobs};

/// What the database knows of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// The last tick that fired or was skipped; at first, when the schedule was first seen.
    pub last_at: DateTime<Utc>,
    /// Whether ticks pass without effect.
    pub paused: bool,
}

/// A schedule as those see it who look.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SeenSchedule {
    pub name: String,
    pub fired_at: Option<DateTime<Utc>>,
    /// Whether ticks pass without effect.
    pub paused: bool,
}

/// A tick of a schedule, and what it enqueues.
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
    /// Leave out jobs that are still there from before.
    pub skip_live: bool,
    /// The longest that one run of them may take; none is no limit.
    pub time_limit: Option<Duration>,
}

impl Store {
    /// The time by the database's clock, which is the same for all daemons, and the schedules by name.
    /// Those that were never seen begin now.
    pub async fn schedules(&self, names: &[String]) -> Result<(DateTime<Utc>, Vec<ScheduleState>)> {
        let rows = sqlx::query!(
            r#"with seen as (
                 insert into shopkeeper.schedule (name) select unnest($1::text[]) on conflict (name) do nothing
                 returning name, last_at, paused_at
             ), known as (
                 select name, last_at, paused_at from shopkeeper.schedule where name = any ($1)
                 union all select * from seen
             )
             select now() as "now!", name as "name?", last_at as "last_at?", paused_at is not null as "paused!"
             from (select) as one left join known on true"#,
            names,
        );
        let rows = rows.fetch_all(&self.queue).await?;
        let now = rows.first().map_or_else(Default::default, |row| row.now);
        let states = rows.into_iter().filter_map(|row| {
            Some(ScheduleState { name: row.name?, last_at: row.last_at?, paused: row.paused })
        });
        Ok((now, states.collect()))
    }

    /// The schedules that daemons have seen, for operators.
    pub async fn schedule_states(&self) -> Result<Vec<SeenSchedule>> {
        let seen = sqlx::query_as!(
            SeenSchedule,
            r#"select name, paused_at is not null as "paused!",
                   (select max(tick) from shopkeeper.schedule_tick as tick where tick.schedule = schedule.name) as fired_at
               from shopkeeper.schedule order by name"#
        );
        Ok(seen.fetch_all(&self.pool).await?)
    }

    /// Enqueues the jobs of a tick and notes the tick, in one transaction. Returns the number of jobs to run, or `None` if
    /// another daemon was first.
    pub async fn fire(&self, firing: &Firing<'_>) -> Result<Option<u64>> {
        self.queue.transact(async |connection| fire(connection, firing).await).await
    }

    /// Lets the ticks of a schedule pass without effect, from now on.
    pub async fn pause_schedule(&self, name: &str) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.schedule (name, paused_at) values ($1, now())
             on conflict (name) do update set paused_at = coalesce(schedule.paused_at, excluded.paused_at)",
            name,
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Lets a schedule fire again. What passed while it was paused is not caught up.
    pub async fn resume_schedule(&self, name: &str) -> Result<()> {
        let query = sqlx::query!(
            "update shopkeeper.schedule set paused_at = null, last_at = now()
             where name = $1 and paused_at is not null",
            name,
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Deletes one batch of ticks that are older than this; returns their number.
    pub async fn prune_ticks(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.schedule_tick where (schedule, tick) in (
                 select old.schedule, old.tick from shopkeeper.schedule_tick as old
                 join shopkeeper.schedule on schedule.name = old.schedule
                 where old.tick < schedule.last_at - interval '1 day' and old.fired_at < now() - $1::interval
                 limit 10000
             )",
            jobs::interval(older_than),
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}

async fn fire(connection: &mut PgConnection, firing: &Firing<'_>) -> Result<Option<u64>> {
    let is_first = sqlx::query!(
        "insert into shopkeeper.schedule_tick (schedule, tick, enqueued) values ($1, $2, 0)
         on conflict (schedule, tick) do nothing",
        firing.schedule,
        firing.tick,
    )
    .execute(&mut *connection)
    .await?
    .rows_affected()
        == 1;
    if !is_first {
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
        let limit = firing.time_limit.map(jobs::interval);
        let enqueued =
            jobs::enqueue_at(connection, firing.kind, &keys, &payloads, Some(firing.run_at)).await?;
        // Only rows that this transaction inserted have its start as their `created_at`: a job that was merged is
        // somebody else's, and is not ours to limit.
        let query = sqlx::query!(
            "update shopkeeper.job set time_limit = $3 where kind = $1 and key = any ($2) and created_at = now()",
            firing.kind,
            &keys,
            limit,
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
