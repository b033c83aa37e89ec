//! Jobs at nominal ticks of the clock, each tick once on any number of hosts.
//!
//! tokio-cron-scheduler wakes us every second. We compute ourselves which ticks are due, because its time zones ignore
//! daylight saving and its store does not lock. The time is the database's, so that hosts whose clocks differ agree. A
//! tick's row and its jobs are written in one transaction: the first host fires it, and one that dies midway leaves nothing
//! behind.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::store::{
    Store, StoreError,
    schedules::{Firing, ScheduleState},
};

mod due;
mod ticks;

pub use due::{CatchUp, Schedule};
use due::{PUNCTUAL, due};
pub use ticks::Ticks;

/// After this time in one round, missed ticks wait for the next one: ticks of other schedules may be due by then.
const ENOUGH: Duration = Duration::from_secs(5);
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

/// Notifies every second.
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
