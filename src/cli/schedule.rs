//! `schedule`: when jobs are enqueued by the clock.

use std::path::Path;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::{CONFIGURATION, Exit, output, settings};
use crate::{daemon, queue::Schedule as Scheduled, store::Store};

/// Look at schedules, run or stop them
#[derive(Debug, Args)]
pub(super) struct Schedule {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the schedules with their last and next ticks
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Enqueue a schedule's jobs now
    Run {
        /// The schedule's name
        name: String,
    },
    /// Let ticks pass without effect, in all daemons
    Pause {
        /// The schedule's name
        name: String,
    },
    /// Let ticks have their effect again; what passed is not caught up
    Resume {
        /// The schedule's name
        name: String,
    },
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    cron: String,
    timezone: String,
    #[serde(skip)]
    zone: chrono_tz::Tz,
    job: &'static str,
    next_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    paused: bool,
}

pub(super) async fn schedule(schedule: Schedule, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    let schedules = daemon::schedules(&config)?;
    match schedule.verb {
        Verb::List { json: as_json } => {
            let rows = rows(&store, &schedules).await?;
            if as_json {
                return output::json(&json!({ "schedules": rows }));
            }
            show(&rows);
        }
        Verb::Run { name } => {
            let schedule = named(&schedules, &name)?;
            let jobs = store.enqueue(schedule.kind, &schedule.keys, &schedule.payloads).await?;
            output::line(format!("enqueued {jobs} {} jobs; a running daemon does them", schedule.kind));
        }
        Verb::Pause { name } => {
            store.pause_schedule(&named(&schedules, &name)?.name).await?;
            output::line(format!("{name} is paused; `shopkeeper schedule resume {name}` goes on"));
        }
        Verb::Resume { name } => {
            store.resume_schedule(&named(&schedules, &name)?.name).await?;
            output::line(format!("{name} goes on"));
        }
    }
    Ok(())
}

fn named<'a>(schedules: &'a [Scheduled], name: &str) -> Result<&'a Scheduled, Exit> {
    schedules.iter().find(|schedule| schedule.name == name).ok_or_else(|| {
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        let message = format!("there is no schedule {name:?}; there are {}", names.join(", "));
        Exit { code: CONFIGURATION, message }
    })
}

async fn rows(store: &Store, schedules: &[Scheduled]) -> anyhow::Result<Vec<Row>> {
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

fn show(rows: &[Row]) {
    let time = |at: Option<DateTime<Utc>>, zone: chrono_tz::Tz| {
        at.map_or("-".to_owned(), |at| at.with_timezone(&zone).format("%F %T %Z").to_string())
    };
    output::table(
        &["schedule", "cron", "zone", "job", "next", "last", ""],
        rows.iter().map(|row| {
            vec![
                row.name.clone(),
                row.cron.clone(),
                row.timezone.clone(),
                row.job.to_owned(),
                time(row.next_at, row.zone),
                time(row.last_at, row.zone),
                if row.paused { "paused".to_owned() } else { String::new() },
            ]
        }),
    );
}
