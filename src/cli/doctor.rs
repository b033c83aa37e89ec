//! `doctor`: looks at everything that must be well, and says what to do where it is not.

use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{Exit, FAILED, output, settings};
use crate::{
    clock,
    config::Config,
    daemon::{self, Parts},
    indexing::versions::Model,
    model::{Message, ModelError, Prompt, Role, unlimited},
    store::{Store, status::SourceStatus, versions::IndexState},
};

mod space;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    /// What to do; empty when all is well.
    remedy: String,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: &str, ok: bool, detail: impl Into<String>, remedy: &str) {
        let remedy = if ok { String::new() } else { remedy.to_owned() };
        self.0.push(Check { name: name.to_owned(), ok, detail: detail.into(), remedy });
    }

    /// A failure whose text ends with its remedy on a line of its own, as our errors do.
    fn fail(&mut self, name: &str, error: &dyn std::fmt::Display, remedy: &str) {
        let text = error.to_string();
        let (detail, own) = text.split_once("\n  ").unwrap_or((&text, remedy));
        self.add(name, false, detail, own);
    }
}

pub(super) async fn doctor(arguments: &Doctor, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let mut checks = Checks::default();
    match Store::open(&daemon::reach(&config)).await {
        Err(error) => checks.fail("database", &error, "start it, or correct database.url"),
        Ok(store) => look(&config, &store, &mut checks).await,
    }
    let sick = checks.0.iter().filter(|check| !check.ok).count();
    if arguments.json {
        output::json(&json!({ "checks": checks.0 }))?;
    } else {
        let rows = checks.0.iter().map(|check| {
            let mark = if check.ok { "ok" } else { "NOT OK" };
            vec![mark.to_owned(), check.name.clone(), check.detail.clone(), check.remedy.clone()]
        });
        output::table(&["", "check", "what was seen", "what to do"], rows);
    }
    if sick == 0 {
        return Ok(());
    }
    Err(Exit { code: FAILED, message: format!("{sick} of {} checks are not ok", checks.0.len()) }.into())
}

async fn look(config: &Config, store: &Store, checks: &mut Checks) {
    server(config, store, checks).await;
    match daemon::assemble(config, store).await {
        Err(error) => checks.fail("index", &format!("{error:#}"), "see docs/embeddings.md"),
        Ok(parts) => {
            index(store, checks).await;
            coverage(config, store, checks).await;
            sources(&parts, checks).await;
            models(config, store, &parts, checks).await;
        }
    }
    let threshold = config.answers.escalate_above_distance.0;
    checks.add(
        "threshold",
        threshold > 0.0 && threshold < 1.0,
        format!("questions go to a human above the distance {threshold}"),
        "set answers.escalate_above_distance between 0 and 1: what fits depends on the embedding model",
    );
}

/// Clocks may be this far apart.
const SKEW_SECONDS: i64 = 5;

async fn server(config: &Config, store: &Store, checks: &mut Checks) {
    let health = match store.server_health().await {
        Err(error) => return checks.fail("database", &error, "grant its role the rights on the schema"),
        Ok(health) => health,
    };
    // It is open: the version is one that we support, and no migration is missing.
    checks.add("database", true, format!("PostgreSQL {}", health.version), "");
    checks.add("migrations", true, "all are there", "");
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
        "to write documents and to make index versions",
        "run `shopkeeper migrate` as the role that the daemon uses, or grant it the schema",
    );
    let wanted = i64::from(config.database.max_connections.get());
    let free = health.max_connections - health.connections;
    checks.add(
        "connections",
        free >= wanted.min(health.max_connections / 2),
        format!(
            "{} of {} are in use; a daemon takes up to {wanted}",
            health.connections, health.max_connections
        ),
        "raise the server's max_connections or lower database.max_connections",
    );
    space::look(config, health.bytes, checks);
    let skew = (clock::now() - health.now).num_seconds().abs();
    checks.add(
        "clock",
        skew <= SKEW_SECONDS,
        format!("{skew} s apart from the database's"),
        "let both hosts follow a time server",
    );
    checks.add(
        "leases",
        health.stuck_leases == 0,
        format!("{} jobs whose worker is gone and that nobody took up", health.stuck_leases),
        "start a daemon: it takes them up within seconds",
    );
    let how = if config.database.direct_url.is_some() { "past the pooler" } else { "by database.url" };
    match store.notification_time().await {
        Ok(Some(time)) => checks.add("notifications", true, format!("heard {how} after {time:.1?}"), ""),
        Ok(None) => checks.add("notifications", false, "NOTIFY is not heard", POOLER),
        Err(error) => checks.fail("notifications", &error, POOLER),
    }
    match store.replica_health().await {
        Ok(None) => {}
        Ok(Some(replica)) => checks.add(
            "replica",
            replica.lag_seconds.is_some_and(|lag| lag < STALE_REPLICA_SECONDS),
            match replica.lag_seconds {
                Some(lag) => format!("searched, and {lag:.1} s behind"),
                None => "database.read_url leads to no replica that follows a server".to_owned(),
            },
            "look after its replication; answers are as old as the replica",
        ),
        Err(error) => checks.fail("replica", &error, "start it; until then the database itself is searched"),
    }
}

/// A replica further behind answers from an old catalogue.
const STALE_REPLICA_SECONDS: f64 = 60.0;

const POOLER: &str = "set database.direct_url to the database itself, past the pooler that database.url leads to: until \
                      then work begins up to a second late";

async fn index(store: &Store, checks: &mut Checks) {
    let health = match store.index_health().await {
        Err(error) => return checks.fail("index", &error, "run `shopkeeper migrate`"),
        Ok(None) => return checks.add("index", false, "there is none", "run `shopkeeper sync --wait`"),
        Ok(Some(health)) => health,
    };
    let version = health.version;
    match health.is_valid {
        Some(true) => {
            checks.add("index", true, format!("version {version} has its HNSW index"), "");
            usage(store, checks).await;
        }
        _ if health.is_filling => {
            checks.add("index", true, format!("version {version} gets its HNSW index when it is filled"), "");
        }
        _ => checks.add(
            "index",
            false,
            format!("version {version} has no usable HNSW index: searches read every chunk"),
            "start a daemon: it builds the index when the sources are indexed",
        ),
    }
}

/// With fewer chunks it is quicker to read them all.
const MANY: i64 = 10_000;

/// Whether searches go through the HNSW index.
async fn usage(store: &Store, checks: &mut Checks) {
    let active = match store.index_status().await {
        Err(error) => return checks.fail("search", &error, ""),
        Ok(all) => all.into_iter().find(|index| index.version.state == IndexState::Active),
    };
    let Some(active) = active.filter(|active| active.chunks >= MANY) else { return };
    let (version, chunks) = (active.version.id, active.chunks);
    match store.is_searched_by_index(&active.version).await {
        Err(error) => checks.fail("search", &error, ""),
        Ok(true) => checks.add("search", true, format!("goes through the HNSW index of version {version}"), ""),
        Ok(false) => checks.add(
            "search",
            false,
            format!("reads all {chunks} chunks of version {version} though it has its HNSW index"),
            &format!(
                "run `analyze shopkeeper.chunk_{version}` in the database; when that does not help, look at its \
                 random_page_cost and seq_page_cost"
            ),
        ),
    }
}

/// Longer than this no document should be stale.
const STALE_SECONDS: f64 = 3600.0;

async fn coverage(config: &Config, store: &Store, checks: &mut Checks) {
    let sources = match store.source_status().await {
        Err(error) => return checks.fail("coverage", &error, ""),
        Ok(sources) => sources,
    };
    for source in sources {
        if !config.has_source(&source.source) {
            gone(&source, checks);
            continue;
        }
        let oldest = source.oldest_stale_seconds.unwrap_or(0.0);
        checks.add(
            &format!("coverage of {}", source.source),
            source.last_sync_at.is_some() && source.failed == 0 && oldest < STALE_SECONDS,
            format!(
                "{} of {} documents are fresh, {} failed, the oldest is stale for {oldest:.0} s",
                source.fresh, source.documents, source.failed
            ),
            "run `shopkeeper sync --wait`; `shopkeeper jobs list --state dead` says why documents failed",
        );
    }
}

/// A source that left the settings: nobody compares it, and its documents are found as they were.
fn gone(source: &SourceStatus, checks: &mut Checks) {
    let (name, documents) = (&source.source, source.documents);
    if documents == 0 {
        return;
    }
    checks.add(
        &format!("source {name}"),
        false,
        format!("is not in the settings any more, and its {documents} documents are still searched"),
        &format!(
            "put it back, or run `shopkeeper sync --source {name} --allow-mass-delete`, which removes them"
        ),
    );
}

async fn sources(parts: &Parts, checks: &mut Checks) {
    for (name, source) in parts.catalogues() {
        match source.check().await {
            Ok(()) => checks.add(&format!("source {name}"), true, "is read and has the columns", ""),
            Err(error) => checks.fail(
                &format!("source {name}"),
                &error,
                "correct the [[source]], or what it reads; docs/catalogue.md says what its role needs",
            ),
        }
    }
    for (name, source) in parts.postgres_sources() {
        let Ok(triggers) = source.trigger_status().await else { continue };
        let none = triggers.iter().all(|trigger| trigger.state == "missing");
        let current = triggers.iter().all(|trigger| trigger.state == "installed");
        let detail = match (none, current) {
            (true, _) => "none: changes are seen by polls and listings",
            (_, true) => "installed and current",
            _ => "not all are there, or the settings have changed since",
        };
        checks.add(
            &format!("triggers of {name}"),
            none || current,
            detail,
            "run `shopkeeper trigger install`",
        );
    }
}

async fn models(config: &Config, store: &Store, parts: &Parts, checks: &mut Checks) {
    match store.stopped_since().await {
        Err(error) => return checks.fail("models", &error, ""),
        Ok(Some(_)) => {
            return checks.add(
                "models",
                true,
                "not asked: the stop button is pressed (`shopkeeper resume`)",
                "",
            );
        }
        Ok(None) => {}
    }
    for model in parts.versions.models() {
        embedding(model, checks).await;
    }
    let prompt = Prompt {
        system: "Answer with one word.".to_owned(),
        messages: vec![Message { role: Role::User, content: "Are you there?".to_owned() }],
        temperature: 0.0,
        max_tokens: 16,
    };
    let answered = parts.composer.completer.complete(&prompt, None, &unlimited).await;
    verdict(&format!("model {}", config.answers.model), answered.map(|_| "answers".to_owned()), checks);
}

async fn embedding(model: &Model, checks: &mut Checks) {
    let embedded = model.embedder.embed(&["Are you there?".to_owned()], &unlimited).await;
    let detail = embedded.map(|_| format!("gives vectors of {} dimensions", model.model.dimensions));
    verdict(&format!("model {}", model.model.name), detail, checks);
}

fn verdict(name: &str, detail: Result<String, ModelError>, checks: &mut Checks) {
    let remedy = match &detail {
        Ok(_) => "",
        Err(ModelError::Unavailable { .. }) => {
            "look at base_url and the network; what waits goes on when it is back"
        }
        Err(ModelError::Refused { .. }) => "correct the api_key, or pay",
        Err(ModelError::Rejected { .. } | ModelError::Nonsense { .. } | ModelError::NoVector { .. }) => {
            "correct the model's name, its dimensions, or base_url"
        }
    };
    match detail {
        Ok(detail) => checks.add(name, true, detail, ""),
        Err(error) => checks.add(name, false, error.to_string(), remedy),
    }
}
