//! What the clock enqueues: its limit of time, golden sets that are measured, indexes that are looked after.

use crate::{
    prelude::*,
    queue::{LIMITS, Running, Scripted, enqueue},
};
use shopkeeper::{
    indexing::maintain::KEY,
    queue::{CatchUp, Limits, Schedule, Ticks},
    store::schedules::Firing,
};

#[tokio::test]
async fn a_run_that_takes_longer_than_its_schedule_allows_is_ended_and_tried_again() {
    let world = World::new().await;
    let firing = Firing {
        schedule: "nightly",
        tick: "2026-01-01T00:00:00Z".parse().unwrap(),
        kind: Scripted::KIND,
        keys: &["k".to_owned()],
        payloads: &[json!({ "wish": "wait" })],
        run_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        skip_live: true,
        time_limit: Some(Duration::from_millis(100)),
    };
    world.store.fire(&firing).await.unwrap();
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
    world.execute("update shopkeeper.job set state = 'running', worker = 'w', lease_until = now() + interval '1 hour'
         where key = 'running'",
    )
    .await;
    let firing = Firing {
        schedule: "nightly",
        tick: "2026-01-01T00:00:00Z".parse().unwrap(),
        kind: Scripted::KIND,
        keys: &["theirs", "running", "own"].map(str::to_owned),
        payloads: &[1, 2, 3].map(|_| json!({ "wish": "nothing" })),
        run_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        skip_live: false,
        time_limit: Some(Duration::from_mins(30)),
    };
    assert_eq!(world.store.fire(&firing).await.unwrap(), Some(3));
    let limited: Vec<String> = world
        .value("select array_agg(key order by key) from shopkeeper.job where time_limit is not null")
        .await;
    assert_eq!(limited, ["own"]);
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
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("select from shopkeeper.job for update").execute(&mut *open).await.unwrap();
    let workers = Workers::new(&world.store);
    workers.keep_schedules(vec![schedule("locked"), schedule("free")]);
    let fired = |key: &str| format!("exists (select from shopkeeper.schedule_tick where schedule = '{key}')");
    world.until("the other has fired", &fired("free")).await;
    assert!(!world.value::<bool>(&format!("select {}", fired("locked"))).await, "it waits for the lock");
    open.rollback().await.unwrap();
    world.until("it fires as well", &fired("locked")).await;
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
    let files = [("golden.jsonl", golden.join("\n"))];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let world = World::with_files(SHOP, &format!("{SOURCE}{SCHEDULES}"), &files).await;
    let daemon = TestDaemon::start(&world).await;
    world.run_ok("schedule run quality").await;
    world.until_some("job_history where kind = 'eval'").await;
    let error =
        world.text("select error from shopkeeper.job_history where kind = 'eval' and outcome = 'dead'").await;
    assert!(error.starts_with("hit_at_5 is 0.500, at least 0.9 is wanted"), "{error}");
    let metrics = daemon.metrics().await;
    assert!(metrics.contains("shopkeeper_eval_ratio{figure=\"hit_at_5\"} 0.5"), "{metrics}");
    // The clock of those who wrote the schedule.
    let listed = world.run_ok("schedule list").await;
    assert!(listed.contains("04:00:00 E"), "{listed}");
    daemon.stop().await;
}

#[tokio::test]
async fn an_index_that_lost_many_chunks_is_built_anew_and_keeps_being_searched() {
    let world = World::with(SHOP, &format!("{SOURCE}{SCHEDULES}")).await;
    world
        .in_shop(
            "insert into product select n, 'Tent ' || n, 'A tent.', 1, 1 from generate_series(10, 109) as n",
        )
        .await;
    world.sync().await;
    daemon::schedules(&world.config).unwrap();
    let version = world.parts.versions.written().await.unwrap().versions[0].index.clone();
    world.store.build_hnsw(&version).await.unwrap();
    let wear = async || world.store.hnsw_wear(version.id).await.unwrap().unwrap();
    let index = format!("select pg_relation_filenode('shopkeeper.chunk_{}_hnsw')::bigint", version.id);
    let maintain = async || {
        let workers = world.workers();
        world.store.enqueue("maintain_index", &[KEY.to_owned()], &[json!({})]).await.unwrap();
        world.until_none("job").await;
        workers.stop().await;
    };
    let before: i64 = world.value(&index).await;
    maintain().await;
    assert_eq!(world.value::<i64>(&index).await, before, "a fresh index was built anew");
    world.in_shop("update product set description = 'A house of cloth.' where id >= 10").await;
    world.sync().await;
    // PostgreSQL counts with a delay.
    let counted = async {
        while wear().await < 0.9 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(LIMIT, counted).await.is_err() {
        let told = "select json_agg(row)::text from (select relname, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup, hnsw_deleted
            from pg_stat_user_tables, shopkeeper.index_version where relname ~ 'chunk') as row";
        panic!("too few are counted: {}", world.text(told).await);
    }
    maintain().await;
    assert_ne!(world.value::<i64>(&index).await, before, "a worn index was left alone");
    assert!(wear().await < 0.2, "{}", wear().await);
    assert_eq!(world.found("A house of cloth.").await.len(), 5);
}
