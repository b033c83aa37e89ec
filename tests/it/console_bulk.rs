//! Actions on many jobs in the console.

use crate::{prelude::*, visitor::*};
use reqwest::header;
use shopkeeper::store::jobs::{BulkState, JobAction, JobState, JobsShown};

/// Fifty thousand dead jobs of one error, and some of others.
const DEAD: &str = "
    insert into shopkeeper.job_history
        (id, kind, key, payload, priority, outcome, error, attempts, created_at, run_at, finished_at)
    select n, case when n % 50 = 0 then 'deliver_webhook' else 'eval' end, 'k' || n, '{}', 0, 'dead',
        case when n % 50 = 0 then 'refused' else 'timeout after ' || n || ' ms' end, 3, now(), now(), now() - interval '1 hour'
    from generate_series(1, 51020) as n";

#[tokio::test]
async fn a_bulk_action_changes_what_was_counted_and_nothing_else() {
    let world = World::synced().await;
    world.execute(DEAD).await;
    world.store.pause("eval").await.unwrap();
    let (world, daemon) = world.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let groups = visitor.page("/jobs?state=dead").await;
    assert_contains(&groups, "≥ 10\u{202f}000");
    let class = world.text("select error_class from shopkeeper.job_history where key = 'k1'").await;
    let wanted = format!("state=dead&error={class}&action=discard");
    let page = visitor.page(&format!("/jobs/bulk?{wanted}")).await;
    assert_contains(&page, "Discard 50\u{202f}000 jobs");
    let signed = between(&page, "name=\"token\" value=\"", "\"");
    // More of them die while the page is open, and others are enqueued.
    world.execute("insert into shopkeeper.job_history (id, kind, key, payload, priority, outcome, error, attempts, created_at, run_at)
        select n, 'eval', 'late' || n, '{}', 0, 'dead', 'timeout after ' || n || ' ms', 3, now(), now() from generate_series(60001, 60100) as n;
        select shopkeeper.enqueue_many('eval', array(select 'new' || n from generate_series(1, 500) as n), array_fill('{}'::jsonb, array[500]))").await;
    let unconfirmed = visitor.act("/do/bulk", &[("token", &signed)]).await;
    assert_eq!(unconfirmed.status(), StatusCode::BAD_REQUEST);
    let widened = format!("{}x", &signed[..signed.len() - 1]);
    let forged = visitor.act("/do/bulk", &[("token", &widened), ("confirm", "50000")]).await;
    assert_eq!(forged.status(), StatusCode::BAD_REQUEST);
    let confirmed = [("token", &*signed), ("confirm", "50000")];
    let (first, second) =
        tokio::join!(visitor.act("/do/bulk", &confirmed), visitor.act("/do/bulk", &confirmed));
    let to = first.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert_eq!(second.headers()[header::LOCATION], to.as_str(), "a second tab starts nothing new");
    world.until("it is on its way", "done > 0 from shopkeeper.bulk_action").await;
    let id = to.rsplit('/').next().unwrap();
    visitor.done("/do/bulk-cancel", &[("id", id)]).await;
    world.until_none("job where kind = 'change_jobs'").await;
    let gone = world.count("discarded_job").await;
    assert!(gone > 0 && gone < 50_000, "{gone} were discarded before it was ended");
    assert_eq!(world.count("job_history where kind = 'eval' and key like 'k%'").await, 50_000 - gone);
    assert_eq!(world.count("job_history where error = 'refused'").await, 1020);
    // The back button: the same form once more is the same action, which has ended.
    visitor.act("/do/bulk", &confirmed).await;
    assert_eq!((world.count("bulk_action").await, world.count("discarded_job").await), (1, gone));
    let restored = visitor.done("/do/restore", &[("action", id)]).await;
    assert_contains(restored, "Jobs that were restored:");
    assert_eq!(world.count("job_history where kind = 'eval' and key like 'k%'").await, 50_000);
    assert_eq!(world.count("job_history where key like 'late%'").await, 100);
    assert_eq!(world.count("job where key like 'new%'").await, 500);
    daemon.stop().await;
}

#[tokio::test]
async fn a_bulk_retry_runs_what_was_dead_and_leaves_what_dies_again() {
    let world = World::synced().await;
    world.execute(&DEAD.replace("51020", "1500")).await;
    world.store.pause("eval").await.unwrap();
    let (world, daemon) = world.with_daemon().await;
    let filter =
        JobsShown { kind: Some("eval".to_owned()), state: Some(JobState::Dead), ..JobsShown::default() };
    let jobs = world.store.freeze_jobs(filter).await.unwrap();
    assert_eq!(jobs.counted, 1470);
    let bulk = shopkeeper::store::jobs::Bulk { id: Uuid::new_v4(), action: JobAction::Retry, jobs };
    let job = shopkeeper::bulk::ChangeJobs::of(bulk.id);
    assert!(world.store.start_bulk(&bulk, "me", job.clone()).await.unwrap());
    assert!(!world.store.start_bulk(&bulk, "me", job).await.unwrap());
    world.until_some("bulk_action where state = 'done'").await;
    world.until_none("job where kind = 'change_jobs'").await;
    let action = world.store.bulk_action(bulk.id).await.unwrap().unwrap();
    assert_eq!((action.done, action.state), (1470, BulkState::Done));
    assert_eq!(world.count("job where kind = 'eval'").await, 1470);
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 30);
    daemon.stop().await;
}

#[tokio::test]
async fn a_bulk_cancel_leaves_waiting_jobs_alone_that_were_others_when_it_was_counted() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    world
        .execute(
            "insert into shopkeeper.job (kind, key, state, run_at)
             select 'eval', 'k' || n, case when n <= 700 then 'scheduled' else 'ready' end, now() + interval '1 hour'
             from generate_series(1, 1000) as n; update shopkeeper.queue_kind set paused_at = now();
             insert into shopkeeper.queue_kind (kind, paused_at) values ('eval', now())
             on conflict (kind) do update set paused_at = now(); delete from shopkeeper.queue_kind where kind = 'change_jobs'",
        )
        .await;
    let filter =
        JobsShown { kind: Some("eval".to_owned()), state: Some(JobState::Scheduled), ..JobsShown::default() };
    let jobs = world.store.freeze_jobs(filter).await.unwrap();
    assert_eq!(jobs.counted, 700);
    // Some that waited fail meanwhile and are scheduled, too; some of those that were counted change.
    world.execute("update shopkeeper.job set state = 'scheduled' where key in ('k800', 'k900')").await;
    world.execute("update shopkeeper.job set run_at = now() + interval '2 hours' where key = 'k7'").await;
    let bulk = shopkeeper::store::jobs::Bulk { id: Uuid::new_v4(), action: JobAction::Cancel, jobs };
    assert!(world.store.start_bulk(&bulk, "me", shopkeeper::bulk::ChangeJobs::of(bulk.id)).await.unwrap());
    world.until_some("bulk_action where state = 'done'").await;
    assert_eq!(world.count("job where kind = 'eval'").await, 301);
    assert_eq!(world.count("job where key in ('k7', 'k800', 'k900')").await, 3);
    daemon.stop().await;
}

#[tokio::test]
async fn a_bulk_cancel_tells_what_was_counted_also_beside_other_transactions() {
    let world = World::synced().await;
    // Numbers of transactions near to that which inserts the jobs, and still open when they are counted.
    let begin = async || {
        let mut connection = PgConnection::connect(&world.url()).await.unwrap();
        for statement in ["begin", "select pg_current_xact_id()"] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        connection
    };
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(begin().await);
    }
    world
        .execute(
            "insert into shopkeeper.job (kind, key, state, run_at)
             select 'eval', 'k' || n, 'scheduled', now() + interval '1 hour' from generate_series(1, 20) as n",
        )
        .await;
    let filter =
        JobsShown { kind: Some("eval".to_owned()), state: Some(JobState::Scheduled), ..JobsShown::default() };
    let jobs = world.store.freeze_jobs(filter).await.unwrap();
    let bulk = shopkeeper::store::jobs::Bulk { id: Uuid::new_v4(), action: JobAction::Cancel, jobs };
    assert!(world.store.start_bulk(&bulk, "me", shopkeeper::bulk::ChangeJobs::of(bulk.id)).await.unwrap());
    for _ in 0..3 {
        open.push(begin().await);
    }
    let action = world.store.bulk_action(bulk.id).await.unwrap().unwrap();
    world.store.next_of_bulk(&action).await.unwrap();
    assert_eq!(world.count("job where kind = 'eval'").await, 0);
}
