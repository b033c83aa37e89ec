//! The queue under operators' hands, limits over all daemons, ordered groups, and what a claim costs.

use crate::{
    prelude::*,
    queue::{Running, SCRIPTED, Scripted, claim, enqueue, enqueue_all, with_job},
};
use shopkeeper::{
    queue::{Queue, Wakeup},
    store::jobs::{JobFilter, JobState},
};

#[tokio::test]
async fn a_running_job_that_is_cancelled_is_left_and_writes_nothing() {
    let world = with_job("wait").await;
    let running = Running::start(&world);
    running.job.started.notified().await;
    let id = world.value("select id from shopkeeper.job").await;
    assert_eq!(world.store.cancel_jobs(&[id]).await.unwrap(), 1);
    // The slot is free again although the job never ended: four more can run.
    enqueue_all(&world, 0..4).await;
    world.until_none(SCRIPTED).await;
    in_time("the cancelled job is waited for", running.stop()).await;
    assert_eq!(world.count("job_history where outcome = 'cancelled' and key = 'k'").await, 1);
    assert_eq!(world.count("job_history where outcome = 'done'").await, 4);
}

#[tokio::test]
async fn a_paused_kind_starts_nothing_until_it_is_resumed() {
    let world = World::new().await;
    world.store.pause(Scripted::KIND).await.unwrap();
    enqueue(&world, "k", "nothing").await;
    let running = Running::start(&world);
    assert!(claim(&world, "w", 1, Duration::from_secs(1)).await.is_empty());
    let jobs = world.store.jobs(&JobFilter { limit: 1, ..JobFilter::default() }).await.unwrap();
    assert_eq!(jobs[0].state, JobState::Paused);
    world.store.resume(Scripted::KIND).await.unwrap();
    assert_eq!(running.finish(&world).await.runs(), 1);
}

#[tokio::test]
async fn a_limit_over_all_daemons_holds_while_they_claim_together() {
    let world = World::new().await;
    enqueue_all(&world, 0..100).await;
    let claims = (0..8).map(async |n| {
        let (kind, worker, lease) = ("scripted", &*n.to_string(), Duration::from_mins(1));
        let (limit, fleet_limit, max_attempts) = (4, Some(10), 3);
        let claim = Claim { kind, worker, limit, fleet_limit, lease, max_attempts, ..Claim::default() };
        world.store.claim(claim).await.unwrap().len()
    });
    assert_eq!(join_all(claims).await.into_iter().sum::<usize>(), 10);
}

#[tokio::test]
async fn a_job_that_is_dead_can_be_run_again_and_discarded() {
    let world = with_job("die").await;
    let running = Running::start(&world);
    world.until_some("job_history where outcome = 'dead'").await;
    let id: i64 = world.value("select id from shopkeeper.job_history").await;
    assert_eq!(world.store.retry_jobs(&Selection::Ids(vec![id])).await.unwrap(), 1);
    world.until_some("job_history where outcome = 'dead'").await;
    assert_eq!(running.stop().await.runs(), 2);
    assert_eq!(world.store.discard_jobs(&dead(Scripted::KIND)).await.unwrap(), 1);
    assert_eq!(world.count("job_history").await, 0);
}

#[tokio::test]
async fn a_group_whose_second_job_commits_after_its_first_ended_goes_on() {
    let world = World::new().await;
    let ask = "select shopkeeper.enqueue('scripted', payload => '{\"wish\": \"nothing\"}', group_key => 'g')";
    world.execute(ask).await;
    let late = world.begin(ask).await;
    let running = Running::start(&world);
    world.until_count(1, "job_history").await;
    late.commit().await.unwrap();
    world.until_count(2, "job_history").await;
    running.stop().await;
}

#[tokio::test]
async fn a_dead_head_frees_the_next_of_its_group_and_a_retried_one_does_not() {
    let world = World::new().await;
    for wish in ["die", "snooze", "nothing"] {
        let enqueue =
            "select shopkeeper.enqueue('scripted', '{wish}', '{\"wish\": \"{wish}\"}', group_key => 'g')";
        world.execute(&enqueue.replace("{wish}", wish)).await;
    }
    let running = Running::start(&world);
    world.until_some("job where state = 'scheduled'").await;
    running.stop().await;
    let states: Vec<(String, String)> = world.rows("select key, state from shopkeeper.job order by id").await;
    assert_eq!(states, [("snooze".into(), "scheduled".into()), ("nothing".into(), "blocked".into())]);
}

/// Pages that a claim of ten touches, and one for a batch.
async fn pages(world: &World) -> i64 {
    pages_of(world, "shopkeeper.claim('scripted', 10, false, 0, 'w', '1 min', 3)").await
        + pages_of(world, "shopkeeper.claim('scripted', 10, true, 1, 'w', '1 min', 3)").await
}

/// Pages that a function touches which gives ten rows.
async fn pages_of(world: &World, call: &str) -> i64 {
    let mut connection = world.ours.acquire().await.unwrap();
    let (plan, pages) = touched(&mut connection, &format!("select * from {call}")).await;
    assert_eq!(plan["Actual Rows"].as_f64(), Some(10.0), "{plan}");
    pages
}

#[tokio::test]
async fn a_claim_touches_no_more_pages_beside_many_rows_than_beside_a_thousand() {
    let world = World::new().await;
    let fill = async |columns: &str, from: &str| {
        world.execute(&format!("insert into shopkeeper.{columns} select {from}")).await;
    };
    let compare = async |beside: &str, few: i64| {
        let touched = pages(&world).await;
        assert!(2 * touched <= 3 * few, "beside {beside}: {touched} and {few}");
    };
    fill("job (kind, state)", "'scripted', 'ready' from generate_series(1, 1000)").await;
    // The planner keeps believing that there are a thousand.
    world.execute(FREEZE_STATISTICS).await;
    let few = pages(&world).await;
    let scheduled = "'scripted', 'scheduled', now() + interval '1 hour' from generate_series(1, 100000)";
    fill("job (kind, state, run_at)", scheduled).await;
    compare("scheduled ones", few).await;
    let columns = "job_history (id, kind, payload, priority, outcome, attempts, created_at, run_at)";
    let history = "g, 'scripted', '{}', 0, 'done', 1, now(), now() from generate_series(1, 100000) as g";
    fill(columns, history).await;
    compare("history", few).await;
    fill("job (kind, state)", "'scripted', 'ready' from generate_series(1, 100000)").await;
    compare("waiting ones", few).await;
}

#[tokio::test]
async fn the_claims_of_a_worker_are_found_beside_many_of_others_without_reading_them() {
    let world = World::new().await;
    let fill = async |worker: &str, jobs: u32| {
        let statement = format!(
            "insert into shopkeeper.job (kind, state, worker, lease_until)
             select 'scripted', 'running', '{worker}', now() + interval '1 hour' from generate_series(1, {jobs})"
        );
        world.execute(&statement).await;
    };
    fill("w", 10).await;
    world.execute(FREEZE_STATISTICS).await;
    fill("another", 100_000).await;
    let pages = pages_of(&world, "shopkeeper.claimed_by('scripted', 'w', 1000)").await;
    assert!(pages < 20, "{pages}");
}

#[tokio::test]
async fn a_group_without_a_head_goes_on_although_all_workers_are_busy() {
    let world = World::new().await;
    let orphan = "insert into shopkeeper.job (kind, group_key, state) values ('busy', 'g', 'blocked')";
    world.execute(orphan).await;
    let stop = CancellationToken::new();
    let queue = Queue::new(world.store.clone(), Wakeup::new(&[]), stop.clone());
    let advanced = async {
        world.until_some("job where state = 'ready'").await;
        stop.cancel();
    };
    tokio::join!(queue.upkeep(), advanced);
}

#[tokio::test]
async fn a_key_that_is_being_enqueued_does_not_hold_up_the_leases_of_others() {
    let world = World::new().await;
    enqueue_all(&world, 0..2).await;
    let claimed = claim(&world, "w", 2, Duration::from_secs(5)).await;
    let leases: Vec<_> = claimed.iter().map(|job| job.lease).collect();
    let open = world.begin("select shopkeeper.enqueue('scripted', '0')").await;
    let renewing = world.store.renew(&leases, Duration::from_mins(5));
    let lost = timeout(Duration::from_secs(10), renewing).await.expect("it waits for nobody");
    assert!(lost.unwrap().is_empty(), "both are still held");
    let renewed = world.count("job where lease_until > now() + interval '1 min'").await;
    assert_eq!(renewed, 1, "the other is renewed");
    open.commit().await.unwrap();
}

#[tokio::test]
async fn a_full_batch_of_delayed_jobs_says_that_there_may_be_more() {
    let world = World::new().await;
    let due =
        "insert into shopkeeper.job (kind, state) select 'late', 'scheduled' from generate_series(1, 1001)";
    world.execute(due).await;
    for (jobs, is_full) in [(1000, true), (1, false)] {
        let promoted = world.store.promote().await.unwrap();
        assert_eq!((promoted.jobs, promoted.is_full), (jobs, is_full));
    }
}
