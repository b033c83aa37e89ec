//! Sessions while everything fails: models, daemons, askers that ask twice.

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicBool},
};

use crate::{
    prelude::*,
    worker::{pick, random},
};
use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use sqlx::postgres::PgPoolOptions;

const SESSIONS: usize = 60;
const ASKERS: usize = 8;
/// Questions that wait, at most.
const WAITING: i64 = 120;

/// Of each webhook-id the bodies that came.
type Told = Arc<Mutex<HashMap<String, Vec<Bytes>>>>;

/// A receiver that fails now and then; where it is.
async fn receiver(told: Told) -> String {
    let receive = async move |headers: HeaderMap, body: Bytes| {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        told.lock().unwrap().entry(id).or_default().push(body);
        if random() < 0.1 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
    };
    serve(Router::new().route("/", post(receive))).await + "/"
}

fn daemon(world: &World) -> Process {
    Process::start(world.command("run").stdout(Stdio::null()).stderr(Stdio::null()))
}

async fn ask(pool: &PgPool, session: usize, key: &str) {
    let asked = format!("'Kettle {key}?', session_id => 's{session}', idempotency_key => '{key}'");
    value::<Uuid>(pool, &format!("select shopkeeper.ask({asked})")).await;
}

/// Asks again and again in sessions drawn at random, until it is over; how often.
async fn asks(pool: &PgPool, who: usize, over: &AtomicBool) -> i64 {
    let mut asked = 0;
    while !over.load(Ordering::Relaxed) {
        // Enough wait always, and not more than end soon.
        let waiting = "select count(*) from shopkeeper.answer where status = 'queued'";
        if value::<i64>(pool, waiting).await > WAITING {
            sleep(Duration::from_millis(50)).await;
            continue;
        }
        let (session, key) = (pick(SESSIONS), format!("{who}-{asked}"));
        ask(pool, session, &key).await;
        // Some are not sure that they asked.
        if random() < 0.1 {
            ask(pool, session, &key).await;
        }
        asked += 1;
        sleep(Duration::from_millis(80).mul_f64(random())).await;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_each_question_ends_once_in_the_order_of_its_session_and_is_told_as_one_thing() {
    let seconds = 4 * chaos_rounds();
    let told = Told::default();
    let hook = webhook("hook", &receiver(told.clone()).await, ON_LOOPBACK);
    let mut world = World::with_webhooks(&(hook + "[queue.deliver_webhook]\nlease = \"3s\"\n")).await;
    world.change_settings("lease = \"5s\"", "lease = \"3s\"").await;
    world.sync().await;
    let pool = PgPoolOptions::new().max_connections(10).connect(&world.url()).await.unwrap();
    let mut daemons = [daemon(&world), daemon(&world)];

    let over = AtomicBool::new(false);
    let asking = join_all((0..ASKERS).map(|asker| asks(&pool, asker, &over)));
    // One request of ten fails, each in its own way.
    let failing = async {
        let mut failed = 0;
        while !over.load(Ordering::Relaxed) {
            if world.completion_requests() / 10 > failed {
                failed += 1;
                let faults = [
                    status(500),
                    Fault::CutConnection,
                    Fault::BadJson,
                    says("It costs 1.23 [1]."),
                    Fault::Slow(Duration::from_millis(700)),
                ];
                world.script().queue(Operation::Completions, [faults[pick(faults.len())].clone()]);
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    let killing = async {
        for kill in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            daemons[kill as usize % 2] = daemon(&world);
        }
        over.store(true, Ordering::Relaxed);
    };
    let (asked, (), ()) = tokio::join!(asking, failing, killing);
    let asked: i64 = asked.into_iter().sum();
    // What waits for a receiver is told now.
    world.until_none("job where kind <> 'deliver_webhook' or state <> 'scheduled'").await;
    world.hurry().await;
    drop(daemons);

    assert_eq!(world.count("answer").await, asked, "asked once, there once");
    assert_eq!(world.count("answer where status not in ('completed', 'failed')").await, 0);
    let overlapping = "select count(*) from (
             select started_at, lag(completed_at) over (partition by session_id order by seq) as before
             from shopkeeper.answer
         ) as turn where before > started_at or before is null and started_at is null";
    assert_eq!(world.value::<i64>(overlapping).await, 0, "out of order, or two at once");
    let ended = "job_history where kind = 'answer_question' and outcome in ('done', 'dead')";
    assert_eq!(world.count(ended).await, asked, "each job ended once");
    let told = told.lock().unwrap().clone();
    let same = |bodies: &Vec<Bytes>| bodies.iter().all(|body| *body == bodies[0]);
    assert!(told.values().all(same), "an id with two contents");
    let completed: i64 = world.count("delivery where event = 'answer.completed'").await;
    assert_eq!(completed, world.count("answer where status = 'completed'").await, "one message for each");
    aloud(&format!(
        "{asked} questions, {seconds} kills, {} failed, {} messages",
        world.count("answer where status = 'failed'").await,
        told.len()
    ));
}
