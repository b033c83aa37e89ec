//! How jobs end while others are in the way: rows that are locked, workers that are gone, a network that
//! swallows everything.

use crate::{
    prelude::*,
    proxy::Proxy,
    queue::{EMPTY, LIMITS, Running, Scripted, claim, enqueue},
};
use shopkeeper::{
    queue::Limits,
    store::{
        answers::Settlement,
        jobs::{Failure, JobEnd, Lease},
    },
};
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, Semaphore};

const ENQUEUE_K: &str = "select shopkeeper.enqueue('scripted', 'k', '{\"wish\": \"nothing\"}')";

#[tokio::test]
async fn an_open_transaction_that_enqueues_a_running_key_holds_up_no_other_end() {
    let world = World::new().await;
    for key in ["k", "1", "2", "3"] {
        enqueue(&world, key, "nothing").await;
    }
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    world.until_count(4, "job where state = 'running'").await;
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query(ENQUEUE_K).execute(&mut *open).await.unwrap();
    running.job.gate.as_ref().unwrap().add_permits(100);
    let lapsed: i64 = timeout(LIMIT, async {
        // Longer than the lease: it is neither lost nor given to another meanwhile.
        world.until_count(3, "job_history").await;
        world.until("its lease is over", "(select lease_until < now() from shopkeeper.job)").await;
        world.value("select count(*) from shopkeeper.job where state = 'running'").await
    })
    .await
    .unwrap();
    assert_eq!(lapsed, 1);
    open.commit().await.unwrap();
    world.until("it ran again for whom it was enqueued", EMPTY).await;
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 5);
    assert_eq!(world.count("job_history where outcome = 'done' and attempts = 1").await, 4);
}

#[tokio::test]
async fn leases_are_renewed_while_the_upkeep_waits_for_a_lock() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let limits = Limits { lease: Duration::from_secs(2), ..LIMITS };
    let running = Running::start(&world, gated, limits);
    running.at_work(1).await;
    // The second job of a group whose head is gone: the upkeep lets it run, once its row can be locked.
    for key in ["head", "next"] {
        let enqueue = format!("select shopkeeper.enqueue('grouped', '{key}', group_key => 'g')");
        world.execute(&enqueue).await;
    }
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("select from shopkeeper.job where key = 'next' for update")
        .execute(&mut *open)
        .await
        .unwrap();
    world.execute("delete from shopkeeper.job where key = 'head'").await;
    let waits = "exists (select from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query ~ 'advance_all')";
    world.until("the upkeep waits", waits).await;
    let lease = |condition: &str| format!("({condition}) from shopkeeper.job where key = 'k'");
    let first: DateTime<Utc> = world.value("select lease_until from shopkeeper.job where key = 'k'").await;
    let beyond = format!("lease_until < now() or lease_until > '{first}'::timestamptz + interval '4 s'");
    world.until("the lease was renewed far beyond its length, or ran out", &lease(&beyond)).await;
    assert!(world.value::<bool>(&format!("select {}", lease("lease_until > now()"))).await, "it ran out");
    running.job.gate.as_ref().unwrap().add_permits(10);
    world.until("it is done", EMPTY).await;
    open.rollback().await.unwrap();
    assert_eq!(running.stop().await.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_renewal_whose_connection_was_cut_holds_up_no_other() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let minute = Duration::from_mins(1);
    let leases = [claim(&world, "w", 1, minute).await[0].lease];
    let proxy = Proxy::start(&world.url()).await;
    let through = world.through(&proxy.url()).await;
    proxy.swallow();
    let mut accepted = proxy.accepted();
    let other = async {
        accepted.changed().await.unwrap();
        proxy.pass_new();
        through.renew(&leases, minute / 4).await
    };
    tokio::select! {
        cut = through.renew(&leases, minute) => panic!("it came first: {cut:?}"),
        other = other => assert!(other.unwrap().is_empty()),
    }
}

#[tokio::test]
async fn a_handler_that_completes_its_job_waits_for_who_has_locked_it() {
    let world = World::new().await;
    let id = world.ask_by_sql("Where is it?").await;
    let minute = Duration::from_mins(1);
    let question = Claim {
        kind: "answer_question",
        worker: "w",
        limit: 1,
        lease: minute,
        max_attempts: 3,
        ..Claim::default()
    };
    let lease = world.store.claim(question).await.unwrap()[0].lease;
    let taken = world.store.take_question(id, 1, lease).await.unwrap().unwrap();
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("select shopkeeper.enqueue('answer_question', $1)")
        .bind(id.to_string())
        .execute(&mut *open)
        .await
        .unwrap();
    let nothing = json!([]);
    let settled = Settlement {
        status: "completed",
        sources: nothing.clone(),
        citations: nothing,
        ..Settlement::default()
    };
    let (settling, ()) = tokio::join!(world.store.settle(&taken, &settled), async {
        let waits = "exists (select from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock')";
        world.until("it waits for the lock", waits).await;
        open.commit().await.unwrap();
    });
    settling.unwrap();
    assert_eq!(world.count("job where state = 'ready' and attempts = 0").await, 1, "it goes on");
    assert!(world.store.settle(&taken, &settled).await.is_err(), "the lease is void");
}

#[tokio::test]
async fn whoever_makes_a_job_ready_rings_the_bell() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let mut listener = PgListener::connect_with(&world.ours).await.unwrap();
    listener.listen("shopkeeper_job").await.unwrap();
    let minute = Duration::from_mins(1);
    let take = async || claim(&world, "w", 1, minute).await[0].lease;
    let mut heard = async |what: &str| {
        let notification = timeout(LIMIT, listener.recv()).await;
        assert_eq!(notification.expect(what).unwrap().payload(), "scripted");
    };
    world.store.give_back(&[take().await]).await.unwrap();
    heard("a job that was given back").await;
    let (lease, error) = (take().await, "as wished".to_owned());
    let again = JobEnd::failed(lease, Failure::Retry(Duration::ZERO), error);
    world.store.end_jobs(&[again]).await.unwrap();
    heard("a job that is tried again at once").await;
    let lease = take().await;
    enqueue(&world, "k", "nothing").await;
    heard("a job that was enqueued while it ran").await;
    world.store.end_jobs(&[JobEnd::done(lease, Vec::new())]).await.unwrap();
    heard("a job that runs again because of that").await;
    claim(&world, "gone", 1, Duration::ZERO).await;
    world.until("its lease has run out", "bool_and(lease_until < now()) from shopkeeper.job").await;
    world.store.rescue().await.unwrap();
    heard("a job whose worker is gone").await;
}

#[tokio::test]
async fn whoever_listens_takes_no_connection_from_those_who_work() {
    let world = World::new().await;
    let store = Store::open(&Reach { max_connections: 1, ..reach(&world.url()) }).await.unwrap();
    let (stop, begun) = (CancellationToken::new(), Notify::new());
    let listening = store.listen(&["shopkeeper_job"], &stop, |_| begun.notify_one());
    let working = async {
        begun.notified().await;
        store.index_versions().await
    };
    tokio::select! {
        () = listening => panic!("nobody stopped it"),
        worked = working => assert_eq!(worked.unwrap().len(), 1),
    }
}

#[tokio::test]
async fn a_kind_with_a_limit_over_all_daemons_is_not_slowed_by_it() {
    let world = World::new().await;
    let keys: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let nothing = vec![json!({ "wish": "nothing" }); 200];
    world.store.enqueue("scripted", &keys, &nothing).await.unwrap();
    let limits = Limits { fleet_concurrency: Some(2), ..LIMITS };
    let (one, other) = (
        Running::start(&world, Scripted::default(), limits),
        Running::start(&world, Scripted::default(), limits),
    );
    // Two for each look of a daemon would be a hundred seconds.
    world.until("all are done", EMPTY).await;
    for running in [one, other] {
        running.stop().await;
    }
}

/// Enqueues jobs of which as many run at once as the gate has permits for; the others wait there.
async fn enqueue_at_gate(world: &World, jobs: std::ops::Range<u32>) {
    let keys: Vec<_> = jobs.map(|n| n.to_string()).collect();
    let nothing = vec![json!({ "wish": "nothing" }); keys.len()];
    world.store.enqueue("scripted", &keys, &nothing).await.unwrap();
}

#[tokio::test]
async fn jobs_that_were_claimed_ahead_are_given_back_uncharged_when_those_before_them_turn_out_to_be_long() {
    let world = World::new().await;
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start(&world, gated, LIMITS);
    // On a busy machine short jobs may take long; then more of them are needed until the worker claims ahead.
    let mut done = 0;
    let claimed_ahead = "select count(*) > 4 from shopkeeper.job where fence > 0";
    while !world.value::<bool>(claimed_ahead).await {
        enqueue_at_gate(&world, 2 * done..2 * done + 100).await;
        running.job.gate.as_ref().unwrap().add_permits(50);
        done += 50;
        world.until_count(done, "job_history").await;
        running.at_work(4).await;
    }
    let others = i64::from(done) - 4;
    let given_back =
        format!("count(*) = {others} from shopkeeper.job where state = 'ready' and attempts = 0");
    world.until("the rest is given back", &given_back).await;
    let claimed = claim(&world, "another", u32::MAX, Duration::from_mins(1)).await;
    assert_eq!(claimed.len(), usize::try_from(others).unwrap(), "others can have it");
    running.job.gate.as_ref().unwrap().add_permits(4);
    running.stop().await;
}

#[tokio::test]
async fn a_stop_gives_jobs_that_were_claimed_ahead_back_uncharged() {
    let world = World::new().await;
    let gated = Scripted { gate: Some(Semaphore::new(1)), ..Scripted::default() };
    // However long the first job takes on a busy machine, many as long as that may be claimed ahead.
    let running = Running::start(&world, gated, Limits { ahead: LIMIT, ..LIMITS });
    enqueue_at_gate(&world, 0..1).await;
    world.until("it knows how long they are", EMPTY).await;
    enqueue_at_gate(&world, 0..100).await;
    world.until_count(100, "job where state = 'running'").await;
    running.stop.cancel();
    world.until_count(4, "job where state = 'running'").await;
    running.job.gate.as_ref().unwrap().add_permits(4);
    running.stop().await;
    assert_eq!(world.count("job where state = 'ready' and attempts = 0").await, 96);
}

#[tokio::test]
async fn jobs_claimed_ahead_by_a_worker_that_dies_are_not_charged_and_not_claimed_ahead_again() {
    let world = World::new().await;
    for key in ["first", "ahead"] {
        enqueue(&world, key, "nothing").await;
    }
    let take = async |shared| {
        let lease = Duration::ZERO;
        let claim = Claim {
            kind: "scripted",
            worker: "w",
            limit: 1,
            shared,
            lease,
            max_attempts: 1,
            ..Claim::default()
        };
        world.store.claim(claim).await.unwrap()
    };
    assert_eq!((take(false).await.len(), take(true).await.len()), (1, 1));
    world.until("the leases have run out", "bool_and(lease_until < now()) from shopkeeper.job").await;
    assert_eq!(world.store.rescue().await.unwrap(), 2);
    assert_eq!(world.count("job_history where outcome = 'dead' and key = 'first'").await, 1);
    assert_eq!(world.count("job where attempts = 0 and key = 'ahead'").await, 1);
    assert!(take(true).await.is_empty());
    assert_eq!(take(false).await.len(), 1);
}

#[tokio::test]
async fn an_answer_whose_job_ends_outside_its_handler_is_not_waited_for() {
    let world = World::new().await;
    let asked = async |n: i32| -> (Uuid, i64) {
        let id: Uuid = world.value(&format!("select shopkeeper.ask('Where is {n}?')")).await;
        (id, world.value(&format!("select id from shopkeeper.job where key = '{id}'")).await)
    };
    let status = async |id: Uuid| -> String {
        world
            .value(&format!(
                "select concat_ws(' ', status, escalation_reason) from shopkeeper.answer where id = '{id}'"
            ))
            .await
    };
    let (cancelled, job) = asked(1).await;
    world.store.cancel_jobs(&[job]).await.unwrap();
    assert_eq!(status(cancelled).await, "cancelled");
    let (lost, job) = asked(2).await;
    world.execute("update shopkeeper.job set state = 'running', worker = 'gone', lease_until = now(), attempts = 1, max_attempts = 1",
    )
    .await;
    world.until("it is freed", "true from shopkeeper.rescue(10)").await;
    assert_eq!(status(lost).await, "failed failed");
    // Who retries the job wants the answer.
    assert_eq!(world.store.retry_jobs(&Selection::Ids(vec![job])).await.unwrap(), 1);
    world.drain().await;
    assert!(status(lost).await.starts_with("completed"), "{}", status(lost).await);
}

#[tokio::test]
async fn a_retry_of_a_dead_job_does_not_touch_a_newer_one_of_its_key() {
    let world = World::new().await;
    let die = async || {
        let lease: Lease = claim(&world, "w", 1, Duration::from_mins(1)).await[0].lease;
        let died = JobEnd::failed(lease, Failure::Dead { rejected_by: None }, "as wished".to_owned());
        world.store.end_jobs(&[died]).await.unwrap();
    };
    world.execute("select shopkeeper.enqueue('scripted', 'k', '{\"n\": 1}', max_attempts => 7)").await;
    die().await;
    world.execute("select shopkeeper.enqueue('scripted', 'k', '{\"n\": 2}')").await;
    assert_eq!(world.store.retry_jobs(&Selection::Dead { kind: "scripted".to_owned() }).await.unwrap(), 0);
    assert_eq!(world.count("job where payload ->> 'n' = '2'").await, 1);
    die().await;
    assert_eq!(world.store.retry_jobs(&Selection::Dead { kind: "scripted".to_owned() }).await.unwrap(), 1);
    assert_eq!(world.count("job where payload ->> 'n' = '2'").await, 1);
}

#[tokio::test]
async fn what_is_pruned_is_old_and_not_dead() {
    let world = World::new().await;
    world
        .execute(
            "insert into shopkeeper.job_history
             (id, kind, payload, priority, outcome, attempts, created_at, run_at, finished_at)
         select n, 'k', '{}', 0, (array['done', 'dead'])[1 + n % 2], 1, now(), now(),
             now() - n / 2 * interval '1 day'
         from generate_series(0, 9) as n",
        )
        .await;
    assert_eq!(world.store.prune_jobs(Duration::from_hours(36)).await.unwrap(), 3);
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 5);
}

#[tokio::test]
async fn a_network_that_swallows_everything_without_a_word_is_survived() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.url()).await;
    let through = world.through(&proxy.url()).await;
    for n in 0..4 {
        enqueue(&world, &n.to_string(), "nothing").await;
    }
    let gated = Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() };
    let running = Running::start_on(through, gated, LIMITS);
    world.until_count(4, "job where state = 'running'").await;
    proxy.swallow();
    // They end, and nobody hears of it.
    running.job.gate.as_ref().unwrap().add_permits(100);
    world.until("the leases ran out", "bool_and(lease_until < now()) from shopkeeper.job").await;
    proxy.pass_new();
    enqueue(&world, "after", "nothing").await;
    let after = "exists (select from shopkeeper.job_history where key = 'after')";
    world.until("jobs are claimed again", after).await;
    world.until("those that nobody heard of are done again", EMPTY).await;
    running.stop().await;
    assert_eq!(world.count("job_history where outcome = 'done'").await, 5);
}

/// How many claims wait for the lock of the table.
fn claims_that_wait(claims: u32) -> String {
    format!(
        "count(*) = {claims} from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query ~ 'shopkeeper.claim\\('"
    )
}

#[tokio::test]
async fn a_job_of_a_claim_whose_reply_was_lost_runs_soon_and_is_charged_once() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.url()).await;
    let through = world.through(&proxy.url()).await;
    enqueue(&world, "k", "nothing").await;
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("lock table shopkeeper.job in exclusive mode").execute(&mut *open).await.unwrap();
    let limits = Limits { lease: Duration::from_hours(1), ..LIMITS };
    let running = Running::start_on(through, Scripted::default(), limits);
    world.until("a claim waits", &claims_that_wait(1)).await;
    proxy.lose_replies();
    open.rollback().await.unwrap();
    world.until_count(1, "job where state = 'running'").await;
    proxy.pass_new();
    world.until("its job is done", EMPTY).await;
    running.stop().await;
    assert_eq!(world.count("job_history where attempts = 1").await, 1);
}

#[tokio::test]
async fn a_job_of_a_claim_that_ends_after_it_was_given_up_runs_soon_and_is_charged_once() {
    let world = World::new().await;
    enqueue(&world, "k", "nothing").await;
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("lock table shopkeeper.job in exclusive mode").execute(&mut *open).await.unwrap();
    let limits = Limits { lease: Duration::from_hours(1), ..LIMITS };
    let running = Running::start(&world, Scripted::default(), limits);
    // Nobody waits for the first one any more.
    world.until("a second claim waits behind the first", &claims_that_wait(2)).await;
    open.rollback().await.unwrap();
    world.until("the job is done", EMPTY).await;
    running.stop().await;
    assert_eq!(world.count("job_history where attempts = 1").await, 1);
}

#[tokio::test]
async fn a_job_that_somebody_has_locked_is_given_back_when_he_lets_go_of_it() {
    let world = World::new().await;
    let gated = Scripted { gate: Some(Semaphore::new(1)), ..Scripted::default() };
    let limits = Limits { ahead: LIMIT, lease: Duration::from_hours(1), ..LIMITS };
    let running = Running::start(&world, gated, limits);
    enqueue_at_gate(&world, 0..1).await;
    world.until("it knows how long they are", EMPTY).await;
    enqueue_at_gate(&world, 0..5).await;
    world.until_count(5, "job where state = 'running'").await;
    let mut open = world.ours.begin().await.unwrap();
    sqlx::query("select from shopkeeper.job where shared for update").execute(&mut *open).await.unwrap();
    running.stop.cancel();
    let tried = "exists (select from pg_stat_activity
         where datname = current_database() and query ~ 'with back as' and state = 'idle')";
    world.until("it was to be given back", tried).await;
    open.rollback().await.unwrap();
    let back = "count(*) = 1 from shopkeeper.job where state = 'ready' and attempts = 0";
    world.until("it is given back", back).await;
    running.job.gate.as_ref().unwrap().add_permits(4);
    running.stop().await;
}

#[tokio::test]
async fn what_runs_on_for_too_long_after_a_stop_is_left_to_others() {
    let world = World::new().await;
    enqueue(&world, "k", "wait").await;
    let running = Running::start(&world, Scripted::default(), LIMITS);
    running.job.started.notified().await;
    running.queue.give_up();
    timeout(LIMIT, running.stop()).await.expect("it is waited for");
    let claimed = async {
        loop {
            world.execute("select shopkeeper.rescue(10)").await;
            if !claim(&world, "another", 1, LIMIT).await.is_empty() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LIMIT, claimed).await.expect("its lease does not run out");
}
