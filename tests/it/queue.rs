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
    store::jobs::{Claim, ClaimedJob, Finished, NewJob},
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::support::World;

/// A job that does what its payload says.
#[derive(Default)]
struct Scripted {
    runs: AtomicU32,
    running: AtomicU32,
    most_running: AtomicU32,
    started: Notify,
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
