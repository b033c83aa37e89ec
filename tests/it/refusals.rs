//! What cannot be taken is refused clearly; what is asked a hundred times at once is asked once; and what is said
//! while no model may be asked.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    running::TestDaemon,
    support::{World, chaos_rounds, stdout},
};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shopkeeper::demo::models::{Fault, Operation};

async fn post(daemon: &TestDaemon, body: Vec<u8>) -> (StatusCode, Value) {
    let request = daemon.client.post(format!("{}/v1/answers", daemon.url));
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_by_name() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let question = |text: &str| json!({ "question": text }).to_string().into_bytes();
    for (body, status, says) in [
        (question(&"x".repeat(10_000)), 422, "question has 10000 characters; the most is 4000"),
        (question(&"x".repeat(300_000)), 413, "larger than 262144 bytes"),
        (b"{\"question\": \"a\"".to_vec(), 400, "EOF while parsing"),
        (b"{\"question\": \"\xff\xfe\"}".to_vec(), 400, "invalid unicode"),
        (b"[]".to_vec(), 400, "not a request"),
        (b"".to_vec(), 400, "missing field `question`"),
        (b"{\"question\": \"a\", \"priority\": 40000}".to_vec(), 400, "not a request"),
        (b"{\"question\": \"a\", \"cancel_after_s\": -1}".to_vec(), 400, "cancel_after_s"),
        (b"{\"question\": \"a\", \"on_busy\": \"wait\"}".to_vec(), 400, "unknown variant `wait`"),
        (b"{\"question\": \"a\", \"filter\": [1]}".to_vec(), 400, "not a request"),
        (
            b"{\"question\": \"a\", \"history\": [{\"role\": \"system\", \"content\": \"x\"}]}".to_vec(),
            400,
            "unknown variant `system`",
        ),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let (code, problem) = post(&daemon, body).await;
        assert_eq!(code.as_u16(), status, "{shown}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{shown}: {problem}");
    }
    for (path, status) in [
        ("/v1/answers/%ff", 400),
        ("/v1/answers?limit=0", 400),
        ("/v1/answers?cursor=x", 400),
        ("/v1/answers?nothing=1", 400),
    ] {
        let (code, problem) = daemon.get(path).await;
        assert_eq!(code.as_u16(), status, "{path}: {problem}");
        assert_eq!(problem["code"], "invalid_request");
    }
    let put = daemon.client.put(format!("{}/v1/answers", daemon.url)).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(world.count("answer").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_asked_by_sql_and_cannot_be_read_fails_at_once_and_breaks_no_listing() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let id: uuid::Uuid = world.value("select shopkeeper.ask('Kettle?', metadata => '{\"n\": 1e400}')").await;
    let failed = daemon.settled_by(&world, &id.to_string(), "/v1/answers?status=failed").await;
    assert_eq!(failed["data"][0]["attempt"], 1, "{failed}");
    assert_eq!(failed["data"][0]["confidence"], Value::Null, "nothing was found");
    daemon.stop().await;
}

#[tokio::test]
async fn a_hundred_posts_at_once_with_one_key_are_one_question() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let ask = async |n: usize| {
        let request =
            daemon.client.post(format!("{}/v1/answers", daemon.url)).header("Idempotency-Key", "one");
        // Some wait, some do not.
        let request = if n.is_multiple_of(2) { request.header("Prefer", "wait=10") } else { request };
        let response = request
            .json(&json!({ "question": "How much is the Kettle?", "session_id": "s" }))
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let ids: BTreeSet<_> = join_all((0..100).map(ask)).await.into_iter().collect();
    assert_eq!((ids.len(), world.count("answer").await), (1, 1));
    daemon.settled(&world, ids.first().unwrap()).await;
    assert_eq!(world.script().requests(Operation::Completions), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_is_away_is_waited_for_and_then_the_fallback_is_said() {
    let mut world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let away = Fault::Status { code: 503, retry_after: Some(Duration::from_secs(1)) };
    world.script().always(Operation::Completions, away.clone());
    let (_, answer) = daemon.post(json!({ "question": "How much is the Kettle?" })).await;
    let id = answer["id"].as_str().unwrap();
    world.until("it was tried", "count(*) = 1 from shopkeeper.job where last_error is not null").await;
    // In `make chaos` for a minute.
    tokio::time::sleep(Duration::from_secs(4) * (chaos_rounds() - 1)).await;
    let (_, waiting) = daemon.get(&format!("/v1/answers/{id}")).await;
    assert_eq!(waiting["status"], "in_progress", "nothing is lost: {waiting}");
    world.script().clear();
    let answer = daemon.settled(&world, id).await;
    assert_eq!(
        (&answer["outcome"], &answer["attempt"]),
        (&json!("answered"), &json!(1)),
        "no attempt is charged"
    );
    daemon.stop().await;

    world.config.answers.limits.fallback_after = Duration::ZERO;
    let daemon = TestDaemon::start(&world).await;
    world.script().always(Operation::Completions, away);
    let answer = daemon.ask(&world, json!({ "question": "How much is the Shirt?", "session_id": "s" })).await;
    assert_eq!((&answer["outcome"], &answer["escalation"]["reason"]), (&json!("fallback"), &json!("paused")));
    assert_eq!(answer["answer"]["text"], "We will get back to you.");
    daemon.stop().await;
}

#[tokio::test]
async fn the_stop_button_stops_all_spending_until_it_is_let_go() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    assert!(world.run(&["pause"]).await.status.success());
    let before = (world.script().requests(Operation::Completions), world.script().inputs());
    let answer = daemon.ask(&world, json!({ "question": "How much is the Kettle?" })).await;
    assert_eq!((&answer["outcome"], &answer["needs_escalation"]), (&json!("fallback"), &json!(true)));
    world.in_shop("update product set description = 'Made of glass.' where id = 3").await;
    world.try_sync().await.unwrap();
    world.until("it waits", "count(*) = 1 from shopkeeper.job where last_error is not null").await;
    assert_eq!((world.script().requests(Operation::Completions), world.script().inputs()), before);
    let status = stdout(&world.run(&["status"]).await);
    assert!(status.contains("stop button"), "{status}");
    assert!(world.run(&["resume"]).await.status.success());
    world.hurry().await;
    world.until("it is indexed", "not exists (select from shopkeeper.job)").await;
    let answer = daemon.ask(&world, json!({ "question": "How much is the Kettle?" })).await;
    assert_eq!(answer["outcome"], "answered");
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_can_be_restricted_and_a_human_asked_for() {
    let world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let restricted = json!({ "question": "Which shirt is there?", "filter": { "stock": 2 } });
    let answer = daemon.ask(&world, restricted).await;
    let titles: Vec<_> =
        answer["sources"].as_array().unwrap().iter().map(|source| &source["title"]).collect();
    assert_eq!(titles, [&json!("Shirt XL")], "{answer}");
    let nothing = json!({ "question": "Which shirt is there?", "filter": { "stock": 77 } });
    let answer = daemon.ask(&world, nothing).await;
    assert_eq!(answer["escalation"]["reason"], "no_passages", "{answer}");
    let human = daemon.ask(&world, json!({ "question": "Can I talk to a human about the Kettle?" })).await;
    assert_eq!(human["escalation"]["reason"], "asked_for_human", "{human}");
    let by_sql: uuid::Uuid =
        world.value("select shopkeeper.ask('Which shirt?', filter => '{\"stock\": 5}')").await;
    let answer = daemon.settled(&world, &by_sql.to_string()).await;
    assert_eq!(answer["sources"][0]["title"], "Shirt", "{answer}");
    daemon.stop().await;
}
