//! `config`: the settings.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

use super::{Exit, load, output};
use crate::config::settings_for;

mod rows;

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
        /// The model server: one of `shopkeeper models list`
        #[arg(long, value_name = "NAME", default_value = "openai")]
        server: String,
        /// The shop system: one of the presets in docs/catalogues.md
        #[arg(long, value_name = "NAME")]
        preset: Option<String>,
    },
}

pub(super) async fn config(config: Config, path: &Path) -> anyhow::Result<()> {
    match config {
        Config::Init { file, server, preset } => init(&file, &server, preset.as_deref()),
        Config::Check => {
            let config = load(path)?;
            rows::check(&config).await?;
            output::line(format!(
                "{} is fine: {} sources, {} schedules, {} webhooks",
                path.display(),
                config.sources.len(),
                config.schedules.len(),
                config.webhooks.len()
            ));
            Ok(())
        }
        Config::Show { json: true } => {
            let config = load(path)?;
            let mut shown = serde_json::to_value(&config)?;
            shown["from_cards"] =
                config.from_cards.into_iter().map(|(key, card)| (key, Value::from(card))).collect();
            output::json(&shown)
        }
        Config::Show { json: false } => {
            let config = load(path)?;
            output::line(toml::to_string_pretty(&config)?.trim_end());
            for (key, card) in &config.from_cards {
                output::line(format!("# {key} is from the model card of {card}"));
            }
            Ok(())
        }
    }
}

/// Never overwrites an existing file.
fn init(file: &Path, server: &str, preset: Option<&str>) -> anyhow::Result<()> {
    let text = settings_for(server, preset).map_err(Exit::usage)?;
    let created = std::fs::File::create_new(file);
    let mut created = created.with_context(|| format!("cannot write {}", file.display()))?;
    created.write_all(text.as_bytes())?;
    output::line(format!("wrote {}: edit it, then run `shopkeeper config check`", file.display()));
    Ok(())
}
