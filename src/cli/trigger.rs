//! `trigger`: triggers in the shop's database that report changes at once.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Exit, Format, open_parts, output};
use crate::source::postgres::{
    PostgresSource,
    triggers::{TriggerState, TriggerStatus},
};

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
    /// Install the triggers, or update them to the settings
    Install,
    /// Remove the triggers and their notes
    Remove,
    /// Print the SQL that installs them, for a role that may
    Print,
    /// Show which tables have triggers; exit 1 if one has not
    Status(Format),
}

pub(super) async fn trigger(trigger: Trigger, path: &Path) -> anyhow::Result<()> {
    let (_, _, parts) = open_parts(path).await?;
    let wanted = |name: &str| trigger.source.as_ref().is_none_or(|source| source == name);
    let sources: Vec<_> = parts.postgres_sources().filter(|(name, _)| wanted(name)).collect();
    if let (Some(source), true) = (&trigger.source, sources.is_empty()) {
        bail!(Exit::usage(format!("the settings have no source `{source}` in PostgreSQL")));
    }
    if let Verb::Status(format) = trigger.verb {
        return status(&sources, format.json).await;
    }
    for (name, source) in sources {
        match trigger.verb {
            Verb::Print => output::line(source.trigger_sql().await?),
            Verb::Install => {
                source.install_triggers().await?;
                output::line(format!("source `{name}`: triggers report changes at once"));
            }
            Verb::Remove => {
                source.remove_triggers().await?;
                output::line(format!("source `{name}`: the triggers are removed"));
            }
            Verb::Status(_) => {}
        }
    }
    Ok(())
}

async fn status(sources: &[(&str, &PostgresSource)], json: bool) -> anyhow::Result<()> {
    let mut tables = Vec::new();
    for (_, source) in sources {
        tables.extend(source.trigger_status().await?);
    }
    output::list(json, "triggers", &tables, "source, table, state, waiting")?;
    for uncovered in tables.iter().filter_map(TriggerStatus::uncovered) {
        output::note(format!("{uncovered}; `shopkeeper trigger install` adds them"));
    }
    if tables.iter().any(|table| table.state != TriggerState::Installed) {
        bail!(
            "not every table has its triggers\n  run `shopkeeper trigger install`, or give the output of \
             `shopkeeper trigger print` to a role that may create them"
        );
    }
    Ok(())
}
