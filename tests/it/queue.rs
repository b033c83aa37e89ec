//! The queue: what it promises today.

use std::{ops::Range, sync::atomic::AtomicU32};

use crate::prelude::*;
use shopkeeper::{
    job::{Attempt, Backoff, Outcome},
    queue::{AHEAD, Limits, Queue, Wakeup},
    store::jobs::{ClaimedJob, JobEnd, NewJob, UnwrittenEnds},
};
use tokio::sync::{Notify, Semaphore};

/// A job that does as its payload says.
#[derive(Default)]
pub(crate) struct Scripted {
    runs: AtomicU32,
    running: AtomicU32,
    most_running: AtomicU32,
    pub(crate) started: Notify,
    gate: Option<Semaphore>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Payload {
    wish: String,
}

impl Scripted {
    /// Jobs that wait at a gate that lets this many through.
    pub(crate) fn gated(permits: usize) -> Self {
        Self { gate: Some(Semaphore::new(permits)), ..Self::default() }
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
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
            "follow with nonsense" => Ok(Outcome::Done(vec![follow_up("never", "\0")])),
            "follow" => Ok(Outcome::Done(vec![follow_up("followed", "nothing")])),
            _ => Ok(Outcome::Done(Vec::new())),
        }
    }
}

fn follow_up(key: &str, wish: &str) -> NewJob {
    NewJob { kind: Scripted::KIND, key: key.into(), payload: json!({ "wish": wish }) }
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
    pub(crate) fn start(world: &World) -> Self {
        Self::with_limits(world, LIMITS)
    }

    pub(crate) fn with_limits(world: &World, limits: Limits) -> Self {
        Self::start_on(world.store.clone(), Scripted::default(), limits)
    }

    /// Its jobs wait at a gate that lets this many through.
    pub(crate) fn gated(world: &World, permits: usize, limits: Limits) -> Self {
        Self::start_on(world.store.clone(), Scripted::gated(permits), limits)
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
        in_time("fewer run", full).await;
    }

    /// Lets this many more jobs through the gate.
    pub(crate) fn open(&self, permits: usize) {
        self.job.gate.as_ref().unwrap().add_permits(permits);
    }

    pub(crate) async fn stop(self) -> Arc<Scripted> {
        self.stop.cancel();
        self.worker.await.unwrap();
        self.job
    }

    /// Stops when all jobs have ended.
    pub(crate) async fn finish(self, world: &World) -> Arc<Scripted> {
        world.until_none(SCRIPTED).await;
        self.stop().await
    }
}

/// The jobs of this kind.
pub(crate) const SCRIPTED: &str = "job where kind = 'scripted'";

pub(crate) async fn enqueue(world: &World, key: &str, wish: &str) {
    world.store.enqueue(Scripted::KIND, &[key.to_owned()], &[json!({ "wish": wish })]).await.unwrap();
}

/// Enqueues a job that does nothing for each number.
pub(crate) async fn enqueue_all(world: &World, numbers: Range<u32>) {
    let keys: Vec<_> = numbers.map(|n| n.to_string()).collect();
    let payloads = vec![json!({ "wish": "nothing" }); keys.len()];
    world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap();
}

pub(crate) async fn claim(world: &World, worker: &str, limit: u32, lease: Duration) -> Vec<ClaimedJob> {
    world.claim(Scripted::KIND, worker, limit, lease).await
}

/// A world with one job, whose key is `k`.
pub(crate) async fn with_job(wish: &str) -> World {
    let world = World::new().await;
    enqueue(&world, "k", wish).await;
    world
}

/// The same, in which a worker runs the job, and stops it at the gate.
async fn with_job_at_work() -> (World, Running) {
    let world = with_job("nothing").await;
    let running = Running::gated(&world, 0, LIMITS);
    running.at_work(1).await;
    (world, running)
}

#[tokio::test]
async fn a_job_ends_as_its_attempts_did_and_the_worker_survives_a_panic() {
    let world = World::new().await;
    let ends = [
        ("die", "dead", Some("as wished"), 1),
        ("fail", "dead", Some("as wished"), 3),
        ("fail once", "done", None, 2),
        ("panic", "dead", Some("the job panicked: as wished"), 3),
    ];
    for (wish, ..) in ends {
        enqueue(&world, wish, wish).await;
    }
    Running::start(&world).finish(&world).await;
    let seen = "select key, outcome, error, attempts from shopkeeper.job_history order by key";
    let seen: Vec<(String, String, Option<String>, i32)> = world.rows(seen).await;
    let ends = ends.map(|(wish, outcome, error, n)| (wish.into(), outcome.into(), error.map(Into::into), n));
    assert_eq!(seen, ends);
}

#[tokio::test]
async fn a_payload_that_does_not_parse_is_dead_and_the_next_job_runs() {
    let world = World::new().await;
    let keys = ["bad".to_owned(), "good".to_owned()];
    let payloads = [json!({ "wunsch": 1 }), json!({ "wish": "nothing" })];
    world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap();
    Running::start(&world).finish(&world).await;
    let bad = world.text("select error from shopkeeper.job_history where outcome = 'dead'").await;
    assert_contains(bad, "missing field `wish`");
    assert_eq!(world.count("job_history where outcome = 'done'").await, 1);
}

#[tokio::test]
async fn a_snooze_charges_no_attempt_and_holds_no_slot() {
    let world = World::new().await;
    for n in 0..8 {
        enqueue(&world, &n.to_string(), "snooze").await;
    }
    enqueue(&world, "z", "nothing").await;
    let running = Running::start(&world);
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
    let world = with_job("snooze").await;
    let running = Running::start(&world);
    world.until_some("job where last_error is not null").await;
    enqueue(&world, "k", "nothing").await;
    running.stop().await;
    assert_eq!(world.count("job where run_at > now() + interval '90 s'").await, 1);
}

#[tokio::test]
async fn a_key_enqueued_while_it_runs_runs_once_more_afterwards() {
    let (world, running) = with_job_at_work().await;
    for _ in 0..3 {
        enqueue(&world, "k", "nothing").await;
    }
    running.open(10);
    let job = running.finish(&world).await;
    assert_eq!(job.runs(), 2);
    assert_eq!(job.most_running.load(Ordering::SeqCst), 1, "never two runs of one key at once");
}

#[tokio::test]
async fn no_more_jobs_run_at_once_than_there_are_slots() {
    let world = World::new().await;
    enqueue_all(&world, 0..20).await;
    let running = Running::gated(&world, 0, LIMITS);
    running.at_work(4).await;
    running.open(20);
    assert_eq!(running.finish(&world).await.most_running.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn follow_ups_are_enqueued_when_the_job_is_done() {
    let world = with_job("follow").await;
    let running = Running::start(&world);
    world.until_some("job_history where key = 'followed'").await;
    running.stop().await;
}

#[tokio::test]
async fn a_job_longer_than_its_lease_keeps_it_and_runs_once() {
    let (world, running) = with_job_at_work().await;
    let first: DateTime<Utc> = world.value("select lease_until from shopkeeper.job").await;
    // Renewed far beyond its length.
    world.until_some(&format!("job where lease_until > '{first}'::timestamptz + interval '4 s'")).await;
    running.open(10);
    assert_eq!(running.finish(&world).await.runs(), 1);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_the_first_worker_writes_nothing() {
    let world = with_job("nothing").await;
    let lost = claim(&world, "gone", 1, Duration::from_millis(1)).await[0].lease;
    Running::start(&world).finish(&world).await;
    let late = JobEnd::done(lost, vec![follow_up("never", "nothing")]);
    assert_eq!(world.store.end_jobs(&[late]).await.unwrap().lost, [lost]);
    assert_eq!(world.count("job").await, 0, "no follow-up of a lost lease");
    assert_eq!(world.count("job_history").await, 1);
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_gives_back_nothing_half_done() {
    let world = World::new().await;
    enqueue_all(&world, 0..6).await;
    let running = Running::gated(&world, 0, LIMITS);
    running.at_work(4).await;
    running.stop.cancel();
    running.open(10);
    running.stop().await;
    assert_eq!(world.count("job_history where outcome = 'done'").await, 4);
    assert_eq!(world.count("job where worker is null and attempts = 0").await, 2);
}

#[tokio::test]
async fn failed_attempts_are_spaced_by_the_backoff() {
    let world = with_job("fail").await;
    let backoff = Backoff { first: Duration::from_secs(100), max: Duration::from_secs(100) };
    let running = Running::with_limits(&world, Limits { backoff, ..LIMITS });
    world.until_some("job where last_error = 'as wished'").await;
    assert_eq!(running.stop().await.runs(), 1);
    let waits = "job where state = 'scheduled' and attempts = 1 and run_at > now() + interval '40 s'";
    assert_eq!(world.count(waits).await, 1);
}

#[tokio::test]
async fn a_key_named_twice_in_one_bulk_is_one_job_with_the_last_payload_and_is_free_again_when_done() {
    let world = World::new().await;
    let keys = ["k", "l", "k"].map(str::to_owned);
    let payloads = [1, 2, 3].map(|n| json!({ "wish": n.to_string() }));
    assert_eq!(world.store.enqueue(Scripted::KIND, &keys, &payloads).await.unwrap(), 2);
    assert_eq!(world.text("select payload ->> 'wish' from shopkeeper.job where key = 'k'").await, "3");
    let running = Running::start(&world);
    world.until_none(SCRIPTED).await;
    enqueue(&world, "k", "nothing").await;
    world.until_count(3, "job_history where outcome = 'done'").await;
    running.stop().await;
}

#[tokio::test]
async fn keys_that_are_null_merge_with_nothing() {
    let world = World::new().await;
    let twice = "select shopkeeper.enqueue_many('scripted', array[null, null], array['{}', '{}']::jsonb[])";
    assert_eq!((world.value::<i64>(twice).await, world.count("job").await), (2, 2));
}

#[tokio::test]
async fn two_workers_whose_jobs_outlast_their_leases_run_each_once() {
    let world = World::new().await;
    enqueue_all(&world, 0..20).await;
    let workers = [Running::gated(&world, 0, LIMITS), Running::gated(&world, 0, LIMITS)];
    world.until_count(8, "job where state = 'running'").await;
    let renewed =
        "bool_and(lease_until > started_at + interval '7 s') from shopkeeper.job where state = 'running'";
    world.until("the leases were renewed beyond two lengths", renewed).await;
    for running in &workers {
        running.open(20);
    }
    let ended = join_all(workers.map(|running| running.finish(&world))).await;
    assert_eq!(ended.iter().map(|job| job.runs()).sum::<u32>(), 20);
}

#[tokio::test]
async fn a_job_that_ends_its_worker_each_time_dies_after_its_last_attempt() {
    let world = with_job("nothing").await;
    for _ in 0..3 {
        world.execute("update shopkeeper.job set state = 'ready'").await;
        assert_eq!(claim(&world, "ends", 1, Duration::ZERO).await.len(), 1);
        world.until_leases_end().await;
        assert_eq!(world.store.rescue().await.unwrap(), 1);
    }
    assert_eq!(world.count("job").await, 0);
    let error = world.text("select error from shopkeeper.job_history where outcome = 'dead'").await;
    assert_contains(error, "the lease expired");
}

#[tokio::test]
async fn an_acknowledgement_whose_reply_was_lost_is_repeated_without_effect() {
    let world = with_job("nothing").await;
    let lease = claim(&world, "w", 1, Duration::from_mins(1)).await[0].lease;
    let finished = [JobEnd::done(lease, vec![follow_up("next", "nothing")])];
    assert_eq!(world.store.end_jobs(&finished).await.unwrap(), UnwrittenEnds::default());
    assert_eq!(world.store.end_jobs(&finished).await.unwrap().lost, [lease], "it is no longer held");
    assert_eq!((world.count("job").await, world.count("job_history").await), (1, 1));
}

#[tokio::test]
async fn an_outcome_that_the_database_refuses_ends_its_own_job_only() {
    let world = World::new().await;
    // No jsonb can hold a null character.
    enqueue(&world, "bad", "follow with nonsense").await;
    enqueue_all(&world, 0..3).await;
    Running::start(&world).finish(&world).await;
    assert_eq!(world.count("job_history where outcome = 'done'").await, 3);
    let error = world.text("select error from shopkeeper.job_history where key = 'bad'").await;
    assert_starts(error, "its outcome cannot be written");
}
