//! Schedules. Each tick fires once, in the first daemon that reaches it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Result, Store, jobs::interval};

mod firing;

pub use firing::Firing;

/// What a daemon needs to know of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ScheduleState {
    pub name: String,
    /// The last tick that fired or was skipped; before the first one, when the schedule was first seen.
    pub last_at: DateTime<Utc>,
    pub paused: bool,
}

/// What an operator sees of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ScheduleSummary {
    pub name: String,
    pub fired_at: Option<DateTime<Utc>>,
    pub paused: bool,
}

/// A tick that fired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FiredTick {
    pub schedule: String,
    pub tick: DateTime<Utc>,
    pub fired_at: DateTime<Utc>,
    /// The number of jobs; zero if the run before had not ended.
    pub enqueued: i32,
}

impl Store {
    /// Returns the database's time, which all daemons share, and the schedules with these names. New ones start now.
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

    /// Lists the schedules that daemons have seen, for operators.
    pub async fn schedule_states(&self) -> Result<Vec<ScheduleSummary>> {
        let seen = sqlx::query_as!(
            ScheduleSummary,
            r#"select name, paused_at is not null as "paused!",
                   (select max(tick) from shopkeeper.schedule_tick as tick where tick.schedule = schedule.name) as fired_at
               from shopkeeper.schedule order by name"#
        );
        Ok(seen.fetch_all(&self.pool).await?)
    }

    /// Lists the last ticks of each of these schedules, newest first.
    pub async fn last_ticks(&self, names: &[String], limit: u32) -> Result<Vec<FiredTick>> {
        let ticks = sqlx::query_as!(
            FiredTick,
            r#"select tick.schedule, tick.tick, tick.fired_at, tick.enqueued
               from unnest($1::text[]) as named (name)
               cross join lateral (
                   select schedule, tick, fired_at, enqueued from shopkeeper.schedule_tick
                   where schedule = named.name order by tick desc limit $2
               ) as tick"#,
            names,
            i64::from(limit),
        );
        Ok(ticks.fetch_all(&self.pool).await?)
    }

    /// Pauses a schedule: its ticks pass without effect.
    pub async fn pause_schedule(&self, name: &str) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.schedule (name, paused_at) values ($1, now())
             on conflict (name) do update set paused_at = coalesce(schedule.paused_at, excluded.paused_at)",
            name,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Resumes a schedule without catching up on missed ticks.
    pub async fn resume_schedule(&self, name: &str) -> Result<()> {
        let query = sqlx::query!(
            "update shopkeeper.schedule set paused_at = null, last_at = now()
             where name = $1 and paused_at is not null",
            name,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Deletes one batch of ticks older than this; returns their number.
    pub async fn prune_ticks(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.schedule_tick where (schedule, tick) in (
                 select old.schedule, old.tick from shopkeeper.schedule_tick as old
                 join shopkeeper.schedule on schedule.name = old.schedule
                 where old.tick < schedule.last_at - interval '1 day' and old.fired_at < now() - $1::interval
                 limit 10000
             )",
            interval(older_than),
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
