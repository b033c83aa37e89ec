//! `queue`: the kinds of jobs, and whether they run.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CONFIGURATION, Exit, output, settings};
use crate::{
    daemon::{self, Workers},
    store::{
        Store,
        jobs::WaitReason,
        status::{BudgetWait, QueueStatus},
    },
};

/// Look at the kinds of jobs, and stop or start them in all daemons
#[derive(Debug, Args)]
pub(super) struct Queue {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the kinds with their jobs
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop starting jobs of a kind; what runs goes on
    Pause {
        /// The kind of job
        kind: String,
    },
    /// Start jobs of a kind again
    Resume {
        /// The kind of job
        kind: String,
    },
}

pub(super) async fn queue(queue: Queue, path: &std::path::Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    match queue.verb {
        Verb::List { json: as_json } => {
            let (kinds, waits) = tokio::try_join!(store.queue_status(Workers::KINDS), store.budget_waits())?;
            if as_json {
                return output::json(&json!({ "queue": kinds, "waiting": waits }));
            }
            show(&kinds, &waits);
        }
        Verb::Pause { kind } => {
            store.pause(known(&kind)?).await?;
            output::line(format!("{kind} is paused; `shopkeeper queue resume {kind}` goes on"));
        }
        Verb::Resume { kind } => {
            store.resume(known(&kind)?).await?;
            output::line(format!("{kind} goes on"));
        }
    }
    Ok(())
}

/// A kind that this program runs: of another one there is nothing, which is not what was meant.
pub(super) fn known(kind: &str) -> Result<&str, Exit> {
    if Workers::KINDS.contains(&kind) {
        return Ok(kind);
    }
    let message = format!("there is no kind of job {kind:?}; there are {}", Workers::KINDS.join(", "));
    Err(Exit { code: CONFIGURATION, message })
}

/// Prints the kinds as a table, and what waits for a budget.
pub(super) fn show(kinds: &[QueueStatus], waits: &[BudgetWait]) {
    output::table(
        &["queue", "ready", "scheduled", "running", "dead", "oldest ready", ""],
        kinds.iter().map(|kind| {
            vec![
                kind.kind.clone(),
                kind.ready.to_string(),
                kind.scheduled.to_string(),
                kind.running.to_string(),
                kind.dead.to_string(),
                output::ago(kind.oldest_ready_seconds),
                if kind.paused { "paused".to_owned() } else { String::new() },
            ]
        }),
    );
    for wait in waits {
        output::line(describe(wait));
    }
}

/// Which jobs wait for which budget, since when, and what can be done about it.
fn describe(wait: &BudgetWait) -> String {
    let BudgetWait { kind, jobs, .. } = wait;
    let since = wait.since.format("%F %TZ");
    let of = || {
        let (model, server) = (wait.model.as_deref().unwrap_or("?"), wait.server.as_deref().unwrap_or("?"));
        format!("{model} at {server} (requests_per_minute, tokens_per_minute, or what the server allows)")
    };
    let what = match wait.waits_for {
        WaitReason::RateLimit => format!("the budget of {}", of()),
        WaitReason::DailyBudget => {
            "the daily budget to reset at midnight UTC (budget.embedding_usd)".to_owned()
        }
        WaitReason::Stop => "spending to be resumed (`shopkeeper resume`)".to_owned(),
    };
    format!("{kind}: {jobs} wait for {what}, since {since}")
}
