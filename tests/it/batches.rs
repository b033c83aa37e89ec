//! A kind whose jobs are run many at a time: each has its own outcome, and a broken run is charged to none of them.

use std::sync::Mutex;

use crate::{prelude::*, queue::LIMITS};
use serde::Deserialize;
use shopkeeper::{
    job::{BatchJob, JobRun, Outcome},
    queue::{Limits, Queue, Wakeup},
    store::jobs::ClaimedJob,
};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

/// Does as each payload wishes, and notes which jobs were run together.
struct Scripted {
    runs: Mutex<Vec<Vec<String>>>,
    started: Notify,
    /// Taken by each run before its jobs do anything.
    gate: Semaphore,
}

#[derive(Deserialize)]
struct Payload {
    wish: String,
    #[serde(default)]
    lane: String,
}

impl BatchJob for Scripted {
    const KIND: &'static str = "scripted_batch";
    const MOST: usize = 100;
    type Payload = Payload;

    fn lane(payload: &Payload) -> &str {
        &payload.lane
    }

    async fn run(&self, batch: Vec<JobRun<Payload>>) -> Vec<Result<Outcome, JobError>> {
        self.runs.lock().unwrap().push(batch.iter().map(|claimed| claimed.attempt.key.clone()).collect());
        self.started.notify_one();
        self.gate.acquire().await.unwrap().forget();
        let mut outcomes = Vec::new();
        for JobRun { payload, attempt } in batch {
            outcomes.push(match payload.wish.as_str() {
                "panic" => panic!("as wished"),
                "hang" => std::future::pending().await,
                "fail" => Err(JobError::Retry(format!("{} failed", attempt.key))),
                "die" => Err(JobError::Dead(format!("{} died", attempt.key))),
                "lost?" if attempt.lost.is_cancelled() => Err(JobError::LeaseLost),
                _ => Ok(Outcome::Done(Vec::new())),
            });
        }
        outcomes
    }
}

struct Running {
    job: Arc<Scripted>,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "the handle is awaited in `stop`")]
    fn start(world: &World, runs: usize, limits: Limits) -> Self {
        let (runs, gate) = (Mutex::default(), Semaphore::new(runs));
        let job = Arc::new(Scripted { runs, started: Notify::new(), gate });
        let (stop, wakeup) = (CancellationToken::new(), Wakeup::new(&[Scripted::KIND]));
        let queue = Queue::new(world.store.clone(), wakeup.clone(), stop.clone());
        let (working, stopped, store) = (job.clone(), stop.clone(), world.store.clone());
        let worker = tokio::spawn(async move {
            let work = queue.work_batches(working, limits);
            tokio::join!(work, wakeup.listen(&store, &stopped), queue.upkeep()).0.unwrap();
        });
        Self { job, stop, worker }
    }

    /// How many jobs each run had.
    fn sizes(&self) -> Vec<usize> {
        self.job.runs.lock().unwrap().iter().map(Vec::len).collect()
    }

    async fn stop(self) -> Vec<Vec<String>> {
        self.stop.cancel();
        self.worker.await.unwrap();
        std::mem::take(&mut self.job.runs.lock().unwrap())
    }

    /// Stops when all jobs have ended; returns the keys of each run.
    async fn finish(self, world: &World) -> Vec<Vec<String>> {
        world.until_none("job").await;
        self.stop().await
    }
}

const MANY: usize = Semaphore::MAX_PERMITS;
const WIDE: Limits = Limits { concurrency: 50, ..LIMITS };

async fn enqueue(world: &World, wishes: &[(&str, &str, &str)]) {
    let keys: Vec<_> = wishes.iter().map(|(key, ..)| (*key).to_owned()).collect();
    let payloads = wishes.iter().map(|(_, lane, wish)| json!({ "lane": lane, "wish": wish }));
    world.store.enqueue(Scripted::KIND, &keys, &payloads.collect::<Vec<_>>()).await.unwrap();
}

/// A job that does nothing for each of these keys.
fn idle(keys: &[String]) -> Vec<(&str, &str, &str)> {
    keys.iter().map(|key| (key.as_str(), "", "nothing")).collect()
}

/// Twenty jobs, of which the one with the key `bad` wishes this.
async fn with_one_bad(wish: &str) -> World {
    let world = World::new().await;
    let keys: Vec<_> = (1..20).map(|n| format!("good {n}")).collect();
    let mut wishes = idle(&keys);
    wishes.insert(7, ("bad", "", wish));
    enqueue(&world, &wishes).await;
    world
}

async fn history(world: &World, condition: &str) -> i64 {
    world.count(&format!("job_history where {condition}")).await
}

/// Jobs with the key `bad` that died after three attempts.
async fn culprits(world: &World, condition: &str) -> i64 {
    history(world, &format!("outcome = 'dead' and key = 'bad' and attempts = 3 and {condition}")).await
}

#[tokio::test]
async fn the_jobs_of_one_claim_are_one_run_and_each_has_its_own_outcome() {
    let world = World::new().await;
    let wishes =
        [("a", "", "nothing"), ("b", "", "fail"), ("c", "", "die"), ("d", "", "nothing"), ("e", "", "fail")];
    enqueue(&world, &wishes).await;
    assert_eq!(Running::start(&world, MANY, WIDE).finish(&world).await[0], ["a", "b", "c", "d", "e"]);
    for (key, outcome, attempts, error) in [
        ("a", "done", 1, None),
        ("b", "dead", 3, Some("b failed")),
        ("c", "dead", 1, Some("c died")),
        ("d", "done", 1, None),
        ("e", "dead", 3, Some("e failed")),
    ] {
        let ended = "select (outcome, attempts, error)::text from shopkeeper.job_history where key = ";
        let ended = world.text(&format!("{ended}'{key}'")).await;
        let error = error.map(|error| format!("\"{error}\"")).unwrap_or_default();
        assert_eq!(ended, format!("({outcome},{attempts},{error})"), "{key}");
    }
}

#[tokio::test]
async fn a_payload_that_does_not_parse_spoils_no_other() {
    let world = World::new().await;
    enqueue(&world, &[("a", "", "nothing"), ("c", "", "nothing")]).await;
    world.store.enqueue(Scripted::KIND, &["b".to_owned()], &[json!(7)]).await.unwrap();
    Running::start(&world, MANY, WIDE).finish(&world).await;
    assert_eq!(history(&world, "outcome = 'done'").await, 2);
    let unparsed = "outcome = 'dead' and key = 'b' and error ~ 'the payload is not one'";
    assert_eq!(history(&world, unparsed).await, 1);
}

#[tokio::test]
async fn after_a_panic_each_job_is_run_alone_and_only_the_culprit_is_charged() {
    let world = with_one_bad("panic").await;
    let runs = Running::start(&world, MANY, WIDE).finish(&world).await;
    assert_eq!(runs[0].len(), 20);
    assert!(runs[1..].iter().all(|run| run.len() == 1), "{runs:?}");
    // Once in the batch, and by itself as often as it may.
    assert_eq!(runs.iter().flatten().filter(|key| *key == "bad").count(), 4);
    assert_eq!(history(&world, "outcome = 'done' and attempts = 1").await, 19);
    assert_eq!(culprits(&world, "error = 'the job panicked: as wished'").await, 1);
}

#[tokio::test]
async fn after_a_time_out_each_job_is_run_alone_and_only_the_culprit_is_charged() {
    let world = with_one_bad("hang").await;
    world.execute("update shopkeeper.job set time_limit = '200 ms' where key = 'bad'").await;
    Running::start(&world, MANY, WIDE).finish(&world).await;
    assert_eq!(history(&world, "outcome = 'done' and attempts = 1").await, 19);
    assert_eq!(culprits(&world, "error ~ 'longer than the 200ms'").await, 1);
}

async fn claim(world: &World, limit: u32, lone: u32) -> Vec<ClaimedJob> {
    let (kind, lease, base) = (Scripted::KIND, Duration::ZERO, Claim::default());
    let claim = Claim { kind, worker: "w", limit, shared: true, lone, lease, max_attempts: 3, ..base };
    world.store.claim(claim).await.unwrap()
}

#[tokio::test]
async fn when_a_worker_dies_its_jobs_are_claimed_alone_and_only_the_one_that_then_ends_it_again_is_charged() {
    let world = with_one_bad("nothing").await;
    assert_eq!(claim(&world, 50, 1).await.len(), 20);
    let dies = async || {
        world.until_some("job where lease_until < now()").await;
        world.store.rescue().await.unwrap()
    };
    assert_eq!(dies().await, 20);
    assert_eq!(world.count("job where attempts = 0 and alone and state = 'ready'").await, 20);
    enqueue(&world, &[("new", "", "nothing")]).await;

    let claimed = claim(&world, 50, 1).await;
    let alone: Vec<_> = claimed.iter().filter(|job| job.is_alone).collect();
    assert_eq!((claimed.len(), alone.len()), (2, 1));
    let culprit = alone[0].lease.job;
    assert_eq!(dies().await, 2);
    assert_eq!(world.count(&format!("job where attempts = 1 and id = {culprit}")).await, 1);
    assert_eq!(world.count("job where attempts = 0 and alone").await, 20);
}

#[tokio::test]
async fn those_that_must_run_alone_run_one_at_a_time_beside_batches() {
    let world = with_one_bad("nothing").await;
    world.execute("update shopkeeper.job set alone = true where key ~ '[1-5]$' or key = 'bad'").await;
    let lone = world.count("job where alone").await;
    let running = Running::start(&world, 0, WIDE);
    for _ in 0..2 {
        timeout(LIMIT, running.job.started.notified()).await.unwrap();
    }
    world.until_count(20 - lone + 1, "job where state = 'running'").await;
    let mut sizes = running.sizes();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, usize::try_from(20 - lone).unwrap()]);
    running.job.gate.add_permits(100);
    running.finish(&world).await;
    assert_eq!(history(&world, "outcome = 'done' and attempts = 1").await, 20);
}

#[tokio::test]
async fn a_lane_that_hangs_holds_up_no_other_and_keeps_only_its_own_slots() {
    let world = World::new().await;
    enqueue(&world, &[("a", "slow", "hang"), ("b", "fast", "nothing"), ("c", "fast", "nothing")]).await;
    let running = Running::start(&world, MANY, Limits { concurrency: 3, ..LIMITS });
    world.until_count(2, "job_history").await;
    enqueue(&world, &[("d", "fast", "nothing"), ("e", "fast", "nothing")]).await;
    world.until_count(4, "job_history").await;
    world.store.cancel_jobs(&[world.value("select id from shopkeeper.job").await]).await.unwrap();
    let runs = running.stop().await;
    assert!(runs.contains(&vec!["a".to_owned()]), "{runs:?}");
    assert!(runs.contains(&vec!["b".to_owned(), "c".to_owned()]), "{runs:?}");
}

#[tokio::test]
async fn a_cancelled_job_of_a_batch_is_left_and_the_others_go_on() {
    let world = with_one_bad("lost?").await;
    let running = Running::start(&world, 0, WIDE);
    world.until_count(20, "job where state = 'running'").await;
    let bad = world.value("select id from shopkeeper.job where key = 'bad'").await;
    world.store.cancel_jobs(&[bad]).await.unwrap();
    world.until_count(19, "job").await;
    running.job.gate.add_permits(10);
    assert_eq!(running.finish(&world).await.len(), 1);
    assert_eq!(history(&world, "outcome = 'done'").await, 19);
    assert_eq!(history(&world, "outcome = 'cancelled' and key = 'bad'").await, 1);
}

#[tokio::test]
async fn no_more_jobs_of_batches_run_at_once_than_there_are_slots() {
    let world = World::new().await;
    let keys: Vec<_> = (0..30).map(|n| format!("{n}")).collect();
    enqueue(&world, &idle(&keys)).await;
    let running = Running::start(&world, 0, Limits { concurrency: 4, ..LIMITS });
    world.until_count(4, "job where state = 'running'").await;
    running.job.gate.add_permits(100);
    let runs = running.finish(&world).await;
    assert!(runs.iter().all(|run| run.len() <= 4), "{runs:?}");
    assert!(runs.len() < 15, "{} runs of thirty jobs", runs.len());
}
