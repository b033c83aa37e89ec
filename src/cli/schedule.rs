//! `schedule`: jobs that are enqueued by the clock.

use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::{Exit, Format, NameArgument, open, output};
use crate::{daemon, queue, store::Store};

#[derive(Debug, Subcommand)]
pub(super) enum Schedule {
    /// List the schedules with their last and next ticks
    List(Format),
    /// Enqueue a schedule's jobs now
    Run(NameArgument),
    /// Ignore a schedule's ticks, in all daemons
    Pause(NameArgument),
    /// Obey a schedule's ticks again; missed ones are not caught up
    Resume(NameArgument),
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    cron: String,
    timezone: String,
    #[serde(skip)]
    zone: Tz,
    job: &'static str,
    next_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    paused: bool,
}

pub(super) async fn schedule(schedule: Schedule, path: &Path) -> anyhow::Result<()> {
    let (config, store) = open(path).await?;
    let schedules = daemon::schedules(&config)?;
    match schedule {
        Schedule::List(format) => {
            let rows = rows(&store, &schedules).await?;
            if format.json {
                return output::json(&json!({ "schedules": rows }));
            }
            show(rows);
        }
        Schedule::Run(NameArgument { name }) => {
            let queue::Schedule { kind, keys, payloads, .. } = find(&schedules, &name)?;
            let jobs = store.enqueue(kind, keys, payloads).await?;
            output::line(format!("enqueued {jobs} {kind} jobs; a running daemon runs them"));
        }
        Schedule::Pause(NameArgument { name }) => {
            store.pause_schedule(&find(&schedules, &name)?.name).await?;
            output::line(format!("{name} is paused; `shopkeeper schedule resume {name}` goes on"));
        }
        Schedule::Resume(NameArgument { name }) => {
            store.resume_schedule(&find(&schedules, &name)?.name).await?;
            output::line(format!("{name} goes on"));
        }
    }
    Ok(())
}

fn find<'a>(schedules: &'a [queue::Schedule], name: &str) -> Result<&'a queue::Schedule, Exit> {
    schedules.iter().find(|schedule| schedule.name == name).ok_or_else(|| {
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        Exit::usage(format!("there is no schedule {name:?}; there are {}", names.join(", ")))
    })
}

async fn rows(store: &Store, schedules: &[queue::Schedule]) -> anyhow::Result<Vec<Row>> {
    let states = store.schedule_states().await?;
    let now = crate::clock::now();
    let rows = schedules.iter().map(|schedule| {
        let state = states.iter().find(|state| state.name == schedule.name);
        let paused = state.is_some_and(|state| state.paused);
        Row {
            name: schedule.name.clone(),
            cron: schedule.ticks.cron().to_owned(),
            timezone: schedule.ticks.zone().name().to_owned(),
            zone: schedule.ticks.zone(),
            job: schedule.kind,
            next_at: if paused { None } else { schedule.ticks.after(now) },
            last_at: state.and_then(|state| state.fired_at),
            paused,
        }
    });
    Ok(rows.collect())
}

fn show(rows: Vec<Row>) {
    let header = ["schedule", "cron", "zone", "job", "next", "last", ""];
    let rows = rows.into_iter().map(|row| {
        let Row { name, cron, timezone, zone, job, next_at, last_at, paused } = row;
        let [next, last] = [next_at, last_at]
            .map(|at| at.map_or("-".to_owned(), |at| at.with_timezone(&zone).format("%F %T %Z").to_string()));
        let paused = if paused { "paused" } else { "" };
        vec![name, cron, timezone, job.to_owned(), next, last, paused.to_owned()]
    });
    output::table(&header, rows);
}
