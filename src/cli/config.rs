//! `config`: the settings.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::output;
use crate::config::{COMMENTED, Config};

#[derive(Debug, Args)]
pub(super) struct ConfigVerb {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the file and the environment; lists every fault with its line
    Check,
    /// Show the settings in force, secrets left out
    Show {
        /// Print one JSON object instead of TOML
        #[arg(long)]
        json: bool,
    },
    /// Write a commented file with every key and its default
    Init {
        /// Where to
        #[arg(default_value = "jobs.toml")]
        file: PathBuf,
    },
}

pub(super) fn config(config: ConfigVerb, path: &Path) -> anyhow::Result<()> {
    match config.verb {
        Verb::Init { file } => init(&file),
        Verb::Check => {
            let config = load(path)?;
            output::line(format!(
                "{} is fine: {} sources, {} schedules, {} webhooks",
                path.display(),
                config.sources.len(),
                config.schedules.len(),
                config.webhooks.len()
            ));
            Ok(())
        }
        Verb::Show { json: true } => output::json(&load(path)?),
        Verb::Show { json: false } => {
            output::line(toml::to_string_pretty(&load(path)?)?.trim_end());
            Ok(())
        }
    }
}

fn load(path: &Path) -> anyhow::Result<Config> {
    Ok(Config::load(path, &std::env::vars().collect())?)
}

/// Never writes over a file that is there.
fn init(file: &Path) -> anyhow::Result<()> {
    let created = std::fs::File::create_new(file);
    let mut created = created.with_context(|| format!("cannot write {}", file.display()))?;
    created.write_all(COMMENTED.as_bytes())?;
    output::line(format!("wrote {}: edit it, then run `shopkeeper config check`", file.display()));
    Ok(())
}
