//! `jobs`: what is in the queue, and what became of it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use strum::VariantArray;

use super::{CONFIGURATION, Exit, output, queue, settings};
use crate::{
    daemon,
    store::{
        Store,
        jobs::{JobFilter, JobRow, JobState, Selection},
    },
};

/// Look at jobs, and decide about those that need it
#[derive(Debug, Args)]
pub(super) struct Jobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List jobs, live ones first, the newest first
    List(List),
    /// Show one job with its payload
    Show(Show),
    /// Run dead jobs again, and waiting ones now
    Retry(Chosen),
    /// Take jobs out of the queue, waiting or running
    Cancel(Cancel),
    /// Delete dead jobs for good
    Discard(Chosen),
}

impl Verb {
    /// The kind that was named.
    fn kind(&self) -> Option<&str> {
        match self {
            Self::List(list) => list.kind.as_deref(),
            Self::Retry(chosen) | Self::Discard(chosen) => chosen.kind.as_deref(),
            Self::Show(_) | Self::Cancel(_) => None,
        }
    }
}

#[derive(Debug, Args)]
struct List {
    /// Of this kind
    #[arg(long)]
    kind: Option<String>,
    /// In this state
    #[arg(long)]
    state: Option<JobState>,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100")]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    /// The job's number
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Cancel {
    /// The jobs' numbers
    #[arg(required = true)]
    ids: Vec<i64>,
}

/// These jobs, or all dead ones of a kind.
#[derive(Debug, Args)]
struct Chosen {
    /// The jobs' numbers
    #[arg(required_unless_present = "kind")]
    ids: Vec<i64>,
    /// All dead jobs of this kind
    #[arg(long, conflicts_with = "ids")]
    kind: Option<String>,
}

impl Chosen {
    fn selection(&self) -> Selection {
        match &self.kind {
            Some(kind) => Selection::Dead { kind: kind.clone() },
            None => Selection::Ids(self.ids.clone()),
        }
    }
}

impl ValueEnum for JobState {
    fn value_variants<'a>() -> &'a [Self] {
        Self::VARIANTS
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(<&str>::from(self)))
    }
}

pub(super) async fn jobs(jobs: Jobs, path: &std::path::Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    jobs.verb.kind().map(queue::known).transpose()?;
    let store = Store::open(&daemon::reach(&config)).await?;
    match jobs.verb {
        Verb::List(list) => {
            let filter = JobFilter { kind: list.kind, state: list.state, ids: None, limit: list.limit };
            let jobs = store.jobs(&filter).await?;
            if list.json {
                return output::json(&json!({ "jobs": jobs }));
            }
            show_all(&jobs);
            Ok(())
        }
        Verb::Show(show) => {
            let filter = JobFilter { ids: Some(vec![show.id]), limit: 1, ..JobFilter::default() };
            let job = store.jobs(&filter).await?.pop().ok_or_else(|| unknown(&[show.id]))?;
            let payload = store.job_payload(show.id).await?;
            let mut whole = serde_json::to_value(&job)?;
            whole["payload"] = payload.unwrap_or_default();
            if show.json {
                return output::json(&whole);
            }
            output::line(serde_json::to_string_pretty(&whole)?);
            Ok(())
        }
        Verb::Retry(which) => {
            let count = store.retry_jobs(&which.selection()).await?;
            said(count, &which.ids, "to be run again")
        }
        Verb::Cancel(cancel) => {
            daemon::declare_kinds(&store).await?;
            said(store.cancel_jobs(&cancel.ids).await?, &cancel.ids, "cancelled")
        }
        Verb::Discard(which) => {
            let count = store.discard_jobs(&which.selection()).await?;
            said(count, &which.ids, "deleted")
        }
    }
}

/// Says how many jobs it was about; none of those that were named is an error.
fn said(count: u64, ids: &[i64], what: &str) -> anyhow::Result<()> {
    if count == 0 && !ids.is_empty() {
        return Err(unknown(ids).into());
    }
    output::line(format!("{count} jobs {what}"));
    Ok(())
}

fn unknown(ids: &[i64]) -> Exit {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let message = format!(
        "no such job in a state where this can be done: {}\n  `shopkeeper jobs list` shows what there is",
        ids.join(", ")
    );
    Exit { code: CONFIGURATION, message }
}

fn show_all(jobs: &[JobRow]) {
    output::table(
        &["id", "kind", "key", "state", "attempts", "due", "last error"],
        jobs.iter().map(|job| {
            let error = job.last_error.as_deref().unwrap_or_default();
            let error = error.lines().next().unwrap_or_default().chars().take(60).collect();
            let most = job.max_attempts.map(|most| format!("/{most}")).unwrap_or_default();
            vec![
                job.id.to_string(),
                job.kind.clone(),
                job.key.clone().unwrap_or_default(),
                job.state.to_string(),
                format!("{}{most}", job.attempts),
                job.run_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
                error,
            ]
        }),
    );
}
