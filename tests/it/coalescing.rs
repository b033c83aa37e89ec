//! Any interleaving of what can happen to a key: its last enqueueing is followed by a run that began after
//! it, and no two runs hold it at once.

use std::sync::atomic::AtomicBool;

use crate::prelude::*;
use proptest::prelude::*;
use shopkeeper::store::jobs::{AfterFailure, JobEnd, Lease, UnwrittenEnds};
use sqlx::postgres::PgPoolOptions;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Enqueue,
    Claim,
    Finish,
    Retry,
    Snooze,
    Die,
    GiveBack,
    /// The lease runs out, and the job is freed.
    Rescue,
    /// A worker that lost its lease reports its job as done.
    FinishLate,
}

fn claim(limit: u32, max_attempts: u32) -> Claim<'static> {
    Claim { kind: "k", worker: "w", limit, lease: Duration::from_mins(1), max_attempts, ..Claim::default() }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Enqueue),
        4 => Just(Event::Claim),
        2 => Just(Event::Finish),
        1 => Just(Event::Retry),
        1 => Just(Event::Snooze),
        1 => Just(Event::Die),
        1 => Just(Event::GiveBack),
        1 => Just(Event::Rescue),
        1 => Just(Event::FinishLate),
    ]
}

/// What the test knows of the key.
#[derive(Default)]
struct Model {
    /// Enqueueings so far.
    enqueued: u32,
    /// The run that holds the key, and how many enqueueings it follows.
    held: Option<(Lease, u32)>,
    /// Leases that were lost.
    lost: Vec<Lease>,
    /// The most enqueueings that an ended run followed.
    covered: u32,
}

impl Model {
    async fn apply(&mut self, store: &Store, url: &str, event: Event) {
        match event {
            Event::Enqueue => {
                store.enqueue("k", &["key".to_owned()], &[json!({})]).await.unwrap();
                self.enqueued += 1;
            }
            Event::Claim => {
                let claimed = store.claim(claim(2, 3)).await.unwrap();
                assert!(claimed.is_empty() || self.held.is_none(), "two runs at once");
                assert!(claimed.len() <= 1, "two jobs of one key");
                if let Some(job) = claimed.first() {
                    self.held = Some((job.lease, self.enqueued));
                }
            }
            Event::Finish => {
                if let Some((lease, follows)) = self.held.take() {
                    let unwritten = store.end_jobs(&[JobEnd::done(lease, Vec::new())]).await.unwrap();
                    assert_eq!(unwritten, UnwrittenEnds::default());
                    self.covered = self.covered.max(follows);
                }
            }
            Event::Retry => self.fail(store, AfterFailure::Retry(Duration::ZERO)).await,
            Event::Snooze => self.fail(store, AfterFailure::Snooze(Duration::from_micros(1), None)).await,
            Event::Die => self.fail(store, AfterFailure::Dead { rejected_by: None }).await,
            Event::GiveBack => {
                if let Some((lease, _)) = self.held.take() {
                    store.give_back(&[lease]).await.unwrap();
                    self.lost.push(lease);
                }
            }
            Event::Rescue => {
                if let Some((lease, follows)) = self.held.take() {
                    let lapse = "update shopkeeper.job set lease_until = now() - interval '1 s' where worker is not null";
                    execute(url, lapse).await;
                    store.rescue().await.unwrap();
                    self.lost.push(lease);
                    self.end_if_gone(store, follows).await;
                }
            }
            Event::FinishLate => {
                let Some(lease) = self.lost.pop() else { return };
                let unwritten = store.end_jobs(&[JobEnd::done(lease, Vec::new())]).await.unwrap();
                assert_eq!(unwritten.lost, [lease], "a lost lease was heard");
            }
        }
    }

    async fn fail(&mut self, store: &Store, failure: AfterFailure) {
        if let Some((lease, follows)) = self.held.take() {
            let failed = JobEnd::failed(lease, failure, "as wished".to_owned());
            assert_eq!(store.end_jobs(&[failed]).await.unwrap(), UnwrittenEnds::default());
            self.lost.push(lease);
            self.end_if_gone(store, follows).await;
        }
    }

    /// A job that died was given up: a run that followed the last enqueueing may end it so.
    async fn end_if_gone(&mut self, store: &Store, follows: u32) {
        if !self.is_live(store).await {
            self.covered = self.covered.max(follows);
        }
    }

    async fn is_live(&self, store: &Store) -> bool {
        let status = store.queue_status(&["k"]).await.unwrap();
        status.iter().any(|kind| kind.ready + kind.scheduled + kind.running > 0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_enqueueing_of_a_key_is_followed_by_a_run_that_began_after_it() {
    let world = World::new().await;
    let (store, url) = (world.store.clone(), world.url());
    let check = async move |events: Vec<Event>| {
        execute(&url, "truncate shopkeeper.job, shopkeeper.job_history").await;
        let mut model = Model::default();
        for event in events {
            model.apply(&store, &url, event).await;
        }
        // Then all goes well.
        while model.held.is_some() || model.is_live(&store).await {
            model.apply(&store, &url, Event::Finish).await;
            store.promote().await.unwrap();
            model.apply(&store, &url, Event::Claim).await;
        }
        assert_eq!(model.covered, model.enqueued, "an enqueueing was lost");
    };
    for_cases(cases(50 * chaos_rounds()), || proptest::collection::vec(event(), 1..40), check).await;
}

/// Several producers enqueue one key, and commit late, while several workers run it; a counter shows what a run saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enqueueings_that_race_with_the_end_of_a_run_are_not_lost() {
    let world = World::new().await;
    let pool = PgPoolOptions::new().max_connections(12).connect(&world.url()).await.unwrap();
    let create = "create table asked (n bigint generated always as identity); create table seen (n bigint);
                  create table run (id bigint primary key)";
    world.execute(create).await;
    let (over, all_asked) = (AtomicBool::new(false), AtomicBool::new(false));
    let clock = async {
        sleep(Duration::from_secs(2) * chaos_rounds()).await;
        world.until("there were ends to race with", "count(*) > 100 from seen").await;
        over.store(true, Ordering::Release);
    };
    let producers = (0..3).map(|_| async {
        while !over.load(Ordering::Acquire) {
            let mut transaction = pool.begin().await.unwrap();
            sqlx::query("insert into asked default values").execute(&mut *transaction).await.unwrap();
            sqlx::query("select shopkeeper.enqueue('k', 'key')").execute(&mut *transaction).await.unwrap();
            sleep(Duration::from_micros(rand::random_range(0..3000))).await;
            transaction.commit().await.unwrap();
            sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        }
    });
    let workers = (0..4).map(|_| async {
        loop {
            let Some(job) = world.store.claim(claim(1, 1000)).await.unwrap().pop() else {
                if all_asked.load(Ordering::Acquire) && world.count("job").await == 0 {
                    break;
                }
                world.store.promote().await.unwrap();
                continue;
            };
            // Two runs at once would meet here.
            sqlx::query("insert into run values ($1)").bind(job.lease.job).execute(&pool).await.unwrap();
            let seen: Option<i64> = value(&pool, "select max(n) from asked").await;
            sleep(Duration::from_micros(rand::random_range(0..2000))).await;
            sqlx::query("delete from run").execute(&pool).await.unwrap();
            let end = if rand::random_range(0..4) == 0 {
                let failure = AfterFailure::Retry(Duration::from_micros(rand::random_range(0..2)));
                JobEnd::failed(job.lease, failure, String::new())
            } else {
                sqlx::query("insert into seen values ($1)").bind(seen).execute(&pool).await.unwrap();
                JobEnd::done(job.lease, Vec::new())
            };
            let is_written = async || {
                let unwritten = world.store.end_jobs(std::slice::from_ref(&end)).await.unwrap();
                assert!(unwritten.lost.is_empty(), "nobody else has it");
                unwritten.busy.is_empty()
            };
            while !is_written().await {}
        }
    });
    let producers = async {
        join_all(producers).await;
        all_asked.store(true, Ordering::Release);
    };
    futures::join!(producers, join_all(workers), clock);
    let left: i64 = world.value("select (select max(n) from asked) - (select max(n) from seen)").await;
    assert_eq!(left, 0, "the last enqueueing was followed by no run that began after it");
}
