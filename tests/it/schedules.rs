//! Scheduled jobs: their time limit, measuring golden sets, maintaining indexes.

use crate::{
    prelude::*,
    queue::{LIMITS, Running, Scripted, enqueue},
};
use shopkeeper::{
    indexing::maintain::KEY,
    queue::{CatchUp, Limits, Schedule, Ticks},
    store::schedules::Firing,
};

/// A tick that enqueues these jobs, each of which wishes this.
async fn fire(world: &World, keys: &[&str], wish: &str, skip_live: bool, limit: Duration) -> Option<u64> {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    let payloads = &vec![json!({ "wish": wish }); keys.len()];
    let (tick, time_limit) = ("2026-01-01T00:00:00Z".parse().unwrap(), Some(limit));
    let (schedule, kind, keys, run_at) = ("nightly", Scripted::KIND, &keys, tick);
    let firing = Firing { schedule, tick, kind, keys, payloads, run_at, skip_live, time_limit };
    world.store.fire(&firing).await.unwrap()
}

#[tokio::test]
async fn a_run_that_takes_longer_than_its_schedule_allows_is_ended_and_tried_again() {
    let world = World::new().await;
    fire(&world, &["k"], "wait", true, Duration::from_millis(100)).await;
    let running = Running::with_limits(&world, Limits { max_attempts: 1000, ..LIMITS });
    world.until("it was tried twice", "max(attempts) >= 2 from shopkeeper.job").await;
    let error = world.text("select last_error from shopkeeper.job").await;
    assert_eq!(error, "it took longer than the 100ms that its schedule allows");
    // What others enqueue has no limit.
    enqueue(&world, "free", "nothing").await;
    world.until_some("job_history where key = 'free'").await;
    world.execute("delete from shopkeeper.job").await;
    running.finish(&world).await;
}

#[tokio::test]
async fn the_time_limit_of_a_schedule_is_not_put_on_jobs_that_others_enqueued() {
    let world = World::new().await;
    for key in ["theirs", "running"] {
        enqueue(&world, key, "nothing").await;
    }
    let run = "update shopkeeper.job
         set state = 'running', worker = 'w', lease_until = now() + interval '1 hour' where key = 'running'";
    world.execute(run).await;
    let keys = ["theirs", "running", "own"];
    assert_eq!(fire(&world, &keys, "nothing", false, Duration::from_mins(30)).await, Some(3));
    let limited = "select key from shopkeeper.job where time_limit is not null";
    assert_eq!(world.values::<String>(limited).await, ["own"]);
}

#[tokio::test]
async fn a_schedule_whose_job_is_locked_keeps_no_other_from_its_ticks() {
    let world = World::new().await;
    let schedule = |key: &str| Schedule {
        name: key.to_owned(),
        ticks: Ticks::new("* * * * * *", "UTC".parse().unwrap()).unwrap(),
        catch_up: CatchUp::Skip,
        skip_live: false,
        jitter: Duration::ZERO,
        time_limit: None,
        kind: Scripted::KIND,
        keys: vec![key.to_owned()],
        payloads: vec![json!({ "wish": "nothing" })],
    };
    enqueue(&world, "locked", "nothing").await;
    let open = world.begin("select from shopkeeper.job for update").await;
    let workers = Workers::new(&world.store);
    workers.keep_schedules(vec![schedule("locked"), schedule("free")]);
    world.until_some("schedule_tick where schedule = 'free'").await;
    let locked = "schedule_tick where schedule = 'locked'";
    assert_eq!(world.count(locked).await, 0, "it waits for the lock");
    open.rollback().await.unwrap();
    world.until_some(locked).await;
    workers.stop().await;
}

const SCHEDULES: &str = r#"
[[schedule]]
name = "quality"
cron = "0 4 * * *"
timezone = "America/New_York"
job = "eval"
args = { file = "golden.jsonl", min_hit_at_5 = 0.9 }
[[schedule]]
name = "upkeep"
cron = "0 5 * * 0"
job = "maintain_index"
timeout = "6h"
"#;

#[tokio::test]
async fn a_golden_set_is_measured_by_the_clock_and_one_that_got_worse_is_a_dead_job() {
    let golden = [("Cotton shirt", "1"), ("Kettle", "77")].map(|(question, key)| {
        json!({ "id": key, "question": question, "expected": [{ "source": "product", "key": key }] })
            .to_string()
    });
    let files = [("golden.jsonl", &*golden.join("\n"))];
    let world = World::with_files(SHOP, &format!("{SOURCE}{SCHEDULES}"), &files).await;
    let (world, daemon) = world.with_daemon().await;
    world.run_ok("schedule run quality").await;
    world.until_some("job_history where kind = 'eval'").await;
    let error = "select error from shopkeeper.job_history where kind = 'eval' and outcome = 'dead'";
    assert_starts(world.text(error).await, "hit_at_5 is 0.500, at least 0.9 is wanted");
    assert_contains(daemon.metrics().await, "shopkeeper_eval_ratio{figure=\"hit_at_5\"} 0.5");
    // In the time zone of the schedule.
    assert_contains(world.run_ok("schedule list").await, "04:00:00 E");
    daemon.stop().await;
}

#[tokio::test]
async fn an_index_that_lost_many_chunks_is_built_anew_and_keeps_being_searched() {
    let world = World::with(SHOP, &format!("{SOURCE}{SCHEDULES}")).await;
    let tents =
        "insert into product select n, 'Tent ' || n, 'A tent.', 1, 1 from generate_series(10, 109) as n";
    world.sync_after(world.in_shop(tents)).await;
    daemon::schedules(&world.config).unwrap();
    let version = world.parts.versions.written().await.unwrap().versions[0].index.clone();
    world.store.build_hnsw(&version).await.unwrap();
    let wear = async || world.store.hnsw_wear(version.id).await.unwrap().unwrap();
    let index = format!("select pg_relation_filenode('shopkeeper.chunk_{}_hnsw')::bigint", version.id);
    let maintain = async || {
        world.store.enqueue("maintain_index", &[KEY.to_owned()], &[json!({})]).await.unwrap();
        world.with_workers(world.until_none("job")).await;
    };
    let before: i64 = world.value(&index).await;
    maintain().await;
    assert_eq!(world.value::<i64>(&index).await, before, "a fresh index was built anew");
    let change = "update product set description = 'A house of cloth.' where id >= 10";
    world.sync_after(world.in_shop(change)).await;
    // PostgreSQL counts with a delay.
    wait_until("too few are counted", async || wear().await >= 0.9).await;
    maintain().await;
    assert_ne!(world.value::<i64>(&index).await, before, "a worn index was left alone");
    assert!(wear().await < 0.2, "{}", wear().await);
    assert_eq!(world.found("A house of cloth.").await.len(), 5);
}
