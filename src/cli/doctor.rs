//! `doctor`: checks the installation, and suggests remedies.

use std::{fmt::Display, path::Path};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{output, settings};
use crate::{config::Config, daemon, store::Store};

mod disk;
mod index;
mod models;
mod server;
mod sources;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    /// Empty if the check is ok.
    remedy: String,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: &str, ok: bool, detail: impl Into<String>, remedy: &str) {
        let remedy = if ok { String::new() } else { remedy.to_owned() };
        self.0.push(Check { name: name.to_owned(), ok, detail: detail.into(), remedy });
    }

    fn pass(&mut self, name: &str, detail: impl Into<String>) {
        self.add(name, true, detail, "");
    }

    /// Returns the value, or adds a failed check. Our own errors may end with a remedy on a line of its own.
    fn require<T, E: Display>(&mut self, name: &str, result: Result<T, E>, remedy: &str) -> Option<T> {
        result
            .map_err(|error| {
                let text = format!("{error:#}");
                let (detail, own) = text.split_once("\n  ").unwrap_or((&text, remedy));
                self.add(name, false, detail, own);
            })
            .ok()
    }
}

pub(super) async fn doctor(arguments: Doctor, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let mut checks = Checks::default();
    let store = Store::open(&config.database).await;
    if let Some(store) = checks.require("database", store, "start it, or correct database.url") {
        check(&config, &store, &mut checks).await;
    }
    if arguments.json {
        output::json(&json!({ "checks": checks.0 }))?;
    } else {
        let rows = checks.0.iter().map(|check| {
            let mark = if check.ok { "ok" } else { "NOT OK" };
            vec![mark.to_owned(), check.name.clone(), check.detail.clone(), check.remedy.clone()]
        });
        output::table(&["", "check", "result", "remedy"], rows);
    }
    let failed = checks.0.iter().filter(|check| !check.ok).count();
    if failed > 0 {
        bail!("{failed} of {} checks are not ok", checks.0.len());
    }
    Ok(())
}

async fn check(config: &Config, store: &Store, checks: &mut Checks) {
    server::check_server(config, store, checks).await;
    let parts = daemon::assemble(config, store).await;
    if let Some(parts) = checks.require("index", parts, "see docs/embeddings.md") {
        index::check_index(store, checks).await;
        sources::check_coverage(config, store, checks).await;
        sources::check_sources(&parts, checks).await;
        models::check_models(config, store, &parts, checks).await;
    }
    let threshold = config.answers.escalate_above_distance;
    checks.add(
        "threshold",
        threshold > 0.0 && threshold < 1.0,
        format!("questions go to a human above the distance {threshold}"),
        "set answers.escalate_above_distance between 0 and 1: what fits depends on the embedding model",
    );
}
