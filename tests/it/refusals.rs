//! Bad requests are refused with a reason; a question posted a hundred times at once is asked once; and the fallback
//! while no model may be asked.

use crate::prelude::*;

async fn post(daemon: &TestDaemon, body: Vec<u8>) -> (StatusCode, Value) {
    let request = daemon.request(Method::POST, "/v1/answers");
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_by_name() {
    let (world, daemon) = shop_with_daemon().await;
    let question = |length: usize| json!({ "question": "x".repeat(length) }).to_string().into_bytes();
    let of_system = br#"{"question": "a", "history": [{"role": "system", "content": "x"}]}"#;
    for (body, status, says) in [
        (&*question(10_000), 422, "question has 10000 characters; the most is 4000"),
        (&question(300_000), 413, "larger than 262144 bytes"),
        (b"{\"question\": \"a\"", 400, "EOF while parsing"),
        (b"{\"question\": \"\xff\xfe\"}", 400, "invalid unicode"),
        (b"[]", 400, "not a request"),
        (b"", 400, "missing field `question`"),
        (b"{\"question\": \"a\", \"priority\": 40000}", 400, "not a request"),
        (b"{\"question\": \"a\", \"cancel_after_s\": -1}", 400, "cancel_after_s"),
        (b"{\"question\": \"a\", \"on_busy\": \"wait\"}", 400, "unknown variant `wait`"),
        (b"{\"question\": \"a\", \"filter\": [1]}", 400, "not a request"),
        (of_system, 400, "unknown variant `system`"),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let (code, problem) = post(&daemon, body.to_vec()).await;
        assert_eq!(code.as_u16(), status, "{shown}: {problem}");
        assert!(as_text(&problem["detail"]).contains(says), "{shown}: {problem}");
    }
    for path in ["/%ff", "?limit=0", "?cursor=x", "?nothing=1"] {
        assert_problem(daemon.get(&format!("/v1/answers{path}")).await, 400, "invalid_request");
    }
    assert_eq!(reply(daemon.request(Method::PUT, "/v1/answers")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(world.count("answer").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_asked_by_sql_and_cannot_be_read_fails_at_once_and_breaks_no_listing() {
    let (world, daemon) = shop_with_daemon().await;
    let id: Uuid = world.value("select shopkeeper.ask('Kettle?', metadata => '{\"n\": 1e400}')").await;
    let failed = daemon.settled_by(&world, &id.to_string(), "/v1/answers?status=failed").await;
    // Nothing was found.
    assert_fields(&failed["data"][0], json!({ "attempt": 1, "confidence": null }));
    daemon.stop().await;
}

#[tokio::test]
async fn a_hundred_posts_at_once_with_one_key_are_one_question() {
    let (world, daemon) = shop_with_daemon().await;
    let ask = async |n: usize| {
        let request = daemon.request(Method::POST, "/v1/answers").header("Idempotency-Key", "one");
        // Some wait, some do not.
        let request = if n.is_multiple_of(2) { request.header("Prefer", "wait=10") } else { request };
        let (status, answer) = reply(request.json(&in_session(PRICE))).await;
        assert!(status.is_success(), "{status}");
        id_of(&answer).to_owned()
    };
    let ids: BTreeSet<_> = join_all((0..100).map(ask)).await.into_iter().collect();
    assert_eq!((ids.len(), world.count("answer").await), (1, 1));
    daemon.settled(&world, ids.first().unwrap()).await;
    assert_eq!(world.completion_requests(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_is_away_is_waited_for_and_then_the_fallback_is_said() {
    let mut world = World::new().await;
    let daemon = TestDaemon::start(&world).await;
    let away = back_after(503, Duration::from_secs(1));
    world.script().always(Operation::Completions, away.clone());
    let (_, answer) = daemon.post(question(PRICE)).await;
    let id = id_of(&answer);
    world.until_count(1, "job where last_error is not null").await;
    // In `make chaos` for a minute.
    sleep(Duration::from_secs(4) * (chaos_rounds() - 1)).await;
    let (_, waiting) = daemon.get(&format!("/v1/answers/{id}")).await;
    assert_eq!(waiting["status"], "in_progress", "nothing is lost: {waiting}");
    world.script().clear();
    let answer = daemon.settled(&world, id).await;
    // No attempt is charged.
    assert_fields(&answer, json!({ "outcome": "answered", "attempt": 1 }));
    daemon.stop().await;

    world.config.answers.limits.fallback_after = Duration::ZERO;
    let daemon = TestDaemon::start(&world).await;
    world.script().always(Operation::Completions, away);
    let answer = daemon.ask(&world, in_session("How much is the Shirt?")).await;
    assert_fields(&answer, json!({ "outcome": "fallback", "escalation": { "reason": "paused" } }));
    assert_eq!(answer["answer"]["text"], "We will get back to you.", "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_stop_button_stops_all_spending_until_it_is_let_go() {
    let (world, daemon) = shop_with_daemon().await;
    world.run_ok("pause").await;
    let before = (world.completion_requests(), world.script().inputs());
    let answer = daemon.ask(&world, question(PRICE)).await;
    assert_fields(&answer, json!({ "outcome": "fallback", "needs_escalation": true }));
    world.describe(3, "Made of glass.").await;
    world.try_sync().await.unwrap();
    world.until_count(1, "job where last_error is not null").await;
    assert_eq!((world.completion_requests(), world.script().inputs()), before);
    assert_contains(world.run_ok("status").await, "model requests are paused");
    world.run_ok("resume").await;
    world.hurry().await;
    world.until_none("job").await;
    assert_fields(&daemon.ask(&world, question(PRICE)).await, json!({ "outcome": "answered" }));
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_can_be_restricted_and_a_human_asked_for() {
    let (world, daemon) = shop_with_daemon().await;
    let restricted = json!({ "question": "Which shirt is there?", "filter": { "stock": 2 } });
    let answer = daemon.ask(&world, restricted).await;
    let titles: Vec<_> = as_list(&answer["sources"]).iter().map(|source| &source["title"]).collect();
    assert_eq!(titles, [&json!("Shirt XL")], "{answer}");
    let nothing = json!({ "question": "Which shirt is there?", "filter": { "stock": 77 } });
    assert_fields(&daemon.ask(&world, nothing).await, json!({ "escalation": { "reason": "no_passages" } }));
    let human = daemon.ask(&world, json!({ "question": "Can I talk to a human about the Kettle?" })).await;
    assert_eq!(human["escalation"]["reason"], "asked_for_human", "{human}");
    let by_sql: Uuid = world.value("select shopkeeper.ask('Which shirt?', filter => '{\"stock\": 5}')").await;
    let answer = daemon.settled(&world, &by_sql.to_string()).await;
    assert_eq!(answer["sources"][0]["title"], "Shirt", "{answer}");
    daemon.stop().await;
}
