//! Other queues over PostgreSQL beside ours, each set up for speed as its manual says.

use std::time::Duration;

use anyhow::anyhow;
use apalis::{layers::WorkerBuilderExt, prelude::*};
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use apalis_postgres::{Config, PostgresStorage};
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerOptions, WorkerUtils,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio_util::sync::CancellationToken;

use shopkeeper::demo::postgres::Postgres;

use crate::{
    Contestant, RUNS,
    common::{create_database, note},
};

/// Connections of each, as many as ours has.
const CONNECTIONS: u32 = 20;

/// Sets up all peers; says which of them cannot be set up on this server.
pub(crate) async fn all(server: &Postgres) -> anyhow::Result<Vec<Box<dyn Contestant>>> {
    let graphile = Graphile::new(&create_database(server, "graphile").await?).await;
    let apalis = Apalis::new(&create_database(server, "apalis").await?).await;
    let peers = [
        graphile.map(|peer| Box::new(peer) as Box<dyn Contestant>),
        apalis.map(|peer| Box::new(peer) as Box<dyn Contestant>),
    ];
    let told = |peer: anyhow::Result<_>| peer.map_err(|error| note(format!("left out: {error}"))).ok();
    Ok(peers.into_iter().filter_map(told).collect())
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noop {
    at: f64,
}

struct Graphile {
    pool: PgPool,
    utils: WorkerUtils,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, _: graphile_worker::WorkerContext) -> impl IntoTaskHandlerResult {
        RUNS.job(self.at);
        Ok::<(), String>(())
    }
}

impl Graphile {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
        let worker = options(&pool).init().await.map_err(|error| anyhow!("graphile_worker: {error}"))?;
        Ok(Self { pool, utils: worker.create_utils() })
    }
}

fn options(pool: &PgPool) -> WorkerOptions {
    WorkerOptions::default()
        .define_job::<Noop>()
        .pg_pool(pool.clone())
        .local_queue(LocalQueueConfig::default().with_size(500))
        .complete_job_batch_delay(Duration::from_millis(1))
        .fail_job_batch_delay(Duration::from_millis(1))
        .listen_os_shutdown_signals(false)
}

impl Contestant for Graphile {
    fn name(&self) -> &'static str {
        "graphile_worker 0.14"
    }

    fn enqueue_one(&self, at: f64) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let added = self.utils.add_job(Noop { at }, JobSpec::default()).await;
            added.map(drop).map_err(|error| anyhow!("graphile_worker: {error}"))
        })
    }

    fn enqueue_bulk(&self, jobs: u64) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let spec = JobSpec::default();
            let jobs: Vec<_> = (0..jobs).map(|_| (Noop { at: 0.0 }, &spec)).collect();
            let added = self.utils.add_jobs::<Noop>(&jobs).await;
            added.map(drop).map_err(|error| anyhow!("graphile_worker: {error}"))
        })
    }

    fn unfinished(&self) -> (&PgPool, &'static str) {
        (&self.pool, "select exists (select from graphile_worker._private_jobs)")
    }

    fn work(&self, concurrency: u32, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        let options =
            options(&self.pool).concurrency(concurrency as usize).shutdown_signal(stop.cancelled_owned());
        Box::pin(async move {
            let worker = options.init().await.map_err(|error| anyhow!("graphile_worker: {error}"))?;
            worker.run().await.map_err(|error| anyhow!("graphile_worker: {error}"))
        })
    }
}

async fn seen(job: Noop) -> Result<(), BoxDynError> {
    RUNS.job(job.at);
    Ok(())
}

struct Apalis {
    pool: PgPool,
}

impl Apalis {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
        PostgresStorage::setup(&pool).await.map_err(|error| anyhow!("apalis-postgres: {error}"))?;
        Ok(Self { pool })
    }

    fn storage(&self) -> PostgresStorage<Noop> {
        PostgresStorage::new(&self.pool).with_config(Config::default().queue("noop").batch_size(100))
    }
}

impl Contestant for Apalis {
    fn name(&self) -> &'static str {
        "apalis-postgres 1.0"
    }

    fn enqueue_one(&self, at: f64) -> BoxFuture<'_, anyhow::Result<()>> {
        let mut storage = self.storage();
        let pushed = async move { storage.push(Noop { at }).await };
        Box::pin(pushed.map_err(|error| anyhow!("apalis-postgres: {error}")))
    }

    fn enqueue_bulk(&self, jobs: u64) -> BoxFuture<'_, anyhow::Result<()>> {
        let mut storage = self.storage();
        let jobs = (0..jobs).map(|_| Noop { at: 0.0 }).collect();
        let pushed = async move { storage.push_bulk(jobs).await };
        Box::pin(pushed.map_err(|error| anyhow!("apalis-postgres: {error}")))
    }

    fn unfinished(&self) -> (&PgPool, &'static str) {
        (&self.pool, "select exists (select from apalis.jobs where status <> 'Done')")
    }

    fn work(&self, concurrency: u32, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        #[expect(clippy::disallowed_methods, reason = "apalis asks for a function that spawns")]
        let spawn = tokio::spawn;
        // A worker's name may not be used again soon after it ended.
        let worker = WorkerBuilder::new(format!("noop-{}", uuid::Uuid::new_v4()))
            .backend(self.storage().with_pubsub())
            .parallelize(spawn)
            .concurrency(concurrency as usize)
            .build(seen);
        Box::pin(async move {
            tokio::select! {
                ended = worker.run().boxed() => ended.map_err(|error| anyhow!("apalis-postgres: {error}")),
                () = stop.cancelled() => Ok(()),
            }
        })
    }
}
