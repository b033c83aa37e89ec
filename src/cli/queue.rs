//! `queue`: the kinds of jobs, and whether they run.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::{Exit, Format, NameArgument, open, output};
use crate::daemon::Workers;
use crate::store::{
    jobs::{BudgetWait, WaitReason},
    status::QueueStatus,
};

#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// List the kinds with their jobs
    List(Format),
    /// Start no more jobs of a kind; running ones finish
    Pause(NameArgument),
    /// Start jobs of a kind again
    Resume(NameArgument),
}

pub(super) async fn queue(queue: Queue, path: &Path) -> anyhow::Result<()> {
    let (_, store) = open(path).await?;
    match queue {
        Queue::List(format) => {
            let (kinds, waits) = tokio::try_join!(store.queue_status(Workers::KINDS), store.budget_waits())?;
            if format.json {
                return output::json(&json!({ "queue": kinds, "waiting": waits }));
            }
            show(&kinds, &waits)?;
        }
        Queue::Pause(NameArgument { name }) => {
            store.pause(require_kind(&name)?).await?;
            output::line(format!("{name} is paused; `shopkeeper queue resume {name}` goes on"));
        }
        Queue::Resume(NameArgument { name }) => {
            store.resume(require_kind(&name)?).await?;
            output::line(format!("{name} goes on"));
        }
    }
    Ok(())
}

pub(super) fn require_kind(kind: &str) -> Result<&str, Exit> {
    if Workers::KINDS.contains(&kind) {
        return Ok(kind);
    }
    Err(Exit::usage(format!("there is no kind of job {kind:?}; there are {}", Workers::KINDS.join(", "))))
}

pub(super) fn show(kinds: &[QueueStatus], waits: &[BudgetWait]) -> anyhow::Result<()> {
    let columns =
        "kind as queue, ready, scheduled, running, dead, oldest_ready_seconds as oldest ready, paused";
    output::rows_table(kinds, columns)?;
    waits.iter().map(describe).for_each(output::line);
    Ok(())
}

fn describe(wait: &BudgetWait) -> String {
    let BudgetWait { kind, waits_for, server, model, jobs, since } = wait;
    let budget = match waits_for {
        WaitReason::RateLimit => format!(
            "the budget of {} at {} (requests_per_minute, tokens_per_minute, or the server's own limits)",
            model.as_deref().unwrap_or("?"),
            server.as_deref().unwrap_or("?")
        ),
        WaitReason::DailyBudget => {
            "the daily budget to reset at midnight UTC (budget.embedding_usd)".to_owned()
        }
        WaitReason::Stop => "spending to be resumed (`shopkeeper resume`)".to_owned(),
    };
    format!("{kind}: {jobs} wait for {budget}, since {}", output::time(*since))
}
