//! How jobs end despite locked rows, dead workers, and a network that drops everything.

use crate::{
    prelude::*,
    proxy::behind_proxy,
    queue::{LIMITS, Running, SCRIPTED, Scripted, claim, enqueue, enqueue_all, with_job},
};
use shopkeeper::{
    answering::object::{AnswerStatus, Settlement},
    queue::Limits,
    store::jobs::{AfterFailure, JobEnd},
};
use sqlx::postgres::PgListener;
use tokio::sync::Notify;

const ENQUEUE_K: &str = "select shopkeeper.enqueue('scripted', 'k', '{\"wish\": \"nothing\"}')";

#[tokio::test]
async fn an_open_transaction_that_enqueues_a_running_key_holds_up_no_other_end() {
    let world = with_job("nothing").await;
    enqueue_all(&world, 0..3).await;
    let running = Running::gated(&world, 0, LIMITS);
    world.until_count(4, "job where state = 'running'").await;
    let open = world.begin(ENQUEUE_K).await;
    running.open(100);
    // Longer than the lease: it is neither lost nor given to another meanwhile.
    world.until_count(3, "job_history").await;
    world.until_leases_end().await;
    assert_eq!(world.count("job where state = 'running'").await, 1);
    open.commit().await.unwrap();
    assert_eq!(running.finish(&world).await.runs(), 5);
    assert_eq!(world.count("job_history where outcome = 'done' and attempts = 1").await, 4);
}

#[tokio::test]
async fn leases_are_renewed_while_the_upkeep_waits_for_a_lock() {
    let world = with_job("nothing").await;
    let running = Running::gated(&world, 0, Limits { lease: Duration::from_secs(2), ..LIMITS });
    running.at_work(1).await;
    // The second job of a group whose head is gone: the upkeep lets it run, once its row can be locked.
    for key in ["head", "next"] {
        world.execute(&format!("select shopkeeper.enqueue('grouped', '{key}', group_key => 'g')")).await;
    }
    let open = world.begin("select from shopkeeper.job where key = 'next' for update").await;
    world.execute("delete from shopkeeper.job where key = 'head'").await;
    world.until_locked(1, "advance_all").await;
    let lease = |condition: &str| format!("({condition}) from shopkeeper.job where key = 'k'");
    let first: DateTime<Utc> = world.value("select lease_until from shopkeeper.job where key = 'k'").await;
    let beyond = format!("lease_until < now() or lease_until > '{first}'::timestamptz + interval '4 s'");
    world.until("the lease was renewed far beyond its length, or ran out", &lease(&beyond)).await;
    assert!(world.value::<bool>(&format!("select {}", lease("lease_until > now()"))).await, "it ran out");
    running.open(10);
    world.until_none(SCRIPTED).await;
    open.rollback().await.unwrap();
    assert_eq!(running.stop().await.runs(), 1);
}

#[tokio::test]
async fn a_renewal_whose_connection_was_cut_holds_up_no_other() {
    let world = with_job("nothing").await;
    let minute = Duration::from_mins(1);
    let leases = [claim(&world, "w", 1, minute).await[0].lease];
    let (proxy, through) = behind_proxy(&world).await;
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
    let lease = world.claim("answer_question", "w", 1, Duration::from_mins(1)).await[0].lease;
    let taken = world.store.take_question(id, 1, lease).await.unwrap().unwrap();
    let open = world.begin(&format!("select shopkeeper.enqueue('answer_question', '{id}')")).await;
    let settlement = Settlement { status: AnswerStatus::Completed, ..Settlement::default() };
    let (settling, ()) = tokio::join!(world.store.settle(&taken, &settlement, None), async {
        world.until_locked(1, "").await;
        open.commit().await.unwrap();
    });
    settling.unwrap();
    assert_eq!(world.count("job where state = 'ready' and attempts = 0").await, 1, "it goes on");
    assert!(world.store.settle(&taken, &settlement, None).await.is_err(), "the lease is void");
}

#[tokio::test]
async fn whoever_makes_a_job_ready_rings_the_bell() {
    let world = with_job("nothing").await;
    let mut listener = PgListener::connect_with(&world.ours).await.unwrap();
    listener.listen("shopkeeper_job").await.unwrap();
    let take = async || claim(&world, "w", 1, Duration::from_mins(1)).await[0].lease;
    let mut heard = async |what: &str| {
        assert_eq!(in_time(what, listener.recv()).await.unwrap().payload(), "scripted");
    };
    world.store.give_back(&[take().await]).await.unwrap();
    heard("a job that was given back").await;
    let again = JobEnd::failed(take().await, AfterFailure::Retry(Duration::ZERO), "as wished".to_owned());
    world.store.end_jobs(&[again]).await.unwrap();
    heard("a job that is tried again at once").await;
    let lease = take().await;
    enqueue(&world, "k", "nothing").await;
    heard("a job that was enqueued while it ran").await;
    world.store.end_jobs(&[JobEnd::done(lease, Vec::new())]).await.unwrap();
    heard("a job that runs again because of that").await;
    claim(&world, "gone", 1, Duration::ZERO).await;
    world.until_leases_end().await;
    world.store.rescue().await.unwrap();
    heard("a job whose worker is gone").await;
}

#[tokio::test]
async fn whoever_listens_takes_no_connection_from_those_who_work() {
    let world = World::new().await;
    let store = Store::open(&DatabaseSettings { max_connections: 1, ..reach(&world.url()) }).await.unwrap();
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
    enqueue_all(&world, 0..200).await;
    let limits = Limits { fleet_concurrency: Some(2), ..LIMITS };
    let workers = [Running::with_limits(&world, limits), Running::with_limits(&world, limits)];
    // Two for each look of a daemon would be a hundred seconds.
    join_all(workers.map(|running| running.finish(&world))).await;
}

#[tokio::test]
async fn jobs_that_were_claimed_ahead_are_given_back_uncharged_when_those_before_them_turn_out_to_be_long() {
    let world = World::new().await;
    let running = Running::gated(&world, 0, LIMITS);
    // On a busy machine short jobs may take long; then more of them are needed until the worker claims ahead.
    let mut done = 0;
    while !world.value::<bool>("select count(*) > 4 from shopkeeper.job where fence > 0").await {
        enqueue_all(&world, 2 * done..2 * done + 100).await;
        running.open(50);
        done += 50;
        world.until_count(done, "job_history").await;
        running.at_work(4).await;
    }
    let others = i64::from(done) - 4;
    world.until_count(others, "job where state = 'ready' and attempts = 0").await;
    let claimed = claim(&world, "another", u32::MAX, Duration::from_mins(1)).await;
    assert_eq!(claimed.len(), usize::try_from(others).unwrap(), "others can have it");
    running.open(4);
    running.stop().await;
}

#[tokio::test]
async fn a_stop_gives_jobs_that_were_claimed_ahead_back_uncharged() {
    let world = World::new().await;
    // However long the first job takes on a busy machine, many as long as that may be claimed ahead.
    let running = Running::gated(&world, 1, Limits { ahead: LIMIT, ..LIMITS });
    enqueue_all(&world, 0..1).await;
    world.until_none(SCRIPTED).await;
    enqueue_all(&world, 0..100).await;
    world.until_count(100, "job where state = 'running'").await;
    running.stop.cancel();
    world.until_count(4, "job where state = 'running'").await;
    running.open(4);
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
        let (lease, base) = (Duration::ZERO, Claim::default());
        let claim = Claim { kind: "scripted", worker: "w", limit: 1, shared, lease, max_attempts: 1, ..base };
        world.store.claim(claim).await.unwrap()
    };
    assert_eq!((take(false).await.len(), take(true).await.len()), (1, 1));
    world.until_leases_end().await;
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
        let id = world.ask_by_sql(&format!("Where is {n}?")).await;
        (id, world.value(&format!("select id from shopkeeper.job where key = '{id}'")).await)
    };
    let status = async |id: Uuid| {
        let ended = "select concat_ws(' ', status, escalation_reason) from shopkeeper.answer";
        world.text(&format!("{ended} where id = '{id}'")).await
    };
    let (cancelled, job) = asked(1).await;
    world.store.cancel_jobs(&[job]).await.unwrap();
    assert_eq!(status(cancelled).await, "cancelled");
    let (lost, job) = asked(2).await;
    let gone = "update shopkeeper.job set state = 'running', worker = 'gone', lease_until = now(), attempts = 1, max_attempts = 1";
    world.execute(gone).await;
    world.until("it is freed", "true from shopkeeper.rescue(10)").await;
    assert_eq!(status(lost).await, "failed failed");
    // A retry of the job produces the answer.
    assert_eq!(world.store.retry_jobs(&Selection::Ids(vec![job])).await.unwrap(), 1);
    world.drain().await;
    assert!(status(lost).await.starts_with("completed"), "{}", status(lost).await);
}

#[tokio::test]
async fn a_retry_of_a_dead_job_does_not_touch_a_newer_one_of_its_key() {
    let world = World::new().await;
    let die = async || {
        let lease = claim(&world, "w", 1, Duration::from_mins(1)).await[0].lease;
        let died = JobEnd::failed(lease, AfterFailure::Dead { rejected_by: None }, "as wished".to_owned());
        world.store.end_jobs(&[died]).await.unwrap();
    };
    world.execute("select shopkeeper.enqueue('scripted', 'k', '{\"n\": 1}', max_attempts => 7)").await;
    die().await;
    world.execute("select shopkeeper.enqueue('scripted', 'k', '{\"n\": 2}')").await;
    assert_eq!(world.store.retry_jobs(&dead("scripted")).await.unwrap(), 0);
    assert_eq!(world.count("job where payload ->> 'n' = '2'").await, 1);
    die().await;
    assert_eq!(world.store.retry_jobs(&dead("scripted")).await.unwrap(), 1);
    assert_eq!(world.count("job where payload ->> 'n' = '2'").await, 1);
}

#[tokio::test]
async fn what_is_pruned_is_old_and_not_dead() {
    let world = World::new().await;
    let ended = "insert into shopkeeper.job_history
             (id, kind, payload, priority, outcome, attempts, created_at, run_at, finished_at)
         select n, 'k', '{}', 0, (array['done', 'dead'])[1 + n % 2], 1, now(), now(),
             now() - n / 2 * interval '1 day'
         from generate_series(0, 9) as n";
    world.execute(ended).await;
    assert_eq!(world.store.prune_jobs(Duration::from_hours(36)).await.unwrap(), 3);
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 5);
}

#[tokio::test]
async fn a_network_that_swallows_everything_without_a_word_is_survived() {
    let world = World::new().await;
    let (proxy, through) = behind_proxy(&world).await;
    enqueue_all(&world, 0..4).await;
    let running = Running::start_on(through, Scripted::gated(0), LIMITS);
    world.until_count(4, "job where state = 'running'").await;
    proxy.swallow();
    // The jobs end, and their ends are lost.
    running.open(100);
    world.until_leases_end().await;
    proxy.pass_new();
    enqueue(&world, "after", "nothing").await;
    world.until_some("job_history where key = 'after'").await;
    running.finish(&world).await;
    assert_eq!(world.count("job_history where outcome = 'done'").await, 5);
}

/// The lock under which a claim waits.
const LOCK: &str = "lock table shopkeeper.job in exclusive mode";

/// Statements that claim.
const CLAIM: &str = "shopkeeper.claim\\(";

#[tokio::test]
async fn a_job_of_a_claim_whose_reply_was_lost_runs_soon_and_is_charged_once() {
    let world = with_job("nothing").await;
    let (proxy, through) = behind_proxy(&world).await;
    let open = world.begin(LOCK).await;
    let limits = Limits { lease: Duration::from_hours(1), ..LIMITS };
    let running = Running::start_on(through, Scripted::default(), limits);
    world.until_locked(1, CLAIM).await;
    proxy.lose_replies();
    open.rollback().await.unwrap();
    world.until_count(1, "job where state = 'running'").await;
    proxy.pass_new();
    running.finish(&world).await;
    assert_eq!(world.count("job_history where attempts = 1").await, 1);
}

#[tokio::test]
async fn a_job_of_a_claim_that_ends_after_it_was_given_up_runs_soon_and_is_charged_once() {
    let world = with_job("nothing").await;
    let open = world.begin(LOCK).await;
    let running = Running::with_limits(&world, Limits { lease: Duration::from_hours(1), ..LIMITS });
    // Nobody waits for the first claim any more.
    world.until_locked(2, CLAIM).await;
    open.rollback().await.unwrap();
    running.finish(&world).await;
    assert_eq!(world.count("job_history where attempts = 1").await, 1);
}

#[tokio::test]
async fn a_job_that_somebody_has_locked_is_given_back_when_he_lets_go_of_it() {
    let world = World::new().await;
    let limits = Limits { ahead: LIMIT, lease: Duration::from_hours(1), ..LIMITS };
    let running = Running::gated(&world, 1, limits);
    enqueue_all(&world, 0..1).await;
    world.until_none(SCRIPTED).await;
    enqueue_all(&world, 0..5).await;
    world.until_count(5, "job where state = 'running'").await;
    let open = world.begin("select from shopkeeper.job where shared for update").await;
    running.stop.cancel();
    let tried = "exists (select from pg_stat_activity
         where datname = current_database() and query ~ 'with back as' and state = 'idle')";
    world.until("it was to be given back", tried).await;
    open.rollback().await.unwrap();
    world.until_count(1, "job where state = 'ready' and attempts = 0").await;
    running.open(4);
    running.stop().await;
}

#[tokio::test]
async fn what_runs_on_for_too_long_after_a_stop_is_left_to_others() {
    let world = with_job("wait").await;
    let running = Running::start(&world);
    running.job.started.notified().await;
    running.queue.give_up();
    in_time("it is waited for", running.stop()).await;
    let is_claimed = async || {
        world.execute("select shopkeeper.rescue(10)").await;
        !claim(&world, "another", 1, LIMIT).await.is_empty()
    };
    wait_until("its lease does not run out", is_claimed).await;
}
