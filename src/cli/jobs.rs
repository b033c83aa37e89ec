//! `jobs`: jobs in the queue, and finished ones.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Exit, open, output, queue, words};
use crate::daemon;
use crate::store::jobs::{JobFilter, JobState, Selection};

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// List jobs, live ones first, the newest first
    List(List),
    /// Show one job with its payload
    Show {
        /// The job's number
        id: i64,
        /// Print JSON on one line
        #[arg(long)]
        json: bool,
    },
    /// Run dead jobs again, and waiting ones now
    Retry(Choice),
    /// Cancel waiting and running jobs
    Cancel {
        /// The jobs' numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Delete dead jobs; for an hour they can be restored
    Discard(Choice),
    /// Restore jobs that were discarded within the last hour
    Restore {
        /// The jobs' numbers; all by default
        ids: Vec<i64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = words::<JobState>())]
    state: Option<JobState>,
    /// At most this many
    #[arg(long, value_name = "N", default_value = "100")]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Choice {
    /// The jobs' numbers
    #[arg(required_unless_present = "kind")]
    ids: Vec<i64>,
    /// All dead jobs of this kind
    #[arg(long, conflicts_with = "ids")]
    kind: Option<String>,
}

impl Choice {
    fn selection(&self) -> Result<Selection, Exit> {
        Ok(match &self.kind {
            Some(kind) => Selection::Dead { kind: queue::require_kind(kind)?.to_owned() },
            None => Selection::Ids(self.ids.clone()),
        })
    }
}

pub(super) async fn jobs(jobs: Jobs, path: &Path) -> anyhow::Result<()> {
    let (_, store) = open(path).await?;
    match jobs {
        Jobs::List(List { kind, state, limit, json }) => {
            kind.as_deref().map(queue::require_kind).transpose()?;
            let jobs = store.jobs(&JobFilter { kind, state, ids: None, limit }).await?;
            let columns = "id, kind, key, state, attempts, max_attempts as most, run_at as due, last_error as last error";
            output::list(json, "jobs", &jobs, columns)
        }
        Jobs::Show { id, json } => {
            let filter = JobFilter { ids: Some(vec![id]), limit: 1, ..JobFilter::default() };
            let job = store.jobs(&filter).await?.pop().ok_or_else(|| unknown(&[id]))?;
            let mut job = serde_json::to_value(&job)?;
            job["payload"] = store.job_payload(id).await?.unwrap_or_default();
            if json {
                return output::json(&job);
            }
            output::line(serde_json::to_string_pretty(&job)?);
            Ok(())
        }
        Jobs::Retry(choice) => {
            print_count(store.retry_jobs(&choice.selection()?).await?, &choice.ids, "to be run again")
        }
        Jobs::Cancel { ids } => {
            daemon::declare_kinds(&store).await?;
            print_count(store.cancel_jobs(&ids).await?, &ids, "cancelled")
        }
        Jobs::Discard(choice) => {
            print_count(store.discard_jobs(&choice.selection()?).await?, &choice.ids, "deleted")
        }
        Jobs::Restore { ids } => {
            let named = (!ids.is_empty()).then_some(&*ids);
            let mut restored = 0;
            while let number @ 1.. = store.restore_jobs(named, None).await? {
                restored += number;
            }
            print_count(restored, &ids, "restored")
        }
    }
}

/// Prints how many jobs were changed; fails if none of the named ones were.
fn print_count(count: u64, ids: &[i64], what: &str) -> anyhow::Result<()> {
    if count == 0 && !ids.is_empty() {
        bail!(unknown(ids));
    }
    output::line(format!("{count} jobs {what}"));
    Ok(())
}

fn unknown(ids: &[i64]) -> Exit {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    Exit::usage(format!(
        "no such job in a state where this can be done: {}\n  `shopkeeper jobs list` shows all jobs",
        ids.join(", ")
    ))
}
