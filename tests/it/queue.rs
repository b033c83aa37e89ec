//! The queue: what it promises today.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use shopkeeper::{
    jobs::{Attempt, Job, JobError, Outcome},
    queue::{Backoff, Limits, Queue, Wake},
    store::jobs::{Claim, ClaimedJob, Finished, JobFilter, NewJob},
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use sqlx::AssertSqlSafe;

use crate::support::{World, execute};

/// A job that does what its payload says.
#[derive(Default)]
struct Scripted {
    runs: AtomicU32,
    running: AtomicU32,
    most_running: AtomicU32,
    started: Notify,
    /// What jobs that wish to wait wait for.
    waiting: Notify,
    gate: Option<Semaphore>,
}

#[derive(serde::Deserialize)]
struct Payload {
    wish: String,
}

impl Job for Scripted {
    const KIND: &'static str = "scripted";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.started.notify_one();
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        match payload.wish.as_str() {
            "panic" => panic!("as wished"),
            "fail" => Err(JobError::Retry("as wished".into())),
            "fail once" if attempt.number == 1 => Err(JobError::Retry("as wished".into())),
            "die" => Err(JobError::Dead("as wished".into())),
            "snooze" => Err(JobError::Snooze { after: Duration::from_secs(100), reason: "as wished".into() }),
            "wait" => {
                self.waiting.notified().await;
                Ok(Outcome::Done(Vec::new()))
            }
            "follow with nonsense" => Ok(Outcome::Done(vec![NewJob {
                kind: "scripted",
                key: "never".into(),
                payload: serde_json::json!({ "wish": "\0" }),
            }])),
            "follow" => Ok(Outcome::Done(vec![NewJob {
                kind: "scripted",
                key: "followed".into(),
                payload: serde_json::json!({ "wish": "nothing" }),
            }])),
            _ => Ok(Outcome::Done(Vec::new())),
        }
    }
}

const LIMITS: Limits = Limits {
    concurrency: 4,
    fleet_concurrency: None,
    max_attempts: 3,
    lease: Duration::from_secs(1),
    backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(1) },
};

struct Running {
    job: Arc<Scripted>,
    stop: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "the handle is awaited in `stop`")]
    fn start(world: &World, job: Scripted, limits: Limits) -> Self {
        let (job, stop, wake) = (Arc::new(job), CancellationToken::new(), Wake::new(&[Scripted::KIND]));
        let queue = Queue::new(world.store.clone(), wake.clone(), stop.clone());
        let (working, store, stopped) = (job.clone(), world.store.clone(), stop.clone());
        let worker = tokio::spawn(async move {
            let (worked, (), ()) =
                tokio::join!(queue.work(working, limits), wake.listen(&store, &stopped), queue.upkeep());
            worked.unwrap();
        });
        Self { job, stop, worker }
    }

    async fn stop(self) -> Arc<Scripted> {
        self.stop.cancel();
        self.worker.await.unwrap();
        self.job
    }
}

async fn enqueue(world: &World, key: &str, wish: &str) {
    let payload = serde_json::json!({ "wish": wish });
    world.store.enqueue(Scripted::KIND, &[key.to_owned()], &[payload]).await.unwrap();
}

async fn claim(world: &World, worker: &str, limit: u32, lease: Duration) -> Vec<ClaimedJob> {
    let claim = Claim { kind: Scripted::KIND, worker, limit, fleet_limit: None, lease, max_attempts: 3 };
    world.store.claim(claim).await.unwrap()
}

const EMPTY: &str = "not exists (select from shopkeeper.job where kind = 'scripted')";

/// Enqueues one job, runs it to its end and says how it ended.
async fn ending(wish: &str) -> (String, Option<String>, i32) {
    let world = World::new().await;
    enqueue(&world, "k", wish).await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("the job has ended", EMPTY).await;
    running.stop().await;
    sqlx::query_as("select outcome, error, attempts from shopkeeper.job_history")
        .fetch_one(&world.ours)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_job_that_fails_once_is_done_at_the_second_attempt() {
    assert_eq!(ending("fail once").await, ("done".into(), None, 2));
}

#[tokio::test]
async fn a_job_that_always_fails_is_dead_after_its_last_attempt_and_keeps_its_error() {
    assert_eq!(ending("fail").await, ("dead".into(), Some("as wished".into()), 3));
}

#[tokio::test]
async fn a_job_that_can_never_succeed_is_dead_at_once() {
    assert_eq!(ending("die").await, ("dead".into(), Some("as wished".into()), 1));
}

#[tokio::test]
async fn a_panic_is_a_failure_of_that_job_and_the_worker_lives_on() {
    assert_eq!(ending("panic").await, ("dead".into(), Some("the job panicked: as wished".into()), 3));
}

#[tokio::test]
async fn a_payload_that_does_not_parse_is_dead_and_the_next_job_runs() {
    let world = World::new().await;
    let keys = ["bad".to_owned(), "good".to_owned()];
    let payloads = [serde_json::json!({ "wunsch": 1 }), serde_json::json!({ "wish": "nothing" })];
    world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap();
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("both have ended", EMPTY).await;
    running.stop().await;
    let bad: String = world.value("select error from shopkeeper.job_history where outcome = 'dead'").await;
    assert!(bad.contains("missing field `wish`"), "{bad}");
    assert_eq!(world.count("job_history where outcome = 'done'").await, 1);
}

#[tokio::test]
async fn a_snooze_charges_no_attempt_and_holds_no_slot() {
    let world = World::new().await;
    for n in 0..8 {
        enqueue(&world, &n.to_string(), "snooze").await;
    }
    enqueue(&world, "z", "nothing").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("the last is done", "exists (select from shopkeeper.job_history where key = 'z')").await;
    running.stop().await;
    assert_eq!(world.count("job where attempts = 0 and run_at > now() + interval '90 s'").await, 8);
}

#[tokio::test]
async fn a_key_that_waits_is_enqueued_once() {
    let world = World::new().await;
    for _ in 0..5 {
        enqueue(&world, "k", "nothing").await;
    }
    assert_eq!(world.count("job where key = 'k'").await, 1);
}

#[tokio::test]
async fn a_merge_does_not_shorten_a_backoff() {
    let world = World::new().await;
    enqueue(&world, "k", "snooze").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("it snoozes", "exists (select from shopkeeper.job where last_error is not null)").await;
    enqueue(&world, "k", "nothing").await;
    running.stop().await;
    assert_eq!(world.count("job where run_at > now() + interval '90 s'").await, 1);
}

#[tokio::test]
async fn a_key_enqueued_while_it_runs_runs_once_more_afterwards() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    running.job.started.notified().await;
    for _ in 0..3 {
        enqueue(&world, "k", "nothing").await;
    }
    running.job.gate.as_ref().unwrap().add_permits(10);
    world.until("all is done", EMPTY).await;
    let job = running.stop().await;
    assert_eq!(job.runs.load(Ordering::SeqCst), 2);
    assert_eq!(job.most_running.load(Ordering::SeqCst), 1, "never two runs of one key at once");
}

#[tokio::test]
async fn no_more_jobs_run_at_once_than_there_are_slots() {
    let world = World::new().await;
    for n in 0..20 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    let full = async {
        while running.job.running.load(Ordering::SeqCst) < 4 {
            running.job.started.notified().await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, full).await.unwrap();
    running.job.gate.as_ref().unwrap().add_permits(20);
    world.until("all is done", EMPTY).await;
    assert_eq!(running.stop().await.most_running.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn follow_ups_are_enqueued_when_the_job_is_done() {
    let world = World::new().await;
    enqueue(&world, "k", "follow").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world
        .until("the follow-up is done", "exists (select from shopkeeper.job_history where key = 'followed')")
        .await;
    running.stop().await;
}

#[tokio::test]
async fn a_job_longer_than_its_lease_keeps_it_and_runs_once() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    running.job.started.notified().await;
    let first: chrono::DateTime<chrono::Utc> = world.value("select lease_until from shopkeeper.job").await;
    let later = format!(
        "exists (select from shopkeeper.job where lease_until > '{first}'::timestamptz + interval '2 s')"
    );
    world.until("the lease was renewed far beyond its length", &later).await;
    running.job.gate.as_ref().unwrap().add_permits(10);
    world.until("it is done", EMPTY).await;
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_the_first_worker_writes_nothing() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let lost = claim(&world, "gone", 1, Duration::from_millis(1)).await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("another worker did it", EMPTY).await;
    running.stop().await;
    let follow_up = NewJob { kind: "scripted", key: "never".into(), payload: serde_json::json!({}) };
    let late = Finished { lease: lost[0].lease, follow_ups: vec![follow_up] };
    assert_eq!(world.store.finish(&[late]).await.unwrap(), [lost[0].lease]);
    assert_eq!(world.count("job").await, 0, "no follow-up of a lost lease");
    assert_eq!(world.count("job_history").await, 1);
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_gives_back_nothing_half_done() {
    let world = World::new().await;
    for n in 0..6 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    world.until("the slots are full", "count(*) = 4 from shopkeeper.job where worker is not null").await;
    running.stop.cancel();
    running.job.gate.as_ref().unwrap().add_permits(10);
    running.stop().await;
    assert_eq!(world.count("job_history where outcome = 'done'").await, 4);
    assert_eq!(world.count("job where worker is null and attempts = 0").await, 2);
}

#[tokio::test]
async fn failed_attempts_are_spaced_by_the_backoff() {
    let world = World::new().await;
    enqueue(&world, "k", "fail").await;
    let backoff = Backoff { first: Duration::from_secs(100), max: Duration::from_secs(100) };
    let running = Running::start(&world, Scripted::default(), Limits { backoff, ..LIMITS });
    world.until("it failed", "exists (select from shopkeeper.job where last_error = 'as wished')").await;
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 1);
    let waits = "job where state = 'scheduled' and attempts = 1 and run_at > now() + interval '40 s'";
    assert_eq!(world.count(waits).await, 1);
}

#[tokio::test]
async fn a_key_named_twice_in_one_bulk_is_one_job_with_the_last_payload_and_is_free_again_when_done() {
    let world = World::new().await;
    let keys = ["k", "l", "k"].map(str::to_owned);
    let payloads = [1, 2, 3].map(|n| serde_json::json!({ "wish": n.to_string() }));
    assert_eq!(world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap(), 2);
    let wish: String = world.value("select payload ->> 'wish' from shopkeeper.job where key = 'k'").await;
    assert_eq!(wish, "3");
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("both are done", EMPTY).await;
    enqueue(&world, "k", "nothing").await;
    world.until("it is done again", "count(*) = 3 from shopkeeper.job_history where outcome = 'done'").await;
    running.stop().await;
}

#[tokio::test]
async fn keys_that_are_null_merge_with_nothing() {
    let world = World::new().await;
    let enqueued: i64 = world
        .value("select shopkeeper.enqueue_many('scripted', array[null, null], array['{}', '{}']::jsonb[])")
        .await;
    assert_eq!((enqueued, world.count("job").await), (2, 2));
}

#[tokio::test]
async fn two_workers_with_short_leases_run_each_job_once() {
    let world = World::new().await;
    for n in 0..20 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    let limits = Limits { lease: Duration::from_millis(300), ..LIMITS };
    let gated = || Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let (one, other) = (Running::start(&world, gated(), limits), Running::start(&world, gated(), limits));
    world.until("both are full", "count(*) = 8 from shopkeeper.job where state = 'running'").await;
    let renewed =
        "bool_and(lease_until > started_at + interval '1 s') from shopkeeper.job where state = 'running'";
    world.until("the leases were renewed beyond three lengths", renewed).await;
    for running in [&one, &other] {
        running.job.gate.as_ref().unwrap().add_permits(20);
    }
    world.until("all is done", EMPTY).await;
    let runs = [one.stop().await, other.stop().await].map(|job| job.runs.load(Ordering::SeqCst));
    assert_eq!(runs.iter().sum::<u32>(), 20);
}

#[tokio::test]
async fn a_job_that_ends_its_worker_each_time_dies_after_its_last_attempt() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    for _ in 0..3 {
        assert_eq!(claim(&world, "ends", 1, Duration::ZERO).await.len(), 1);
        world.until("its lease has run out", "bool_and(lease_until < now()) from shopkeeper.job").await;
        assert_eq!(world.store.rescue().await.unwrap(), 1);
    }
    assert_eq!(world.count("job").await, 0);
    let error: String = world.value("select error from shopkeeper.job_history where outcome = 'dead'").await;
    assert!(error.contains("the lease ran out"), "{error}");
}

#[tokio::test]
async fn an_acknowledgement_whose_reply_was_lost_is_repeated_without_effect() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let claimed = claim(&world, "w", 1, Duration::from_mins(1)).await;
    let follow_up = NewJob { kind: "scripted", key: "next".into(), payload: serde_json::json!({}) };
    let finished = [Finished { lease: claimed[0].lease, follow_ups: vec![follow_up] }];
    assert!(world.store.finish(&finished).await.unwrap().is_empty());
    assert_eq!(world.store.finish(&finished).await.unwrap(), [claimed[0].lease], "it is no longer held");
    assert_eq!((world.count("job").await, world.count("job_history").await), (1, 1));
}

#[tokio::test]
async fn an_outcome_that_the_database_refuses_ends_its_own_job_only() {
    let world = World::new().await;
    // No jsonb can hold a null character.
    enqueue(&world, "bad", "follow with nonsense").await;
    for n in 0..3 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("all have ended", EMPTY).await;
    running.stop().await;
    assert_eq!(world.count("job_history where outcome = 'done'").await, 3);
    let error: String = world.value("select error from shopkeeper.job_history where key = 'bad'").await;
    assert!(error.starts_with("its outcome cannot be written"), "{error}");
}

#[tokio::test]
async fn a_stop_gives_jobs_that_were_claimed_ahead_back_uncharged() {
    let world = World::new().await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    // Short jobs make the worker claim ahead.
    for n in 0..50 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    world.until("it knows that they are short", EMPTY).await;
    let keys: Vec<_> = (0..100).map(|n| format!("long {n}")).collect();
    world
        .store
        .enqueue(Scripted::KIND, &keys, &vec![serde_json::json!({ "wish": "wait" }); 100])
        .await
        .unwrap();
    world.until("it claimed ahead", "count(*) > 4 from shopkeeper.job where state = 'running'").await;
    running.stop.cancel();
    world.until("the rest is given back", "count(*) = 4 from shopkeeper.job where state = 'running'").await;
    running.job.waiting.notify_waiters();
    running.stop().await;
    assert_eq!(world.count("job where state = 'ready' and attempts = 0").await, 96);
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_is_left_and_writes_nothing() {
    let world = World::new().await;
    enqueue(&world, "k", "wait").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    running.job.started.notified().await;
    let id: i64 = world.value("select id from shopkeeper.job").await;
    assert_eq!(world.store.cancel_jobs(&[id]).await.unwrap(), 1);
    // The slot is free again although the job never ended: four more can run.
    for n in 0..4 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    world.until("the others are done", EMPTY).await;
    tokio::time::timeout(crate::support::LIMIT, running.stop())
        .await
        .expect("nothing waits for the cancelled job");
    assert_eq!(world.count("job_history where outcome = 'cancelled' and key = 'k'").await, 1);
    assert_eq!(world.count("job_history where outcome = 'done'").await, 4);
}

#[tokio::test]
async fn a_paused_kind_starts_nothing_until_it_is_resumed() {
    let world = World::new().await;
    world.store.pause(Scripted::KIND).await.unwrap();
    enqueue(&world, "k", "nothing").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    assert!(claim(&world, "w", 1, Duration::from_secs(1)).await.is_empty());
    let jobs = world.store.jobs(&JobFilter { limit: 1, ..JobFilter::default() }).await.unwrap();
    assert_eq!(jobs[0].state, "paused");
    world.store.resume(Scripted::KIND).await.unwrap();
    world.until("it is done", EMPTY).await;
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_limit_over_all_daemons_holds_while_they_claim_together() {
    let world = World::new().await;
    let keys: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    world.store.enqueue(Scripted::KIND, &keys, &vec![serde_json::json!({}); 100]).await.unwrap();
    let claims = (0..8).map(|n| {
        let (store, worker) = (world.store.clone(), n.to_string());
        async move {
            let lease = Duration::from_mins(1);
            let claim = Claim {
                kind: "scripted",
                worker: &worker,
                limit: 4,
                fleet_limit: Some(10),
                lease,
                max_attempts: 3,
            };
            store.claim(claim).await.unwrap().len()
        }
    });
    assert_eq!(futures::future::join_all(claims).await.into_iter().sum::<usize>(), 10);
}

#[tokio::test]
async fn a_job_that_is_dead_can_be_run_again_and_discarded() {
    let world = World::new().await;
    enqueue(&world, "k", "die").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("it is dead", "exists (select from shopkeeper.job_history where outcome = 'dead')").await;
    let id: i64 = world.value("select id from shopkeeper.job_history").await;
    assert_eq!(world.store.retry_jobs(Some(&[id]), None).await.unwrap(), 1);
    world
        .until("it is dead again", "exists (select from shopkeeper.job_history where outcome = 'dead')")
        .await;
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 2);
    assert_eq!(world.store.discard_jobs(None, Some(Scripted::KIND)).await.unwrap(), 1);
    assert_eq!(world.count("job_history").await, 0);
}

#[tokio::test]
async fn a_group_whose_second_job_commits_after_its_first_ended_goes_on() {
    let world = World::new().await;
    let ask = "select shopkeeper.enqueue('scripted', payload => '{\"wish\": \"nothing\"}', group_key => 'g')";
    execute(&world.url(), ask).await;
    let mut late = world.ours.begin().await.unwrap();
    sqlx::query(ask).execute(&mut *late).await.unwrap();
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("the first is done", "count(*) = 1 from shopkeeper.job_history").await;
    late.commit().await.unwrap();
    world.until("the second is done", "count(*) = 2 from shopkeeper.job_history").await;
    running.stop().await;
}

#[tokio::test]
async fn a_dead_head_frees_the_next_of_its_group_and_a_retried_one_does_not() {
    let world = World::new().await;
    for wish in ["die", "snooze", "nothing"] {
        let payload = serde_json::json!({ "wish": wish });
        sqlx::query("select shopkeeper.enqueue('scripted', $1, $2, group_key => 'g')")
            .bind(wish)
            .bind(payload)
            .execute(&world.ours)
            .await
            .unwrap();
    }
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("the second snoozes", "exists (select from shopkeeper.job where state = 'scheduled')").await;
    running.stop().await;
    let states: Vec<(String, String)> = sqlx::query_as("select key, state from shopkeeper.job order by id")
        .fetch_all(&world.ours)
        .await
        .unwrap();
    assert_eq!(states, [("snooze".into(), "scheduled".into()), ("nothing".into(), "blocked".into())]);
}

/// Pages that a claim of ten touches.
async fn pages(world: &World) -> i64 {
    let mut transaction = world.ours.begin().await.unwrap();
    let plan: serde_json::Value = sqlx::query_scalar(
        "explain (analyze, buffers, format json) select * from shopkeeper.claim('scripted', 10, 'w', '1 min', 3)",
    )
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    transaction.rollback().await.unwrap();
    let plan = &plan[0]["Plan"];
    assert_eq!(plan["Actual Rows"].as_f64(), Some(10.0), "{plan}");
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

#[tokio::test]
async fn a_claim_touches_no_more_pages_beside_a_million_rows_than_beside_a_thousand() {
    let world = World::new().await;
    let fill = async |columns: &str, from: &str| {
        let statement = format!("insert into {columns} select {from}");
        sqlx::query(AssertSqlSafe(statement)).execute(&world.ours).await.unwrap();
    };
    let ready = "'scripted', 'ready' from generate_series(1, {})";
    fill("shopkeeper.job (kind, state)", &ready.replace("{}", "1000")).await;
    // The planner believes that there are a thousand, whatever comes.
    execute(
        &world.url(),
        "analyze shopkeeper.job; alter table shopkeeper.job set (autovacuum_enabled = off)",
    )
    .await;
    pages(&world).await;
    let few = pages(&world).await;
    let scheduled = "'scripted', 'scheduled', now() + interval '1 hour' from generate_series(1, 1000000)";
    fill("shopkeeper.job (kind, state, run_at)", scheduled).await;
    assert!(2 * pages(&world).await <= 3 * few, "beside scheduled ones: {} and {few}", pages(&world).await);
    let history = "g, 'scripted', '{}', 0, 'done', 1, now(), now() from generate_series(1, 1000000) as g";
    fill(
        "shopkeeper.job_history (id, kind, payload, priority, outcome, attempts, created_at, run_at)",
        history,
    )
    .await;
    assert!(2 * pages(&world).await <= 3 * few, "beside history: {} and {few}", pages(&world).await);
    fill("shopkeeper.job (kind, state)", &ready.replace("{}", "1000000")).await;
    assert!(2 * pages(&world).await <= 3 * few, "beside waiting ones: {} and {few}", pages(&world).await);
}

#[tokio::test]
async fn a_group_without_a_head_goes_on_although_all_workers_are_busy() {
    let world = World::new().await;
    let orphan = "insert into shopkeeper.job (kind, group_key, state) values ('busy', 'g', 'blocked')";
    execute(&world.url(), orphan).await;
    let stop = CancellationToken::new();
    let queue = Queue::new(world.store.clone(), Wake::new(&[]), stop.clone());
    let advanced = async {
        world.until("it is ready", "exists (select from shopkeeper.job where state = 'ready')").await;
        stop.cancel();
    };
    tokio::join!(queue.upkeep(), advanced);
}

#[tokio::test]
async fn a_key_that_is_being_enqueued_does_not_hold_up_the_leases_of_others() {
    let world = World::new().await;
    for key in ["k", "l"] {
        enqueue(&world, key, "nothing").await;
    }
    let leases: Vec<_> =
        claim(&world, "w", 2, Duration::from_secs(5)).await.iter().map(|job| job.lease).collect();
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("select shopkeeper.enqueue('scripted', 'k')").execute(&mut *open).await.unwrap();
    let renewing = world.store.renew(&leases, Duration::from_mins(5));
    let lost = tokio::time::timeout(Duration::from_secs(10), renewing).await.expect("it waits for nobody");
    assert!(lost.unwrap().is_empty(), "both are still held");
    assert_eq!(
        world.count("job where lease_until > now() + interval '1 min'").await,
        1,
        "the other is renewed"
    );
    open.commit().await.unwrap();
}

#[tokio::test]
async fn a_full_batch_of_delayed_jobs_says_that_there_may_be_more() {
    let world = World::new().await;
    let due =
        "insert into shopkeeper.job (kind, state) select 'late', 'scheduled' from generate_series(1, 1001)";
    execute(&world.url(), due).await;
    let first = world.store.promote().await.unwrap();
    assert_eq!((first.jobs, first.is_full), (1000, true));
    let second = world.store.promote().await.unwrap();
    assert_eq!((second.jobs, second.is_full), (1, false));
}
