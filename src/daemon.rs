//! The composition root: settings become parts, parts become a daemon, and the daemon ends in order.

use std::{
    net::{self, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{http::HeaderValue, serve::ListenerExt};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answering::job::AnswerQuestion,
    config::{Config, RequireToken},
    http::{self, Api, LastCount, Rate, Readiness, Waiting},
    indexing::{
        fill::{FillIndex, REFRESHING},
        refresh::RefreshDocument,
    },
    job::{BatchJob, Job},
    queue::{Heartbeat, Schedule},
    retention::PruneHistory,
    store::{Reach, Store, StoreError},
    sync::reconcile::SyncCatalogue,
    telemetry,
    webhook::job::DeliverWebhook,
};

mod assembly;
pub mod plan;
mod roles;
mod schedules;
mod workers;

pub use assembly::{Parts, assemble, planner, prepare};
pub use roles::{Role, Roles};
pub use schedules::schedules;
use schedules::sync_payloads;
pub use workers::Workers;

/// How long running jobs and requests may take to finish after the first signal.
const GRACE: Duration = Duration::from_mins(1);
/// How long the database's connections may take to close.
const CLOSE: Duration = Duration::from_secs(2);

/// How to reach our own database.
pub fn reach(config: &Config) -> Reach {
    Reach {
        url: config.database.url.expose().to_owned(),
        direct_url: config.database.direct_url.as_ref().map(|url| url.expose().to_owned()),
        read_url: config.database.read_url.as_ref().map(|url| url.expose().to_owned()),
        max_connections: config.database.max_connections.get(),
        statement_timeout: config.database.statement_timeout.0,
    }
}

/// Registers in the database what happens when jobs of each kind die or are cancelled.
pub async fn declare_kinds(store: &Store) -> Result<(), StoreError> {
    let kinds = [
        (AnswerQuestion::KIND, AnswerQuestion::ON_DEAD),
        (DeliverWebhook::KIND, DeliverWebhook::ON_DEAD),
        (RefreshDocument::KIND, RefreshDocument::ON_DEAD),
    ];
    store.declare_kinds(&kinds).await
}

/// A daemon that takes work.
pub struct Started {
    /// Where its API is.
    pub address: Option<SocketAddr>,
    /// Whether its workers get through to the database.
    pub heartbeat: Heartbeat,
}

/// Makes the sources and webhooks of a configuration known to our database: what others may name, and who is told.
pub async fn note(config: &Config, store: &Store) -> anyhow::Result<()> {
    let webhooks = config.webhooks.iter().map(|webhook| {
        let events = webhook.events.iter().map(|event| event.word().to_owned()).collect();
        (webhook.name.clone(), events)
    });
    store.note_sources(&source_names(config)).await?;
    Ok(store.note_webhooks(&webhooks.collect::<Vec<_>>()).await?)
}

/// Runs everything until `stop` is cancelled, then ends in order. `started` is called once the daemon takes work.
pub async fn run(
    config: &Config,
    listeners: Listeners,
    roles: Roles,
    stop: CancellationToken,
    started: impl FnOnce(Started),
) -> anyhow::Result<()> {
    telemetry::record();
    let store = Store::open_migrated(&reach(config)).await?;
    let parts = prepare(config, &store).await?;
    let api = Api {
        store: store.clone(),
        sources: source_names(config).into(),
        webhooks: config.webhooks.iter().map(|webhook| webhook.name.clone()).collect(),
        max_queued: config.answers.max_queued.get(),
        require_token: requires_token(config),
        is_local: config.http.listen.is_some_and(|address| address.ip().is_loopback()),
        origins: origins(config)?.into(),
        rate: Rate::per_minute(NonZeroU32::new(config.http.requests_per_minute)),
        kinds: Workers::KINDS,
        retriever: parts.retriever.clone(),
        max_question_chars: parts.answer.limits.max_question_chars,
        waiting: Waiting::new(stop.clone()),
        readiness: Readiness::default(),
        counted: LastCount::default(),
    };
    let public = listeners.api.filter(|_| roles.has(Role::Http));
    let address = public.as_ref().and_then(|listener| listener.local_addr().ok());
    let mut served = Vec::new();
    for (listener, routes) in [(public, http::api(api.clone())), (listeners.admin, http::admin(api.clone()))]
    {
        let Some(listener) = listener else { continue };
        served.push((TcpListener::from_std(listener)?, routes));
    }
    let schedules = schedules(config)?;
    enqueue(config, &store, &parts, roles).await?;
    // Nothing runs yet. This is the last that can fail: it is in force also for the daemon before, if that goes on.
    note(config, &store).await?;
    let workers = working(config, &store, &parts, roles, schedules);
    let heartbeat = workers.queue.heartbeat().clone();
    let watched = heartbeat.clone();
    api.readiness.watch(move || watched.is_steady());
    let servers = TaskTracker::new();
    for (listener, routes) in served {
        let stopped = stop.clone();
        servers.spawn(async move {
            // Small answers are not to wait for the acknowledgement of others; a socket that cannot is slower.
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            let serving = axum::serve(listener, routes).with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "a listener ended: {error}");
            }
        });
    }
    let (rate, stopped) = (api.rate.clone(), stop.clone());
    servers.spawn(async move { rate.keep(&stopped).await });
    let (waiting, answers) = (api.waiting.clone(), store.clone());
    servers.spawn(async move { waiting.listen(&answers).await });
    let (overdue, stopped) = (store.clone(), stop.clone());
    servers.spawn(async move { crate::answering::job::end_overdue(&overdue, &stopped).await });
    let (told, by, waiting, stopped) =
        (store.clone(), workers.queue.worker().to_owned(), parts.waiting.clone(), stop.clone());
    servers.spawn(async move { waiting.keep_publishing(&told, &by, &stopped).await });
    // All models have one budget of money.
    if let (true, Some(model)) = (roles.has(Role::Refresh), parts.versions.models().first().cloned()) {
        let stopped = stop.clone();
        servers.spawn(async move { model.backfill.keep_resuming(REFRESHING, &stopped).await });
    }
    started(Started { address, heartbeat });
    // A shop that is away takes its time, and nobody waits for it.
    stop.run_until_cancelled(parts.say_source_faults()).await;

    stop.cancelled().await;
    api.readiness.end();
    tracing::info!("stopping: finishing what runs");
    servers.close();
    let queue = workers.queue.clone();
    let ended = async { tokio::join!(workers.stop(), servers.wait()) };
    futures::pin_mut!(ended);
    if tokio::time::timeout(GRACE, &mut ended).await.is_err() {
        tracing::warn!("not everything finished in time; its leases will run out and others go on with it");
        // After a reload this process lives on.
        queue.give_up();
        let _ = tokio::time::timeout(CLOSE, ended).await;
    }
    // What was left may still use a connection; the end of the process closes it.
    let _ = tokio::time::timeout(CLOSE, store.close()).await;
    Ok(())
}

/// Enqueues what the workers of these roles begin with.
async fn enqueue(config: &Config, store: &Store, parts: &Parts, roles: Roles) -> anyhow::Result<()> {
    if roles.has(Role::Refresh) {
        for index in store.index_versions().await? {
            if parts.versions.model(&index).is_some() {
                FillIndex::enqueue(store, index.id).await?;
            }
        }
    }
    if roles.has(Role::Sync) {
        let names = source_names(config);
        store.enqueue(SyncCatalogue::KIND, &names, &sync_payloads(&names)).await?;
    }
    Ok(())
}

/// Starts the workers of these roles.
fn working(config: &Config, store: &Store, parts: &Parts, roles: Roles, schedules: Vec<Schedule>) -> Workers {
    let workers = Workers::new(store);
    if roles.has(Role::Refresh) {
        workers.start_refreshing(parts, &config.queue);
        workers.start(&parts.maintain, &config.queue.maintain_index);
    }
    if roles.has(Role::Answer) {
        workers.start(&parts.answer, &config.queue.answer_question);
        workers.start(&parts.eval, &config.queue.eval);
    }
    if roles.has(Role::Webhook) {
        workers.start(&parts.deliver, &config.queue.deliver_webhook);
    }
    if roles.has(Role::Scheduler) {
        let kept = |age: Duration| (!age.is_zero()).then_some(age);
        let prune = PruneHistory {
            store: store.clone(),
            job_history: kept(config.retention.job_history.0),
            answers: kept(config.retention.answers.0),
            deliveries: kept(config.retention.deliveries.0),
            cache_entries: config.embedding.cache_entries,
        };
        workers.start(&Arc::new(prune), &config.queue.prune_history);
        workers.keep(schedules);
    }
    if roles.has(Role::Sync) {
        workers.start(&parts.sync, &config.queue.sync_catalogue);
        workers.watch(&parts.sync, &config.sources);
    }
    workers
}

fn source_names(config: &Config) -> Vec<String> {
    config.sources.iter().map(|source| source.name.clone()).collect()
}

/// The sockets of the daemon, bound before anything else is done.
pub struct Listeners {
    /// For other services.
    pub api: Option<net::TcpListener>,
    /// For those who watch.
    pub admin: Option<net::TcpListener>,
}

impl Listeners {
    /// Binds what the settings say and the roles need.
    pub fn bind(config: &Config, roles: Roles) -> anyhow::Result<Self> {
        Ok(Self {
            api: listener("http.listen", config.http.listen.filter(|_| roles.has(Role::Http)))?,
            admin: listener("http.admin_listen", config.http.admin_listen)?,
        })
    }

    /// Binds what other settings say; a socket whose address is the same is the same.
    pub fn again(&self, old: &Config, new: &Config, roles: Roles) -> anyhow::Result<Self> {
        let wanted = new.http.listen.filter(|_| roles.has(Role::Http));
        let again =
            |key, kept: &Option<net::TcpListener>, old: Option<SocketAddr>, new: Option<SocketAddr>| {
                match kept {
                    Some(kept) if old == new => Ok(Some(kept.try_clone()?)),
                    _ => listener(key, new),
                }
            };
        Ok(Self {
            api: again("http.listen", &self.api, old.http.listen, wanted)?,
            admin: again("http.admin_listen", &self.admin, old.http.admin_listen, new.http.admin_listen)?,
        })
    }

    /// The same sockets once more.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let clone =
            |socket: &Option<net::TcpListener>| socket.as_ref().map(net::TcpListener::try_clone).transpose();
        Ok(Self { api: clone(&self.api)?, admin: clone(&self.admin)? })
    }
}

/// Whether a caller without a token is refused.
fn requires_token(config: &Config) -> bool {
    match config.http.require_token {
        RequireToken::Always => true,
        RequireToken::UnlessLoopback => config.http.listen.is_some_and(|address| !address.ip().is_loopback()),
        RequireToken::Never => false,
    }
}

/// The browsers' origins that may call the API.
fn origins(config: &Config) -> anyhow::Result<Vec<HeaderValue>> {
    let origins = config.http.cors_origins.iter();
    let origins =
        origins.map(|origin| origin.parse().with_context(|| format!("http.cors_origins: {origin:?}")));
    origins.collect()
}

fn listener(key: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<net::TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = listener.with_context(|| {
        format!("cannot listen on {address}: set {key} to another address, or \"\" to switch it off")
    })?;
    Ok(Some(listener))
}
