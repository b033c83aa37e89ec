//! Jobs at nominal ticks of the clock, each tick once on any number of hosts.
//!
//! tokio-cron-scheduler wakes us every second; which ticks are due we compute ourselves, because its time zones
//! do not know daylight saving and its store does not lock. The time is the database's, so that hosts whose
//! clocks differ agree. A tick's row and its jobs are written in one transaction: whoever is first has done
//! it, and who dies in between has done nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::store::{
    Store, StoreError,
    schedules::{Firing, ScheduleState},
};

mod ticks;

pub use ticks::Ticks;

/// What is done about missed ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CatchUp {
    Latest,
    Skip,
    All,
}

/// A job at ticks of the clock.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Schedule {
    /// Unique.
    pub name: String,
    pub ticks: Ticks,
    pub catch_up: CatchUp,
    /// Leave a job out that is still there from before.
    pub skip_live: bool,
    /// The longest random delay of the jobs.
    pub jitter: Duration,
    /// The longest that one run of them may take; none is no limit.
    pub time_limit: Option<Duration>,
    pub kind: &'static str,
    /// One job for each key.
    pub keys: Vec<String>,
    pub payloads: Vec<Value>,
}

/// Ticks younger than this are in time, and each of them fires: it is longer than one round takes, also when a schedule
/// waits for a lock until it is given up.
const PUNCTUAL: TimeDelta = TimeDelta::seconds(20);
/// After this time in one round, missed ticks wait for the next round: the ticks of other schedules may be due by then.
const ENOUGH: Duration = Duration::from_secs(5);
/// The most ticks of one schedule that fire in one round.
const MOST: usize = 1000;
/// How far back the latest missed tick is searched for, step by step.
const LOOK_BACK: [TimeDelta; 5] = [
    TimeDelta::minutes(1),
    TimeDelta::hours(1),
    TimeDelta::days(1),
    TimeDelta::days(32),
    TimeDelta::days(400),
];

/// The ticks that are to fire now, the oldest first. None fires twice, so that a clock which was ahead when the last
/// one fired keeps none back.
fn due(schedule: &Schedule, last_at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let last_at = if last_at > now { now - PUNCTUAL } else { last_at };
    let between = |from: DateTime<Utc>, to: DateTime<Utc>| {
        std::iter::successors(schedule.ticks.after(from), |tick| schedule.ticks.after(*tick))
            .take_while(move |tick| *tick <= to)
    };
    let punctual = last_at.max(now - PUNCTUAL);
    if schedule.catch_up == CatchUp::All {
        return between(last_at, now).take(MOST).collect();
    }
    let mut due: Vec<_> = between(punctual, now).take(MOST).collect();
    if schedule.catch_up == CatchUp::Latest && due.is_empty() && last_at < punctual {
        let latest =
            LOOK_BACK.iter().find_map(|back| between(last_at.max(punctual - *back), punctual).last());
        due.extend(latest);
    }
    due
}

const SECOND: Duration = Duration::from_secs(1);

/// Fires the ticks of schedules until stopped.
pub(super) async fn keep(store: &Store, schedules: &[Schedule], stop: &CancellationToken) {
    let second = Arc::new(Notify::new());
    let mut ticker = match ticker(&second).await {
        Ok(ticker) => ticker,
        Err(error) => {
            tracing::error!(%error, "schedules do not run: the ticker cannot be started");
            return;
        }
    };
    let mut is_reachable = true;
    while !stop.is_cancelled() {
        let round = fire_all(store, schedules, stop).await;
        if let (true, Err(error)) = (is_reachable, &round) {
            tracing::warn!(%error, "schedules cannot be checked; retrying");
        }
        is_reachable = round.is_ok();
        tokio::select! {
            () = stop.cancelled() => {}
            () = second.notified() => {}
            // The ticker waits for the host's clock, which may be set back.
            () = tokio::time::sleep(2 * SECOND) => {}
        }
    }
    if let Err(error) = ticker.shutdown().await {
        tracing::debug!(%error, "the ticker did not stop in order");
    }
}

/// Rings every second.
async fn ticker(second: &Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let second = second.clone();
    let ring = Job::new("* * * * * *", move |_, _| second.notify_one())?;
    scheduler.add(ring).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

async fn fire_all(store: &Store, schedules: &[Schedule], stop: &CancellationToken) -> Result<(), StoreError> {
    let until = Instant::now() + ENOUGH;
    let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.clone()).collect();
    let (now, states) = store.schedules(&names).await?;
    // Two at once: a schedule whose job is locked holds up no other, and many schedules take no more connections.
    let mut due = Vec::new();
    for schedule in schedules {
        if let Some(state) = states.iter().find(|state| state.name == schedule.name) {
            due.push(fire_due(store, schedule, state, now, until, stop));
        }
    }
    let fired: Vec<_> = stream::iter(due).buffer_unordered(2).collect().await;
    fired.into_iter().collect()
}

async fn fire_due(
    store: &Store,
    schedule: &Schedule,
    state: &ScheduleState,
    now: DateTime<Utc>,
    until: Instant,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    if state.paused {
        return Ok(());
    }
    for (n, tick) in due(schedule, state.last_at, now).into_iter().enumerate() {
        if stop.is_cancelled() || n > 0 && tick < now - PUNCTUAL && Instant::now() > until {
            break;
        }
        let jitter = schedule.jitter.mul_f64(rand::random());
        let firing = Firing {
            schedule: &schedule.name,
            tick,
            kind: schedule.kind,
            keys: &schedule.keys,
            payloads: &schedule.payloads,
            run_at: tick + TimeDelta::from_std(jitter).unwrap_or_default(),
            skip_live: schedule.skip_live,
            time_limit: schedule.time_limit,
        };
        if let Some(jobs) = store.fire(&firing).await? {
            tracing::info!(schedule = schedule.name, %tick, jobs, "schedule `{}` fired", schedule.name);
            crate::telemetry::schedule_fired(&schedule.name, tick);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn schedule(cron: &str, catch_up: CatchUp) -> Schedule {
        Schedule {
            name: "s".into(),
            ticks: Ticks::new(cron, Tz::UTC).unwrap(),
            catch_up,
            skip_live: false,
            jitter: Duration::ZERO,
            time_limit: None,
            kind: "k",
            keys: Vec::new(),
            payloads: Vec::new(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn missed_ticks_are_caught_up_as_the_schedule_says() {
        let (last, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-03T00:30:00Z"));
        let due = |catch_up| due(&schedule("0 * * * *", catch_up), last, now);
        assert_eq!(due(CatchUp::Latest), [at("2026-01-03T00:00:00Z")]);
        assert!(due(CatchUp::Skip).is_empty());
        assert_eq!(due(CatchUp::All).len(), 48);
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_last_tick_keeps_none_back() {
        let (ahead, now) = (at("2027-01-01T00:00:00Z"), at("2026-01-03T00:00:05Z"));
        for catch_up in [CatchUp::Latest, CatchUp::Skip, CatchUp::All] {
            assert_eq!(due(&schedule("0 * * * *", catch_up), ahead, now), [at("2026-01-03T00:00:00Z")]);
        }
    }

    #[test]
    fn ticks_in_time_are_all_seen_to() {
        for catch_up in [CatchUp::Latest, CatchUp::Skip, CatchUp::All] {
            let due = due(
                &schedule("* * * * * *", catch_up),
                at("2026-01-01T00:00:00Z"),
                at("2026-01-01T00:00:03.5Z"),
            );
            assert_eq!(due.len(), 3, "{catch_up:?}");
        }
    }
}
