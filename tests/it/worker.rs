//! A worker in a process of its own, for tests that kill, stop or restart it.
//!
//! The process is this test binary again, with one ignored test chosen by name.

use std::process::Command;

use crate::{prelude::*, queue::LIMITS};
use shopkeeper::{
    job::{Attempt, Backoff, Outcome},
    queue::{CatchUp, Limits, Queue, Schedule, Ticks, Wakeup},
};
use sqlx::postgres::PgPoolOptions;

/// What the workers of these tests write.
pub(crate) const TABLES: &str = "
create table run (
    id bigint generated always as identity, job bigint not null, grp text, n bigint not null,
    started timestamptz not null default clock_timestamp(), ended timestamptz
);
create table effect (id bigint generated always as identity, job bigint not null, grp text, n bigint not null);
create index on run (job);
";

/// How long a claim of these workers holds.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// Starts one that runs jobs of kind `effect` and fires the schedule `each-second`.
pub(crate) fn worker(url: &str, slots: u32, environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "worker::process", "--ignored", "--nocapture"])
        .env("WORKER_DATABASE", url)
        .env("WORKER_SLOTS", slots.to_string())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(&mut command)
}

/// Writes one effect in the transaction that completes its job.
struct Effect {
    pool: PgPool,
}

#[derive(serde::Deserialize)]
struct Payload {
    n: i64,
    #[serde(default)]
    grp: Option<String>,
    /// The longest that it takes, in milliseconds.
    #[serde(default)]
    ms: u64,
    /// How often it fails, of 100.
    #[serde(default)]
    fails: u64,
}

impl Job for Effect {
    const KIND: &'static str = "effect";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        self.work(&payload, attempt).await.map_err(|error| JobError::Retry(error.to_string()))?
    }
}

impl Effect {
    async fn work(&self, payload: &Payload, attempt: &Attempt) -> sqlx::Result<Result<Outcome, JobError>> {
        let run: i64 = sqlx::query_scalar("insert into run (job, grp, n) values ($1, $2, $3) returning id")
            .bind(attempt.lease.job)
            .bind(&payload.grp)
            .bind(payload.n)
            .fetch_one(&self.pool)
            .await?;
        sleep(Duration::from_millis(payload.ms).mul_f64(random())).await;
        if random() * 100.0 < f64::from(u32::try_from(payload.fails).unwrap()) {
            return Ok(Err(JobError::Retry("as wished".to_owned())));
        }
        let mut transaction = self.pool.begin().await?;
        let effect = "with ended as (update run set ended = clock_timestamp() where id = $1)
             insert into effect (job, grp, n) select job, grp, n from run where id = $1";
        sqlx::query(effect).bind(run).execute(&mut *transaction).await?;
        // Every other job is left to the worker to complete.
        if payload.n % 2 == 1 {
            transaction.commit().await?;
            return Ok(Ok(Outcome::Done(Vec::new())));
        }
        let held = sqlx::query("select from shopkeeper.finish(array[$1], array[$2])")
            .bind(attempt.lease.job)
            .bind(attempt.lease.fence)
            .fetch_all(&mut *transaction)
            .await?;
        if held.is_empty() {
            return Ok(Err(JobError::LeaseLost));
        }
        if let Some(group) = &payload.grp {
            let advance = sqlx::query("select shopkeeper.advance('effect', array[$1])");
            advance.bind(group).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Ok(Outcome::Committed))
    }
}

/// From 0 to 1.
pub(crate) fn random() -> f64 {
    rand::random()
}

/// One of so many.
pub(crate) fn pick(of: usize) -> usize {
    rand::random_range(0..of)
}

#[tokio::test]
#[ignore = "a process that other tests start"]
async fn process() {
    let Ok(url) = std::env::var("WORKER_DATABASE") else { return };
    let slots = std::env::var("WORKER_SLOTS").unwrap().parse().unwrap();
    let pool = PgPoolOptions::new().max_connections(slots).connect_lazy(&url).unwrap();
    // The database may be away when a process starts.
    let store = loop {
        match Store::open(&reach(&url)).await {
            Ok(store) => break store,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    let (stop, wakeup) = (CancellationToken::new(), Wakeup::new(&[Effect::KIND]));
    let queue = Queue::new(store.clone(), wakeup.clone(), stop.clone());
    let backoff = Backoff { first: Duration::from_millis(5), max: Duration::from_millis(50) };
    let limits = Limits { concurrency: slots, max_attempts: 100, lease: LEASE, backoff, ..LIMITS };
    let schedule = Schedule {
        name: "each-second".into(),
        ticks: Ticks::new("* * * * * *", chrono_tz::Tz::UTC).unwrap(),
        catch_up: CatchUp::Latest,
        skip_live: false,
        time_limit: None,
        jitter: Duration::ZERO,
        kind: "tick",
        keys: vec!["tick".into()],
        payloads: vec![json!({})],
    };
    let (worked, (), (), ()) = tokio::join!(
        queue.work(Arc::new(Effect { pool }), limits),
        wakeup.listen(&store, &stop),
        queue.upkeep(),
        queue.keep_schedules(std::slice::from_ref(&schedule)),
    );
    worked.unwrap();
}
