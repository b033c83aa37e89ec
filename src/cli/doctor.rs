//! `doctor`: checks the installation, and suggests remedies.

use std::{fmt::Display, path::Path};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{output, settings};
use crate::{
    clock,
    config::Config,
    daemon::{self, Parts},
    model::{Message, ModelError, Prompt, Role, unlimited},
    source::postgres::triggers::TriggerState,
    store::{Store, versions::IndexState},
};

mod disk;

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

    /// Returns a value, or adds a failed check. The text of our errors may end with a remedy on its own line.
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
    check_server(config, store, checks).await;
    let parts = daemon::assemble(config, store).await;
    if let Some(parts) = checks.require("index", parts, "see docs/embeddings.md") {
        check_index(store, checks).await;
        check_coverage(config, store, checks).await;
        check_sources(&parts, checks).await;
        check_models(config, store, &parts, checks).await;
    }
    let threshold = config.answers.escalate_above_distance;
    checks.add(
        "threshold",
        threshold > 0.0 && threshold < 1.0,
        format!("questions go to a human above the distance {threshold}"),
        "set answers.escalate_above_distance between 0 and 1: what fits depends on the embedding model",
    );
}

const MAX_SKEW_SECONDS: i64 = 5;
/// A replica further behind answers from an old catalogue.
const STALE_REPLICA_SECONDS: f64 = 60.0;

async fn check_server(config: &Config, store: &Store, checks: &mut Checks) {
    let health = store.server_health().await;
    let remedy = "grant its role the rights on the schema";
    let Some(health) = checks.require("database", health, remedy) else { return };
    // The store is open, so the version is supported and no migration is missing.
    checks.pass("database", format!("PostgreSQL {}", health.version));
    checks.pass("migrations", "all are applied");
    checks.add(
        "pgvector",
        health.has_safe_pgvector(),
        format!("version {}", health.pgvector.as_deref().unwrap_or_default()),
        "versions before 0.8.4 can damage HNSW indexes under many deletes: install a newer one and run \
         `alter extension vector update`",
    );
    checks.add(
        "rights",
        health.may_write,
        "to write documents and to create index versions",
        "run `shopkeeper migrate` as the role that the daemon uses, or grant it the schema",
    );
    let wanted = i64::from(config.database.max_connections);
    let (used, most) = (health.connections, health.max_connections);
    checks.add(
        "connections",
        most - used >= wanted.min(most / 2),
        format!("{used} of {most} are in use; a daemon takes up to {wanted}"),
        "raise the server's max_connections or lower database.max_connections",
    );
    disk::check(config, health.bytes, checks);
    let skew = (clock::now() - health.now).num_seconds().abs();
    checks.add(
        "clock",
        skew <= MAX_SKEW_SECONDS,
        format!("{skew} s apart from the database's"),
        "synchronise both hosts with a time server",
    );
    checks.add(
        "leases",
        health.stuck_leases == 0,
        format!("{} jobs with an expired lease that no worker has taken over", health.stuck_leases),
        "start a daemon: it takes them up within seconds",
    );
    let how = if config.database.direct_url.is_some() { "past the pooler" } else { "by database.url" };
    let remedy = "set database.direct_url to the database itself, past the pooler that database.url leads to: until \
                  then work begins up to a second late";
    match checks.require("notifications", store.notification_time().await, remedy) {
        Some(Some(time)) => checks.pass("notifications", format!("heard {how} after {time:.1?}")),
        Some(None) => checks.add("notifications", false, "notifications (NOTIFY) do not arrive", remedy),
        None => {}
    }
    let remedy = "start it; until then the database itself is searched";
    if let Some(Some(replica)) = checks.require("replica", store.replica_health().await, remedy) {
        checks.add(
            "replica",
            replica.lag_seconds.is_some_and(|lag| lag < STALE_REPLICA_SECONDS),
            match replica.lag_seconds {
                Some(lag) => format!("searched, and {lag:.1} s behind"),
                None => "database.read_url leads to no replica that follows a server".to_owned(),
            },
            "check its replication; answers are as old as the replica",
        );
    }
}

/// With fewer chunks it is quicker to read them all.
const MANY_CHUNKS: i64 = 10_000;

async fn check_index(store: &Store, checks: &mut Checks) {
    let health = store.index_health().await;
    let Some(health) = checks.require("index", health, "run `shopkeeper migrate`") else { return };
    let Some(health) = health else {
        return checks.add("index", false, "there is none", "run `shopkeeper sync --wait`");
    };
    let version = health.version;
    if health.is_valid == Some(true) {
        checks.pass("index", format!("version {version} has its HNSW index"));
        check_search(store, checks).await;
    } else if health.is_filling {
        checks.pass("index", format!("version {version} gets its HNSW index when it is filled"));
    } else {
        checks.add(
            "index",
            false,
            format!("version {version} has no usable HNSW index: searches read every chunk"),
            "start a daemon: it builds the index when the sources are indexed",
        );
    }
}

async fn check_search(store: &Store, checks: &mut Checks) {
    let Some(indexes) = checks.require("search", store.index_status().await, "") else { return };
    let active = indexes.into_iter().find(|index| index.version.state == IndexState::Active);
    let Some(active) = active.filter(|active| active.chunks >= MANY_CHUNKS) else { return };
    let (version, chunks) = (active.version.id, active.chunks);
    match checks.require("search", store.is_searched_by_index(&active.version).await, "") {
        Some(true) => checks.pass("search", format!("goes through the HNSW index of version {version}")),
        Some(false) => checks.add(
            "search",
            false,
            format!("reads all {chunks} chunks of version {version} though it has its HNSW index"),
            &format!(
                "run `analyze shopkeeper.chunk_{version}` in the database; if that does not help, look at its \
                 random_page_cost and seq_page_cost"
            ),
        ),
        None => {}
    }
}

const STALE_SECONDS: f64 = 3600.0;

async fn check_coverage(config: &Config, store: &Store, checks: &mut Checks) {
    let sources = checks.require("coverage", store.source_status().await, "");
    for source in sources.into_iter().flatten() {
        let (name, documents) = (&source.source, source.documents);
        let oldest = source.oldest_stale_seconds.unwrap_or(0.0);
        if config.has_source(name) {
            checks.add(
                &format!("coverage of {name}"),
                source.last_sync_at.is_some() && source.failed == 0 && oldest < STALE_SECONDS,
                format!(
                    "{} of {documents} documents are fresh, {} failed, the oldest is stale for {oldest:.0} s",
                    source.fresh, source.failed
                ),
                "run `shopkeeper sync --wait`; `shopkeeper jobs list --state dead` says why documents failed",
            );
        } else if documents > 0 {
            checks.add(
                &format!("source {name}"),
                false,
                format!("is no longer in the settings, but its {documents} documents are still searched"),
                &format!(
                    "put it back, or run `shopkeeper sync --source {name} --allow-mass-delete`, which removes them"
                ),
            );
        }
    }
}

async fn check_sources(parts: &Parts, checks: &mut Checks) {
    for (source, catalogue) in parts.catalogues() {
        let name = format!("source {source}");
        let remedy = "correct the [[source]], or what it reads; docs/catalogue.md says what its role needs";
        if checks.require(&name, catalogue.check().await, remedy).is_some() {
            checks.pass(&name, "can be read and has the columns");
        }
    }
    for (source, postgres) in parts.postgres_sources() {
        let Ok(triggers) = postgres.trigger_status().await else { continue };
        let all = |state| triggers.iter().all(|trigger| trigger.state == state);
        let (none, current) = (all(TriggerState::Missing), all(TriggerState::Installed));
        let detail = match (none, current) {
            (true, _) => "none: changes are seen by polls and listings",
            (_, true) => "installed and current",
            _ => "some are missing, or the settings have changed since",
        };
        let name = format!("triggers of {source}");
        checks.add(&name, none || current, detail, "run `shopkeeper trigger install`");
    }
}

async fn check_models(config: &Config, store: &Store, parts: &Parts, checks: &mut Checks) {
    match checks.require("models", store.stopped_since().await, "") {
        None => return,
        Some(Some(_)) => {
            return checks.pass("models", "not asked: model requests are paused (`shopkeeper resume`)");
        }
        Some(None) => {}
    }
    for model in parts.versions.models() {
        let embedded = model.embedder.embed(&["Are you there?".to_owned()], &unlimited).await;
        let detail = embedded.map(|_| format!("returns vectors of {} dimensions", model.model.dimensions));
        check_model(&model.model.name, detail, checks);
    }
    let prompt = Prompt {
        system: "Answer with one word.".to_owned(),
        messages: vec![Message { role: Role::User, content: "Are you there?".to_owned() }],
        temperature: 0.0,
        max_tokens: 16,
    };
    let completion = parts.composer.completer.complete(&prompt, None, &unlimited).await;
    check_model(&config.answers.model, completion.map(|_| "answers".to_owned()), checks);
}

fn check_model(model: &str, result: Result<String, ModelError>, checks: &mut Checks) {
    let remedy = match &result {
        Ok(_) => "",
        Err(ModelError::Unavailable { .. }) => {
            "check base_url and the network; waiting work continues when it is back"
        }
        Err(ModelError::Refused { .. }) => "correct the api_key, or pay",
        Err(ModelError::Rejected { .. } | ModelError::Nonsense { .. } | ModelError::NoVector { .. }) => {
            "correct the model's name, its dimensions, or base_url"
        }
    };
    let name = format!("model {model}");
    if let Some(detail) = checks.require(&name, result, remedy) {
        checks.pass(&name, detail);
    }
}
