//! `trigger`: what notes changes in the shop's database at once.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CONFIGURATION, Exit, FAILED, output, settings};
use crate::{
    daemon,
    source::postgres::{PostgresSource, triggers::TriggerState},
    store::Store,
};

/// Note changes in the shop's database at once, by triggers that append to a table of their own
#[derive(Debug, Args)]
pub(super) struct Trigger {
    #[command(subcommand)]
    verb: Verb,
    /// Only this source
    #[arg(long, global = true, value_name = "NAME")]
    source: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install the triggers, or bring them up to date with the settings
    Install,
    /// Remove the triggers and what they noted
    Remove,
    /// Print the SQL that installs them, for those who may
    Print,
    /// Show which tables have theirs; exit 1 when one has not
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn trigger(trigger: Trigger, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    let parts = daemon::assemble(&config, &store).await?;
    let wanted = |name: &str| trigger.source.as_ref().is_none_or(|source| source == name);
    let sources: Vec<_> = parts.postgres_sources().filter(|(name, _)| wanted(name)).collect();
    if let (Some(source), true) = (&trigger.source, sources.is_empty()) {
        let message = format!("the settings have no source `{source}` in PostgreSQL");
        return Err(Exit { code: CONFIGURATION, message }.into());
    }
    if let Verb::Status { json } = trigger.verb {
        return status(&sources, json).await;
    }
    for (name, source) in sources {
        match trigger.verb {
            Verb::Print => output::line(source.trigger_sql().await?),
            Verb::Install => {
                source.install_triggers().await?;
                output::line(format!("source `{name}`: changes are noted at once"));
            }
            Verb::Remove => {
                source.remove_triggers().await?;
                output::line(format!("source `{name}`: the triggers are gone"));
            }
            Verb::Status { .. } => {}
        }
    }
    Ok(())
}

async fn status(sources: &[(&str, &PostgresSource)], json: bool) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (_, source) in sources {
        all.extend(source.trigger_status().await?);
    }
    if json {
        output::json(&json!({ "triggers": all }))?;
    } else {
        let rows = all.iter().map(|status| {
            vec![
                status.source.clone(),
                status.table.clone(),
                status.state.to_string(),
                status.waiting.to_string(),
            ]
        });
        output::table(&["source", "table", "state", "waiting"], rows);
    }
    if all.iter().all(|status| status.state == TriggerState::Installed) {
        return Ok(());
    }
    let message = "not every table has its triggers\n  run `shopkeeper trigger install`, or give the output of \
                   `shopkeeper trigger print` to who may create them";
    Err(Exit { code: FAILED, message: message.to_owned() }.into())
}
