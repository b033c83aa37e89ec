//! The composition root: builds the parts from the settings, runs the daemon, and shuts it down in order.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answering::job::AnswerQuestion,
    bulk::ChangeJobs,
    config::Config,
    http::{self, Api},
    indexing::{
        fill::{FillIndex, REFRESHING},
        refresh::RefreshDocument,
    },
    job::{BatchJob, Job},
    queue::Heartbeat,
    store::{Store, StoreError},
    sync::reconcile::SyncCatalogue,
    telemetry,
    webhook::job::DeliverWebhook,
};

mod assembly;
mod console;
mod listeners;
pub mod plan;
mod roles;
mod routes;
mod schedules;
mod workers;

pub use assembly::{Parts, assemble, planner, prepare, previewed};
pub use listeners::Listeners;
pub use roles::{Role, Roles};
pub use schedules::schedules;
use schedules::sync_payloads;
pub use workers::Workers;

/// How long running jobs and requests may take to finish after the first signal.
const GRACE: Duration = Duration::from_mins(1);
/// How long the database's connections may take to close.
const CLOSE: Duration = Duration::from_secs(2);

/// Registers in the database what happens when jobs of each kind die or are cancelled.
pub async fn declare_kinds(store: &Store) -> Result<(), StoreError> {
    let kinds = [
        (AnswerQuestion::KIND, AnswerQuestion::ON_DEAD),
        (DeliverWebhook::KIND, DeliverWebhook::ON_DEAD),
        (RefreshDocument::KIND, RefreshDocument::ON_DEAD),
        (ChangeJobs::KIND, ChangeJobs::ON_DEAD),
    ];
    store.declare_kinds(&kinds).await
}

/// Registers the sources and webhooks of the settings in the database, for producers and triggers that name them.
pub async fn note(config: &Config, store: &Store) -> anyhow::Result<()> {
    let webhooks = config.webhooks.iter().map(|webhook| {
        let events = webhook.events.iter().map(|event| <&str>::from(event).to_owned()).collect();
        (webhook.name.clone(), events)
    });
    store.note_sources(&config.source_names()).await?;
    Ok(store.note_webhooks(&webhooks.collect::<Vec<_>>()).await?)
}

/// A daemon that accepts work.
pub struct Started {
    /// The address of its API.
    pub address: Option<SocketAddr>,
    /// Whether its workers reach the database.
    pub heartbeat: Heartbeat,
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
    let store = Store::open_migrated(&config.database).await?;
    let parts = prepare(config, &store).await?;
    let api = routes::api(config, &store, &parts, &stop)?;
    let public = listeners.api.filter(|_| roles.has(Role::Http)).map(TcpListener::from_std).transpose()?;
    let admin = listeners.admin.map(TcpListener::from_std).transpose()?;
    let address = public.as_ref().and_then(|listener| listener.local_addr().ok());
    let schedules = schedules(config)?;
    enqueue(config, &store, &parts, roles).await?;
    // The last step that can fail, since it also affects the daemon that runs on after a failed reload.
    note(config, &store).await?;

    let workers = Workers::new(&store);
    workers.start_roles(config, &store, &parts, roles, schedules);
    let heartbeat = workers.queue.heartbeat().clone();
    let watched = heartbeat.clone();
    api.readiness.watch(move || watched.is_steady());
    let servers = TaskTracker::new();
    let pages = console::routes(config, &store, &parts, &servers, &stop).await?;
    for (listener, routes) in
        [(public, http::api(api.clone())), (admin, http::admin(api.clone()).merge(pages))]
    {
        let Some(listener) = listener else { continue };
        servers.spawn(serve(listener, routes, stop.clone()));
    }
    watch(&servers, &api, &workers, &parts, roles, &stop);
    started(Started { address, heartbeat });
    // Only now: a shop that does not answer must not delay the start.
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
        // After a reload the process goes on.
        queue.give_up();
        let _ = tokio::time::timeout(CLOSE, ended).await;
    }
    // Unfinished work may still use a connection; the end of the process closes it.
    let _ = tokio::time::timeout(CLOSE, store.close()).await;
    Ok(())
}

async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    // Small answers must not wait for the acknowledgement of earlier ones; a socket that cannot do so is slower.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "a listener ended: {error}");
    }
}

/// Starts the loops that are neither workers nor listeners.
fn watch(
    tasks: &TaskTracker,
    api: &Api,
    workers: &Workers,
    parts: &Parts,
    roles: Roles,
    stop: &CancellationToken,
) {
    let (rate, stopped) = (api.rate.clone(), stop.clone());
    tasks.spawn(async move { rate.keep(&stopped).await });
    let (waiting, store) = (api.waiting.clone(), api.store.clone());
    tasks.spawn(async move { waiting.listen(&store).await });
    let (store, stopped) = (api.store.clone(), stop.clone());
    tasks.spawn(async move { crate::answering::job::end_overdue(&store, &stopped).await });
    if roles.has(Role::Sync) {
        let (outdated, stopped) = (parts.outdated.clone(), stop.clone());
        tasks.spawn(async move { outdated.keep_marking(&stopped).await });
    }
    let (store, stopped) = (api.store.clone(), stop.clone());
    let (worker, waiting) = (workers.queue.worker().to_owned(), parts.waiting.clone());
    tasks.spawn(async move { waiting.keep_publishing(&store, &worker, &stopped).await });
    // One model is enough: all share one budget of money.
    if roles.has(Role::Refresh) {
        let (model, stopped) = (parts.versions.first_model().clone(), stop.clone());
        tasks.spawn(async move { model.backfill.keep_resuming(REFRESHING, &stopped).await });
    }
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
        let names = config.source_names();
        store.enqueue(SyncCatalogue::KIND, &names, &sync_payloads(&names)).await?;
    }
    Ok(())
}
