//! The ticks of schedules: each is seen to once, by whichever daemon comes first.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Store, StoreError, jobs};

/// What the database knows of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// The last tick that was seen to; at first, when the schedule was first seen.
    pub last_at: DateTime<Utc>,
    /// Whether ticks pass without effect.
    pub paused: bool,
}

/// A schedule as those see it who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSchedule {
    /// Its name.
    pub name: String,
    /// The last tick that fired.
    pub fired_at: Option<DateTime<Utc>>,
    /// Whether ticks pass without effect.
    pub paused: bool,
}

/// A tick of a schedule, and what it enqueues.
#[derive(Clone, Debug)]
pub struct Firing<'a> {
    /// The schedule's name.
    pub schedule: &'a str,
    /// The nominal instant.
    pub tick: DateTime<Utc>,
    /// The kind of job.
    pub kind: &'a str,
    /// One job for each key.
    pub keys: &'a [String],
    /// Their arguments.
    pub payloads: &'a [Value],
    /// When they are due.
    pub run_at: DateTime<Utc>,
    /// Leave out jobs that are still there from before.
    pub skip_live: bool,
    /// The longest that one run of them may take; none is no limit.
    pub time_limit: Option<Duration>,
}

impl Store {
    /// The time by the database's clock, which is the same for all daemons, and the schedules by name.
    /// Those that were never seen begin now.
    pub async fn schedules(
        &self,
        names: &[String],
    ) -> Result<(DateTime<Utc>, Vec<ScheduleState>), StoreError> {
        self.queue.run(async |connection| {
            let known = read(connection, names).await?;
            if known.1.len() == names.len() {
                return Ok(known);
            }
            sqlx::query!(
                "insert into shopkeeper.schedule (name) select unnest($1::text[]) on conflict (name) do nothing",
                names,
            )
            .execute(&mut *connection)
            .await?;
            read(connection, names).await
        })
        .await
    }

    /// The schedules that daemons have seen, for those who look.
    pub async fn schedule_states(&self) -> Result<Vec<SeenSchedule>, StoreError> {
        let seen = sqlx::query_as!(
            SeenSchedule,
            r#"select name, paused_at is not null as "paused!",
                   (select max(tick) from shopkeeper.schedule_tick as tick where tick.schedule = schedule.name) as fired_at
               from shopkeeper.schedule order by name"#
        );
        Ok(seen.fetch_all(&self.pool).await?)
    }

    /// Sees to a tick, if nobody has: enqueues its jobs and notes it, in one transaction. Says how many
    /// jobs there are to run; none when somebody was first.
    pub async fn fire(&self, firing: &Firing<'_>) -> Result<Option<u64>, StoreError> {
        self.queue.transact(async |connection| fire(connection, firing).await).await
    }

    /// Lets the ticks of a schedule pass without effect, from now on.
    pub async fn pause_schedule(&self, name: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.schedule (name, paused_at) values ($1, now())
             on conflict (name) do update set paused_at = coalesce(schedule.paused_at, excluded.paused_at)",
            name,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets a schedule fire again. What passed while it was paused is not caught up.
    pub async fn resume_schedule(&self, name: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "update shopkeeper.schedule set paused_at = null, last_at = now()
             where name = $1 and paused_at is not null",
            name,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes one batch of the notes of ticks that are older than this; says how many.
    pub async fn prune_ticks(&self, older_than: Duration) -> Result<u64, StoreError> {
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

/// The time by the database's clock, and the schedules by name that were seen.
async fn read(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<(DateTime<Utc>, Vec<ScheduleState>), StoreError> {
    let rows = sqlx::query!(
        r#"select now() as "now!", name as "name?", last_at as "last_at?", paused_at is not null as "paused!"
           from (select) as one left join shopkeeper.schedule on name = any ($1)"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    let now = rows.first().map_or_else(Default::default, |row| row.now);
    let states = rows
        .into_iter()
        .filter_map(|row| Some(ScheduleState { name: row.name?, last_at: row.last_at?, paused: row.paused }));
    Ok((now, states.collect()))
}

async fn fire(connection: &mut PgConnection, firing: &Firing<'_>) -> Result<Option<u64>, StoreError> {
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
        )
        .fetch_all(&mut *connection)
        .await?;
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
        sqlx::query!(
            "update shopkeeper.job set time_limit = $3 where kind = $1 and key = any ($2) and created_at = now()",
            firing.kind,
            &keys,
            limit,
        )
        .execute(&mut *connection)
        .await?;
        enqueued
    };
    sqlx::query!(
        "with noted as (
             update shopkeeper.schedule set last_at = case when last_at > now() then $2 else greatest(last_at, $2) end where name = $1
         )
         update shopkeeper.schedule_tick set enqueued = $3 where schedule = $1 and tick = $2",
        firing.schedule,
        firing.tick,
        i32::try_from(enqueued).unwrap_or(i32::MAX),
    )
    .execute(&mut *connection)
    .await?;
    Ok(Some(enqueued))
}
