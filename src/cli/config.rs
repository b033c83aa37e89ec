//! `config`: the settings.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::{load, output};
use crate::config::COMMENTED;

#[derive(Debug, Subcommand)]
pub(super) enum Config {
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

pub(super) fn config(config: Config, path: &Path) -> anyhow::Result<()> {
    match config {
        Config::Init { file } => init(&file),
        Config::Check => {
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
        Config::Show { json: true } => output::json(&load(path)?),
        Config::Show { json: false } => {
            output::line(toml::to_string_pretty(&load(path)?)?.trim_end());
            Ok(())
        }
    }
}

/// Never overwrites an existing file.
fn init(file: &Path) -> anyhow::Result<()> {
    let created = std::fs::File::create_new(file);
    let mut created = created.with_context(|| format!("cannot write {}", file.display()))?;
    created.write_all(COMMENTED.as_bytes())?;
    output::line(format!("wrote {}: edit it, then run `shopkeeper config check`", file.display()));
    Ok(())
}
