//! The settings of a verb, and what it opens by them.

use std::{io::IsTerminal, path::Path};

use super::exit::Exit;
use crate::config::{Config, LogFormat};
use crate::daemon::{self, Parts};
use crate::{store::Store, telemetry};

pub(super) fn load(path: &Path) -> anyhow::Result<Config> {
    Ok(Config::load(path, &std::env::vars().collect())?)
}

/// Loads the settings of a verb that reports on stdout; it logs warnings only.
pub(super) fn settings(path: &Path) -> anyhow::Result<Config> {
    let config = load(path)?;
    telemetry::start("warn", log_format(&config), None);
    Ok(config)
}

pub(super) async fn open(path: &Path) -> anyhow::Result<(Config, Store)> {
    let config = settings(path)?;
    let store = Store::open(&config.database).await?;
    Ok((config, store))
}

pub(super) async fn open_parts(path: &Path) -> anyhow::Result<(Config, Store, Parts)> {
    let (config, store) = open(path).await?;
    let parts = daemon::assemble(&config, &store).await?;
    Ok((config, store, parts))
}

pub(super) fn log_format(config: &Config) -> telemetry::Format {
    match config.telemetry.log_format {
        LogFormat::Pretty => telemetry::Format::Pretty,
        LogFormat::Auto if std::io::stderr().is_terminal() => telemetry::Format::Pretty,
        LogFormat::Journald => telemetry::Format::Journald,
        LogFormat::Auto | LogFormat::Json => telemetry::Format::Json,
    }
}

pub(super) fn selected_sources(config: &Config, name: Option<String>) -> Vec<String> {
    name.map_or_else(|| config.source_names(), |name| vec![name])
}

pub(super) fn require_source(config: &Config, name: &str) -> Result<(), Exit> {
    if config.has_source(name) {
        return Ok(());
    }
    let known = selected_sources(config, None).join(", ");
    Err(Exit::usage(format!("the settings have no source `{name}`; there are {known}")))
}
