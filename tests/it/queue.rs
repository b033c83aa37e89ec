//! The queue: what it promises today.

use std::sync::atomic::AtomicU32;

use crate::prelude::*;
use shopkeeper::{
    job::{Attempt, Backoff, Outcome},
    queue::{AHEAD, Limits, Queue, Wakeup},
    store::jobs::{ClaimedJob, JobEnd, NewJob, UnwrittenEnds},
};
use tokio::sync::{Notify, Semaphore};

/// A job that does what its payload says.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) runs: AtomicU32,
    pub(crate) running: AtomicU32,
    pub(crate) most_running: AtomicU32,
    pub(crate) started: Notify,
    pub(crate) gate: Option<Semaphore>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Payload {
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
            "wait" => std::future::pending().await,
            "follow with nonsense" => Ok(Outcome::Done(vec![NewJob {
                kind: "scripted",
                key: "never".into(),
                payload: json!({ "wish": "\0" }),
            }])),
            "follow" => Ok(Outcome::Done(vec![NewJob {
                kind: "scripted",
                key: "followed".into(),
                payload: json!({ "wish": "nothing" }),
            }])),
            _ => Ok(Outcome::Done(Vec::new())),
        }
    }
}

pub(crate) const LIMITS: Limits = Limits {
    concurrency: 4,
    fleet_concurrency: None,
    max_attempts: 3,
    ahead: AHEAD,
    lease: Duration::from_secs(3),
    backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(1) },
};

pub(crate) struct Running {
    pub(crate) job: Arc<Scripted>,
    pub(crate) stop: CancellationToken,
    pub(crate) queue: Queue,
    worker: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(world: &World, job: Scripted, limits: Limits) -> Self {
        Self::start_on(world.store.clone(), job, limits)
    }

    #[expect(clippy::disallowed_methods, reason = "the handle is awaited in `stop`")]
    pub(crate) fn start_on(store: Store, job: Scripted, limits: Limits) -> Self {
        let (job, stop, wakeup) = (Arc::new(job), CancellationToken::new(), Wakeup::new(&[Scripted::KIND]));
        let queue = Queue::new(store.clone(), wakeup.clone(), stop.clone());
        let (working, stopped, own) = (job.clone(), stop.clone(), queue.clone());
        let worker = tokio::spawn(async move {
            let (worked, (), ()) =
                tokio::join!(own.work(working, limits), wakeup.listen(&store, &stopped), own.upkeep());
            worked.unwrap();
        });
        Self { job, stop, queue, worker }
    }

    /// Returns when so many of its jobs wait at the gate.
    pub(crate) async fn at_work(&self, jobs: u32) {
        let full = async {
            while self.job.running.load(Ordering::SeqCst) < jobs {
                self.job.started.notified().await;
            }
        };
        timeout(LIMIT, full).await.expect("fewer run");
    }

    pub(crate) async fn stop(self) -> Arc<Scripted> {
        self.stop.cancel();
        self.worker.await.unwrap();
        self.job
    }
}

pub(crate) async fn enqueue(world: &World, key: &str, wish: &str) {
    let payload = json!({ "wish": wish });
    world.store.enqueue(Scripted::KIND, &[key.to_owned()], &[payload]).await.unwrap();
}

pub(crate) async fn claim(world: &World, worker: &str, limit: u32, lease: Duration) -> Vec<ClaimedJob> {
    let claim = Claim { kind: Scripted::KIND, worker, limit, lease, max_attempts: 3, ..Claim::default() };
    world.store.claim(claim).await.unwrap()
}

pub(crate) const EMPTY: &str = "not exists (select from shopkeeper.job where kind = 'scripted')";

/// Enqueues one job, runs it to its end and says how it ended.
async fn ending(wish: &str) -> (String, Option<String>, i32) {
    let world = World::new().await;
    enqueue(&world, "k", wish).await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("the job has ended", EMPTY).await;
    running.stop().await;
    world.row("select outcome, error, attempts from shopkeeper.job_history").await
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
    let payloads = [json!({ "wunsch": 1 }), json!({ "wish": "nothing" })];
    world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap();
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("both have ended", EMPTY).await;
    running.stop().await;
    let bad = world.text("select error from shopkeeper.job_history where outcome = 'dead'").await;
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
    world.until_some("job_history where key = 'z'").await;
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
    world.until_some("job where last_error is not null").await;
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
    running.at_work(1).await;
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
    running.at_work(4).await;
    running.job.gate.as_ref().unwrap().add_permits(20);
    world.until("all is done", EMPTY).await;
    assert_eq!(running.stop().await.most_running.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn follow_ups_are_enqueued_when_the_job_is_done() {
    let world = World::new().await;
    enqueue(&world, "k", "follow").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until_some("job_history where key = 'followed'").await;
    running.stop().await;
}

#[tokio::test]
async fn a_job_longer_than_its_lease_keeps_it_and_runs_once() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    running.at_work(1).await;
    let first: DateTime<Utc> = world.value("select lease_until from shopkeeper.job").await;
    let later = format!(
        "exists (select from shopkeeper.job where lease_until > '{first}'::timestamptz + interval '4 s')"
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
    let follow_up = NewJob { kind: "scripted", key: "never".into(), payload: json!({}) };
    let late = JobEnd::done(lost[0].lease, vec![follow_up]);
    assert_eq!(world.store.end_jobs(&[late]).await.unwrap().lost, [lost[0].lease]);
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
    running.at_work(4).await;
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
    world.until_some("job where last_error = 'as wished'").await;
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 1);
    let waits = "job where state = 'scheduled' and attempts = 1 and run_at > now() + interval '40 s'";
    assert_eq!(world.count(waits).await, 1);
}

#[tokio::test]
async fn a_key_named_twice_in_one_bulk_is_one_job_with_the_last_payload_and_is_free_again_when_done() {
    let world = World::new().await;
    let keys = ["k", "l", "k"].map(str::to_owned);
    let payloads = [1, 2, 3].map(|n| json!({ "wish": n.to_string() }));
    assert_eq!(world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap(), 2);
    let wish = world.text("select payload ->> 'wish' from shopkeeper.job where key = 'k'").await;
    assert_eq!(wish, "3");
    let running = Running::start(&world, Scripted::default(), LIMITS);
    world.until("both are done", EMPTY).await;
    enqueue(&world, "k", "nothing").await;
    world.until_count(3, "job_history where outcome = 'done'").await;
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
async fn two_workers_whose_jobs_outlast_their_leases_run_each_once() {
    let world = World::new().await;
    for n in 0..20 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    let gated = || Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let (one, other) = (Running::start(&world, gated(), LIMITS), Running::start(&world, gated(), LIMITS));
    world.until_count(8, "job where state = 'running'").await;
    let renewed =
        "bool_and(lease_until > started_at + interval '7 s') from shopkeeper.job where state = 'running'";
    world.until("the leases were renewed beyond two lengths", renewed).await;
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
        world.execute("update shopkeeper.job set state = 'ready'").await;
        assert_eq!(claim(&world, "ends", 1, Duration::ZERO).await.len(), 1);
        world.until("its lease has run out", "bool_and(lease_until < now()) from shopkeeper.job").await;
        assert_eq!(world.store.rescue().await.unwrap(), 1);
    }
    assert_eq!(world.count("job").await, 0);
    let error = world.text("select error from shopkeeper.job_history where outcome = 'dead'").await;
    assert!(error.contains("the lease ran out"), "{error}");
}

#[tokio::test]
async fn an_acknowledgement_whose_reply_was_lost_is_repeated_without_effect() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let claimed = claim(&world, "w", 1, Duration::from_mins(1)).await;
    let follow_up = NewJob { kind: "scripted", key: "next".into(), payload: json!({}) };
    let finished = [JobEnd::done(claimed[0].lease, vec![follow_up])];
    assert_eq!(world.store.end_jobs(&finished).await.unwrap(), UnwrittenEnds::default());
    assert_eq!(
        world.store.end_jobs(&finished).await.unwrap().lost,
        [claimed[0].lease],
        "it is no longer held"
    );
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
    let error = world.text("select error from shopkeeper.job_history where key = 'bad'").await;
    assert!(error.starts_with("its outcome cannot be written"), "{error}");
}
