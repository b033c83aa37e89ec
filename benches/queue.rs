//! Measures enqueueing, draining, and the time from enqueue to start, of jobs that do nothing.
//!
//! All promises of our queue are switched on: history, fences, leases, coalescing. Every contestant has a
//! database of its own on one private server with the server's default settings, and the contestants
//! take turns. Each figure is the median of the rounds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Parser;
use futures::future::BoxFuture;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use shopkeeper::{
    demo::postgres::Postgres,
    job::{Attempt, Backoff, Job, JobError, Outcome},
    queue::{AHEAD, Limits, Queue, Wakeup},
    store::{DatabaseSettings, Store},
    telemetry,
};

mod common;
#[cfg(feature = "bench-peers")]
mod peers;

use common::{Common, Comparison, create_database, note, percentile};

/// Enqueue, drain, and the time from enqueue to start, of jobs that do nothing
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Jobs that are enqueued in bulk and drained
    #[arg(long, value_name = "N", default_value = "50000", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Rounds; the figures are their medians
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// Jobs of one bulk.
const BULK: u64 = 1000;
/// Between two jobs whose start is timed.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest time for the jobs of one measurement.
const LIMIT: Duration = Duration::from_mins(1);

/// A queue that is measured.
pub(crate) trait Contestant: Send + Sync {
    /// Its name in the results.
    fn name(&self) -> &'static str;
    /// Enqueues one job that carries this instant.
    fn enqueue_one(&self, at: f64) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Enqueues jobs in one bulk.
    fn enqueue_bulk(&self, jobs: u64) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Returns a query that is true while the end of some job is not written down, and where to ask it.
    fn unfinished(&self) -> (&PgPool, &'static str);
    /// Runs jobs until stopped; each reports to [`RUNS`].
    fn work(&self, concurrency: u32, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>;
}

/// The runs of the current measurement. One for the process: the peers' handlers are plain functions.
pub(crate) static RUNS: Runs = Runs {
    state: Mutex::new(RunState { count: 0, target: 0, first: None, late: Vec::new() }),
    all: Notify::const_new(),
};

/// Counts jobs that ran.
pub(crate) struct Runs {
    state: Mutex<RunState>,
    all: Notify,
}

struct RunState {
    count: u64,
    target: u64,
    first: Option<Instant>,
    /// From enqueue to start, in milliseconds.
    late: Vec<f64>,
}

impl Runs {
    /// Counts a job that was enqueued at this instant; 0 is none.
    pub(crate) fn job(&self, at: f64) {
        let mut state = self.lock();
        if at > 0.0 {
            state.late.push((now() - at) * 1e3);
        }
        state.first.get_or_insert_with(Instant::now);
        state.count += 1;
        if state.count == state.target {
            self.all.notify_one();
        }
    }

    fn reset(&self, target: u64) {
        *self.lock() = RunState { count: 0, target, first: None, late: Vec::new() };
    }

    async fn all(&self, name: &str) -> anyhow::Result<()> {
        tokio::time::timeout(LIMIT, self.all.notified()).await.with_context(|| {
            let state = self.lock();
            format!("{name}: {} of {} jobs ran in {} s", state.count, state.target, LIMIT.as_secs())
        })
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since this process first asked.
pub(crate) fn now() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() + 1.0
}

/// Our own queue.
struct Ours {
    store: Store,
    /// For what the store does not tell.
    pool: PgPool,
    /// The next key that was not used yet.
    keys: AtomicU64,
}

/// A job that does nothing.
struct Noop;

#[derive(serde::Deserialize)]
struct At {
    at: f64,
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    type Payload = At;

    async fn run(&self, payload: At, _: &Attempt) -> Result<Outcome, JobError> {
        RUNS.job(payload.at);
        Ok(Outcome::Done(Vec::new()))
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        "shopkeeper"
    }

    fn enqueue_one(&self, at: f64) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let key = self.keys.fetch_add(1, Ordering::Relaxed).to_string();
            self.store.enqueue(Noop::KIND, &[key], &[json!({ "at": at })]).await?;
            Ok(())
        })
    }

    fn enqueue_bulk(&self, jobs: u64) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let first = self.keys.fetch_add(jobs, Ordering::Relaxed);
            let keys: Vec<_> = (first..first + jobs).map(|key| key.to_string()).collect();
            self.store.enqueue(Noop::KIND, &keys, &vec![json!({ "at": 0.0 }); keys.len()]).await?;
            Ok(())
        })
    }

    fn unfinished(&self) -> (&PgPool, &'static str) {
        (&self.pool, "select exists (select from shopkeeper.job)")
    }

    fn work(&self, concurrency: u32, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        let (store, wakeup) = (self.store.clone(), Wakeup::new(&[Noop::KIND]));
        let limits = Limits {
            concurrency,
            fleet_concurrency: None,
            max_attempts: 10,
            ahead: AHEAD,
            lease: Duration::from_mins(1),
            backoff: Backoff { first: Duration::from_secs(1), max: Duration::from_mins(1) },
        };
        Box::pin(async move {
            let queue = Queue::new(store.clone(), wakeup.clone(), stop.clone());
            let (worked, (), ()) = tokio::join!(
                queue.work(Arc::new(Noop), limits),
                wakeup.listen(&store, &stop),
                queue.upkeep()
            );
            Ok(worked?)
        })
    }
}

/// A contestant and its figures by name, one for each round.
struct Entry {
    contestant: Box<dyn Contestant>,
    figures: BTreeMap<&'static str, Vec<f64>>,
    /// It did not get through its jobs; the rounds before count.
    is_stuck: bool,
}

/// The figures and their units.
const NAMES: [(&str, &str); 6] = [
    ("enqueue_one", "jobs/s"),
    ("enqueue_bulk", "jobs/s"),
    ("drain_c10", "jobs/s"),
    ("drain_c50", "jobs/s"),
    ("start_p50_ms", "ms"),
    ("start_p99_ms", "ms"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    telemetry::start("warn", telemetry::Format::Pretty, None);
    let server = options.common.start_server(&[("max_connections", "100")]).await?;
    let results = measure_all(&server, &options).await?;
    server.stop().await?;
    options.common.print(&results)
}

async fn measure_all(server: &Postgres, options: &Options) -> anyhow::Result<Vec<Comparison>> {
    let bare_url = create_database(server, "bare").await?;
    let entry = |contestant| Entry { contestant, figures: BTreeMap::new(), is_stuck: false };
    let mut entries: Vec<_> = contestants(server).await?.into_iter().map(entry).collect();
    let mut bare = Vec::new();
    for round in 1..=options.rounds {
        for (place, entry) in entries.iter_mut().enumerate().filter(|(_, entry)| !entry.is_stuck) {
            note(format!("round {round} of {}: {}", options.rounds, entry.contestant.name()));
            match entry.measure(options.jobs).await {
                Err(error) if place > 0 => {
                    note(format!("left out from here on: {error:#}"));
                    entry.is_stuck = true;
                }
                other => other?,
            }
        }
        note(format!("round {round} of {}: bare SQL", options.rounds));
        bare.push(bare_sql(&bare_url, options.jobs).await?);
    }
    let (ours, peers) = entries.split_first().context("we are a contestant")?;
    let mut results = Vec::new();
    for (name, unit) in NAMES {
        let mut add = |compared_to, theirs: &[f64]| {
            results.push(Comparison::at(0.5, (name, unit), &ours.figures[name], compared_to, theirs));
        };
        for peer in peers {
            if let Some(theirs) = peer.figures.get(name) {
                add(peer.contestant.name(), theirs);
            }
        }
        if name == "drain_c50" {
            add("bare SQL, claim and delete by 100", &bare);
        }
    }
    Ok(results)
}

/// Sets up our queue, which comes first, and the peers.
async fn contestants(server: &Postgres) -> anyhow::Result<Vec<Box<dyn Contestant>>> {
    let reach = DatabaseSettings {
        url: create_database(server, "ours").await?.parse()?,
        direct_url: None,
        read_url: None,
        max_connections: 20,
        statement_timeout: Duration::from_secs(30),
    };
    let store = Store::open_migrated(&reach).await?;
    let pool = PgPoolOptions::new().max_connections(1).connect(reach.url.expose()).await?;
    let ours: Box<dyn Contestant> = Box::new(Ours { store, pool, keys: AtomicU64::new(0) });
    #[cfg(feature = "bench-peers")]
    let peers = peers::all(server).await?;
    #[cfg(not(feature = "bench-peers"))]
    let peers = {
        note("left out: graphile_worker and apalis-postgres, which need the feature `bench-peers`");
        Vec::new()
    };
    Ok(std::iter::once(ours).chain(peers).collect())
}

impl Entry {
    async fn measure(&mut self, jobs: u64) -> anyhow::Result<()> {
        let Self { contestant, figures, .. } = self;
        let contestant = contestant.as_ref();
        let mut add = |name, figure| figures.entry(name).or_default().push(figure);
        let singles = (jobs / 20).max(1);
        RUNS.reset(singles);
        let started = Instant::now();
        for _ in 0..singles {
            contestant.enqueue_one(0.0).await?;
        }
        add("enqueue_one", rate(singles, started.elapsed()));
        drain(contestant, 50).await?;
        for (concurrency, name) in [(10, "drain_c10"), (50, "drain_c50")] {
            RUNS.reset(jobs);
            let started = Instant::now();
            let mut left = jobs;
            while left > 0 {
                let bulk = left.min(BULK);
                contestant.enqueue_bulk(bulk).await?;
                left -= bulk;
            }
            if concurrency == 10 {
                add("enqueue_bulk", rate(jobs, started.elapsed()));
            }
            add(name, rate(jobs, drain(contestant, concurrency).await?));
        }
        let starts = jobs.min(300);
        RUNS.reset(starts);
        let stop = CancellationToken::new();
        let work = contestant.work(10, stop.clone());
        let ask = async {
            // Until it listens.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            for _ in 0..starts {
                contestant.enqueue_one(now()).await?;
                tokio::time::sleep(PAUSE).await;
            }
            RUNS.all(contestant.name()).await?;
            stop.cancel();
            anyhow::Ok(())
        };
        let (worked, asked) = tokio::join!(work, ask);
        asked?;
        worked?;
        let late = std::mem::take(&mut RUNS.lock().late);
        add("start_p50_ms", percentile(&late, 0.5));
        add("start_p99_ms", percentile(&late, 0.99));
        Ok(())
    }
}

/// Runs all jobs; returns the time from the start of the first job until the end of the last was written down.
async fn drain(contestant: &dyn Contestant, concurrency: u32) -> anyhow::Result<Duration> {
    let stop = CancellationToken::new();
    let all = async {
        let ended = ended(contestant).await;
        let took = RUNS.lock().first.map(|first| first.elapsed()).unwrap_or_default();
        stop.cancel();
        ended.map(|()| took)
    };
    let (worked, took) = tokio::join!(contestant.work(concurrency, stop.clone()), all);
    worked?;
    took
}

/// Waits until every job ran and its end is written down.
async fn ended(contestant: &dyn Contestant) -> anyhow::Result<()> {
    RUNS.all(contestant.name()).await?;
    let (pool, unfinished) = contestant.unfinished();
    let deadline = Instant::now() + LIMIT;
    while sqlx::query_scalar(unfinished).fetch_one(pool).await? {
        if Instant::now() > deadline {
            let name = contestant.name();
            bail!("{name}: the end of some jobs was not written down in {} s", LIMIT.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Claims and deletes rows by the hundred in one loop: what a server can do for a queue without any promise.
async fn bare_sql(url: &str, jobs: u64) -> anyhow::Result<f64> {
    let pool: PgPool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    let fill = format!(
        "drop table if exists job;
         create table job (id bigint generated always as identity primary key, payload jsonb not null, worker text);
         create index on job (id) where worker is null;
         insert into job (payload) select '{{}}' from generate_series(1, {jobs})"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&pool).await?;
    let started = Instant::now();
    loop {
        let take = "update job set worker = 'bench' where id = any (array(
                 select id from job where worker is null order by id limit 100 for update skip locked
             )) returning id, payload";
        let taken: Vec<(i64, serde_json::Value)> = sqlx::query_as(take).fetch_all(&pool).await?;
        if taken.is_empty() {
            pool.close().await;
            return Ok(rate(jobs, started.elapsed()));
        }
        let ids: Vec<_> = taken.into_iter().map(|(id, _)| id).collect();
        sqlx::query("delete from job where id = any ($1)").bind(ids).execute(&pool).await?;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
fn rate(jobs: u64, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
