//! Measures enqueueing, draining, and the time from enqueue to start, of jobs that do nothing.
//!
//! All promises of our queue are switched on: history, fences, leases, coalescing. Every contestant has a
//! database of its own on one private server with the server's default settings, and the contestants
//! take turns. Each figure is the median of the rounds.

use std::{
    sync::{
        Arc,
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
    store::{Reach, Store},
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

/// How much is done in each round.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Jobs that are enqueued one after the other.
    singles: u64,
    /// Jobs that are enqueued in bulk and drained.
    jobs: u64,
    /// Jobs whose start is timed.
    starts: u64,
}

/// Jobs of one bulk.
const BULK: u64 = 1000;
/// Between two jobs whose start is timed.
const PAUSE: Duration = Duration::from_millis(10);
/// Nothing takes longer.
const LIMIT: Duration = Duration::from_mins(1);

/// A queue that is measured.
pub(crate) trait Contestant: Send + Sync {
    /// Its name in the results.
    fn name(&self) -> &'static str;
    /// Enqueues one job that carries this instant.
    fn enqueue_one(&self, at: f64) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Enqueues jobs in one bulk.
    fn enqueue_bulk(&self, jobs: u64) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Where and how to see whether jobs are left whose end is not written down.
    fn unfinished(&self) -> (&PgPool, &'static str);
    /// Runs jobs until stopped; each is told to [`RUNS`].
    fn work(&self, concurrency: u32, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>;
}

/// What the jobs of the present round have told. One for the process: the peers' handlers are plain
/// functions.
pub(crate) static RUNS: RunCounter = RunCounter {
    count: AtomicU64::new(0),
    target: AtomicU64::new(0),
    all: Notify::const_new(),
    first: std::sync::Mutex::new(None),
    late: std::sync::Mutex::new(Vec::new()),
};

/// Counts jobs that ran.
pub(crate) struct RunCounter {
    count: AtomicU64,
    target: AtomicU64,
    all: Notify,
    first: std::sync::Mutex<Option<Instant>>,
    /// From enqueue to start, in milliseconds.
    late: std::sync::Mutex<Vec<f64>>,
}

impl RunCounter {
    /// A job runs that was enqueued at this instant, if it says one.
    pub(crate) fn job(&self, at: f64) {
        if at > 0.0 {
            let late = (now() - at) * 1e3;
            lock(&self.late).push(late);
        }
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        if count == 1 {
            *lock(&self.first) = Some(Instant::now());
        }
        if count == self.target.load(Ordering::Acquire) {
            self.all.notify_one();
        }
    }

    fn reset(&self, jobs: u64) {
        self.count.store(0, Ordering::Release);
        self.target.store(jobs, Ordering::Release);
        lock(&self.late).clear();
    }

    async fn all(&self, name: &str) -> anyhow::Result<()> {
        tokio::time::timeout(LIMIT, self.all.notified()).await.with_context(|| {
            let (count, target) = (self.count.load(Ordering::Acquire), self.target.load(Ordering::Acquire));
            format!("{name}: {count} of {target} jobs ran in {} s", LIMIT.as_secs())
        })
    }

    fn late(&self) -> Vec<f64> {
        lock(&self.late).clone()
    }
}

fn lock<T>(value: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Seconds since this process first asked.
pub(crate) fn now() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
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
            let payloads = vec![json!({ "at": 0.0 }); keys.len()];
            self.store.enqueue(Noop::KIND, &keys, &payloads).await?;
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

/// The figures of one contestant, one for each round.
#[derive(Default)]
struct Figures {
    enqueue_one: Vec<f64>,
    enqueue_bulk: Vec<f64>,
    drain_c10: Vec<f64>,
    drain_c50: Vec<f64>,
    start_p50: Vec<f64>,
    start_p99: Vec<f64>,
    /// It did not get through its jobs; the rounds before count.
    is_stuck: bool,
}

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
    let jobs = options.jobs;
    let effort = Effort { singles: (jobs / 20).max(1), jobs, starts: jobs.min(300) };
    let bare_url = create_database(server, "bare").await?;
    let contestants = contestants(server).await?;
    let mut measured: Vec<_> = contestants.into_iter().map(|one| (one, Figures::default())).collect();
    let mut bare = Vec::new();
    for round in 1..=options.rounds {
        for (place, (contestant, figures)) in measured.iter_mut().enumerate() {
            if figures.is_stuck {
                continue;
            }
            note(format!("round {round} of {}: {}", options.rounds, contestant.name()));
            match measure(contestant.as_ref(), effort, figures).await {
                Err(error) if place > 0 => {
                    note(format!("left out from here on: {error:#}"));
                    figures.is_stuck = true;
                }
                other => other?,
            }
        }
        note(format!("round {round} of {}: bare SQL", options.rounds));
        bare.push(bare_sql(&bare_url, jobs).await?);
    }
    Ok(compare(measured, percentile(&bare, 0.5)))
}

/// Sets up our queue, which comes first, and the peers.
async fn contestants(server: &Postgres) -> anyhow::Result<Vec<Box<dyn Contestant>>> {
    let reach = Reach {
        url: create_database(server, "ours").await?,
        direct_url: None,
        read_url: None,
        max_connections: 20,
        statement_timeout: Duration::from_secs(30),
    };
    let store = Store::open_migrated(&reach).await?;
    let pool = PgPoolOptions::new().max_connections(1).connect(&reach.url).await?;
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

fn compare(measured: Vec<(Box<dyn Contestant>, Figures)>, bare: f64) -> Vec<Comparison> {
    let names: [(&'static str, &'static str); 6] = [
        ("enqueue_one", "jobs/s"),
        ("enqueue_bulk", "jobs/s"),
        ("drain_c10", "jobs/s"),
        ("drain_c50", "jobs/s"),
        ("start_p50_ms", "ms"),
        ("start_p99_ms", "ms"),
    ];
    let medians = |figures: Figures| {
        [
            figures.enqueue_one,
            figures.enqueue_bulk,
            figures.drain_c10,
            figures.drain_c50,
            figures.start_p50,
            figures.start_p99,
        ]
        .map(|values| percentile(&values, 0.5))
    };
    let mut all = measured.into_iter().map(|(one, figures)| (one.name(), medians(figures)));
    let ours = all.next().map_or([f64::NAN; 6], |(_, values)| values);
    let theirs: Vec<_> = all.collect();
    let mut results = Vec::new();
    for (place, (name, unit)) in names.into_iter().enumerate() {
        let value = ours[place];
        let mut beside = |compared_to, compared_value| {
            results.push(Comparison::new(name, value, unit, compared_to, compared_value));
        };
        for (peer, values) in theirs.iter().filter(|(_, values)| values[place].is_finite()) {
            beside(peer, values[place]);
        }
        if name == "drain_c50" {
            beside("bare SQL, claim and delete by 100", bare);
        }
    }
    results
}

async fn measure(contestant: &dyn Contestant, effort: Effort, figures: &mut Figures) -> anyhow::Result<()> {
    let name = contestant.name();
    RUNS.reset(effort.singles);
    let started = Instant::now();
    for _ in 0..effort.singles {
        contestant.enqueue_one(0.0).await?;
    }
    figures.enqueue_one.push(rate(effort.singles, started));
    drain(contestant, 50).await?;
    for (concurrency, rates) in [(10, &mut figures.drain_c10), (50, &mut figures.drain_c50)] {
        RUNS.reset(effort.jobs);
        let started = Instant::now();
        let mut left = effort.jobs;
        while left > 0 {
            let bulk = left.min(BULK);
            contestant.enqueue_bulk(bulk).await?;
            left -= bulk;
        }
        if concurrency == 10 {
            figures.enqueue_bulk.push(rate(effort.jobs, started));
        }
        rates.push(rate_of(effort.jobs, drain(contestant, concurrency).await?));
    }
    RUNS.reset(effort.starts);
    let stop = CancellationToken::new();
    let work = contestant.work(10, stop.clone());
    let ask = async {
        // Until it listens.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        for _ in 0..effort.starts {
            contestant.enqueue_one(now()).await?;
            tokio::time::sleep(PAUSE).await;
        }
        RUNS.all(name).await?;
        stop.cancel();
        anyhow::Ok(())
    };
    let (worked, asked) = tokio::join!(work, ask);
    asked?;
    worked?;
    let late = RUNS.late();
    figures.start_p50.push(percentile(&late, 0.5));
    figures.start_p99.push(percentile(&late, 0.99));
    Ok(())
}

/// Runs what is enqueued; how long that took from the start of the first job to the written end of the last.
async fn drain(contestant: &dyn Contestant, concurrency: u32) -> anyhow::Result<Duration> {
    let stop = CancellationToken::new();
    let all = async {
        let ended = ended(contestant).await;
        let took = lock(&RUNS.first).map(|first| first.elapsed()).unwrap_or_default();
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
            bail!(
                "{}: the end of some jobs was not written down in {} s",
                contestant.name(),
                LIMIT.as_secs()
            );
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
        let taken: Vec<(i64, serde_json::Value)> = sqlx::query_as(
            "update job set worker = 'bench' where id = any (array(
                 select id from job where worker is null order by id limit 100 for update skip locked
             )) returning id, payload",
        )
        .fetch_all(&pool)
        .await?;
        if taken.is_empty() {
            pool.close().await;
            return Ok(rate(jobs, started));
        }
        let ids: Vec<_> = taken.into_iter().map(|(id, _)| id).collect();
        sqlx::query("delete from job where id = any ($1)").bind(ids).execute(&pool).await?;
    }
}

fn rate(jobs: u64, since: Instant) -> f64 {
    rate_of(jobs, since.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
fn rate_of(jobs: u64, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
