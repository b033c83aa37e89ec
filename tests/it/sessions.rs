//! Sessions: the order of questions, who answers, what ends one early, and what is left after an erase.

use crate::prelude::*;

/// A daemon whose model holds back every answer until it is let go.
async fn held(world: &World) -> TestDaemon {
    let daemon = TestDaemon::start(world).await;
    world.script().always(Operation::Completions, Fault::Held);
    daemon
}

fn in_session(question: &str) -> Value {
    json!({ "question": question, "session_id": "s" })
}

/// Asks a question and waits until a worker has it at the model.
async fn begun(world: &World, daemon: &TestDaemon, body: Value) -> String {
    let before = world.completion_requests();
    let (status, answer) = daemon.post(body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    world.arrived(Operation::Completions, before + 1).await;
    as_text(&answer["id"]).to_owned()
}

pub(crate) async fn send(
    daemon: &TestDaemon,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let mut request = daemon.client.request(method, format!("{}{path}", daemon.url));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn free(world: &World) {
    world.script().clear();
    world.script().release();
}

#[tokio::test]
async fn a_question_waits_for_the_one_before_it_unless_the_client_says_otherwise() {
    let world = World::new().await;
    let daemon = held(&world).await;
    let first = begun(&world, &daemon, in_session("How much is the Kettle?")).await;
    let (status, second) = daemon.post(in_session("And the Shirt?")).await;
    assert_eq!((status, &second["status"]), (StatusCode::ACCEPTED, &json!("queued")));

    let mut reject = in_session("Hello?");
    reject["on_busy"] = json!("reject");
    assert_problem(daemon.post(reject).await, 409, "session_busy");

    let mut supersede = in_session("No, the Shirt XL?");
    supersede["on_busy"] = json!("supersede");
    let (_, third) = daemon.post(supersede).await;
    for id in [first.as_str(), as_text(&second["id"])] {
        let answer = daemon.settled(&world, id).await;
        assert_fields(&answer, json!({ "status": "cancelled", "outcome": "superseded" }));
    }
    free(&world);
    let third = daemon.settled(&world, as_text(&third["id"])).await;
    assert_fields(&third, json!({ "status": "completed", "outcome": "answered" }));
    let (_, first) = daemon.get(&format!("/v1/answers/{first}")).await;
    assert_eq!(
        (&first["status"], &first["answer"]),
        (&json!("cancelled"), &Value::Null),
        "it stays cancelled"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn unstarted_work_expires_without_cost_and_what_takes_too_long_is_cancelled() {
    let world = World::new().await;
    let daemon = held(&world).await;
    let long = json!({ "question": "How much is the Kettle?", "session_id": "s", "cancel_after_s": 3 });
    let long = begun(&world, &daemon, long).await;
    let late =
        json!({ "question": "And the Shirt?", "session_id": "s", "start_before": "2020-01-01T00:00:00Z" });
    let (_, late) = daemon.post(late).await;
    let late = daemon.settled(&world, as_text(&late["id"])).await;
    assert_fields(&late, json!({ "status": "expired", "attempt": 0 }));
    let long = daemon.settled(&world, &long).await;
    assert_eq!(long["status"], "cancelled", "{long}");
    free(&world);
    let after = daemon.ask(&world, in_session("How much is the Kettle?")).await;
    assert_eq!(after["status"], "completed", "the session goes on: {after}");
    // One of the first, and two of the last, which is a follow-up.
    assert_eq!(world.completion_requests(), 3);
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_can_be_cancelled_waiting_and_at_work_and_its_session_goes_on() {
    let world = World::new().await;
    let daemon = held(&world).await;
    let working = begun(&world, &daemon, in_session("How much is the Kettle?")).await;
    let (_, waiting) = daemon.post(in_session("And the Shirt?")).await;
    let (_, last) = daemon.post(in_session("And the Shirt XL?")).await;
    for id in [working.as_str(), as_text(&waiting["id"])] {
        for _ in 0..2 {
            let (status, answer) =
                send(&daemon, Method::POST, &format!("/v1/answers/{id}/cancel"), None).await;
            assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("cancelled")));
        }
    }
    // The model still holds the first one, but nobody waits for it.
    world.arrived(Operation::Completions, 2).await;
    free(&world);
    let last = daemon.settled(&world, as_text(&last["id"])).await;
    assert_eq!(last["status"], "completed", "{last}");
    // One of the first, and two of the last, which is a follow-up.
    let requests = world.completion_requests();
    assert_eq!(requests, 3, "nothing was asked for the one that waited");
    let path = format!("/v1/answers/{}/cancel", as_text(&last["id"]));
    let (status, answer) = send(&daemon, Method::POST, &path, None).await;
    assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("completed")), "what is settled stays");
    let (status, _) = send(&daemon, Method::POST, &format!("/v1/answers/{}/cancel", Uuid::nil()), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    daemon.stop().await;
}

#[tokio::test]
async fn while_a_human_answers_questions_are_stored_also_those_that_wait() {
    let world = World::new().await;
    let daemon = held(&world).await;
    let working = begun(&world, &daemon, in_session("How much is the Kettle?")).await;
    let (_, waiting) = daemon.post(in_session("And the Shirt?")).await;
    let owner = "/v1/sessions/s/owner";
    let (status, session) = send(&daemon, Method::PUT, owner, Some(json!({ "owner": "human" }))).await;
    assert_eq!((status, &session["owner"]), (StatusCode::OK, &json!("human")));
    let (status, stored) = daemon.post(in_session("Is anybody there?")).await;
    assert_eq!((status, &stored["outcome"]), (StatusCode::OK, &json!("human_owned")), "{stored}");
    free(&world);
    let working = daemon.settled(&world, &working).await;
    assert_eq!(working["outcome"], "answered", "what was begun is answered: {working}");
    let waiting = daemon.settled(&world, as_text(&waiting["id"])).await;
    assert_fields(&waiting, json!({ "outcome": "human_owned", "attempt": 0, "answer": null }));
    send(&daemon, Method::PUT, owner, Some(json!({ "owner": "bot" }))).await;
    let answer = daemon.ask(&world, in_session("How much is the Kettle?")).await;
    assert_eq!(answer["outcome"], "answered", "{answer}");

    let (status, _) =
        send(&daemon, Method::PUT, "/v1/sessions/t/owner", Some(json!({ "owner": "bot" }))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_problem(
        send(&daemon, Method::PUT, owner, Some(json!({ "owner": "cat" }))).await,
        400,
        "invalid_request",
    );
    daemon.stop().await;
}

/// The rows of our schema that hold a text, whatever the table.
async fn traces(world: &World, planted: &str) -> Vec<String> {
    let tables: Vec<String> = world
        .values("select tablename::text from pg_tables where schemaname = 'shopkeeper' order by tablename")
        .await;
    assert!(tables.len() > 8);
    let mut found = Vec::new();
    for table in tables {
        let rows = world.count(&format!("{table} as row where row::text like '%{planted}%'")).await;
        found.extend((rows > 0).then_some(table));
    }
    found
}

#[tokio::test]
async fn an_erase_leaves_no_trace_also_of_an_answer_in_progress() {
    let (world, daemon) = shop_with_daemon().await;
    let planted = |question: &str| {
        json!({ "question": format!("{question} zebra77"), "session_id": "zebra77:1", "customer_id": "c_zebra77",
                "metadata": { "note": "zebra77" } })
    };
    daemon.ask(&world, planted("How much is the Kettle?")).await;
    world.script().always(Operation::Completions, Fault::Held);
    let working = begun(&world, &daemon, planted("And the Shirt?")).await;
    daemon.post(planted("And the Shirt XL?")).await;
    assert_eq!(
        traces(&world, "zebra77").await,
        ["answer", "escalation", "job", "job_history", "session"],
        "there is something to erase"
    );
    let (status, erased) = send(&daemon, Method::DELETE, "/v1/sessions/zebra77:1", None).await;
    assert_eq!((status, &erased["answers"]), (StatusCode::OK, &json!(3)));
    assert_eq!(traces(&world, "zebra77").await, [""; 0]);
    free(&world);
    world.until_none("job").await;
    // What ran has ended then.
    daemon.stop().await;
    assert_eq!(traces(&world, "zebra77").await, [""; 0], "nothing comes back");
    let daemon = TestDaemon::start(&world).await;
    let (status, _) = daemon.get(&format!("/v1/answers/{working}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let alone = json!({ "question": "How much is the Kettle?", "customer_id": "c_zebra77" });
    daemon.ask(&world, alone).await;
    daemon.ask(&world, planted("How much is the Kettle?")).await;
    let (_, erased) = send(&daemon, Method::DELETE, "/v1/customers/c_zebra77", None).await;
    assert_eq!(erased["answers"], 2);
    assert_eq!(traces(&world, "zebra77").await, [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_sees_and_erases_its_own_alone() {
    let world = World::new().await;
    world.execute("select shopkeeper.accept_question('telegram', 'k', '{\"question\": \"Mine?\", \"session_id\": \"s\"}')",
    )
    .await;
    let theirs: Uuid = world.value("select id from shopkeeper.answer").await;
    let mine: Uuid =
        world.value("select shopkeeper.ask('Mine?', session_id => 's', idempotency_key => 'k')").await;
    assert_ne!(mine, theirs, "a key is its client's own");
    assert!(!world.value::<bool>(&format!("select shopkeeper.cancel_answer('{theirs}')")).await);
    assert!(world.value::<bool>(&format!("select shopkeeper.cancel_answer('{mine}')")).await);
    assert!(!world.value::<bool>(&format!("select shopkeeper.cancel_answer('{mine}')")).await);
    assert_eq!(world.value::<i64>("select shopkeeper.forget_session('s')").await, 1);
    assert_eq!(
        world.value::<i64>("select count(*) from shopkeeper.answer where client = 'telegram'").await,
        1
    );
}

#[tokio::test]
async fn what_sql_asks_is_looked_at_like_what_http_asks() {
    let world = World::new().await;
    for (arguments, wrong) in [
        ("' '", "the question is empty"),
        ("'a', session_id => ''", "session_id is empty"),
        ("'a', on_busy => 'wait'", "on_busy is 'wait'"),
        ("'a', cancel_after_s => 0", "cancel_after_s is 0"),
        ("'a', cancel_after_s => 'infinity'", "cancel_after_s is Infinity"),
        ("'a', start_before => 'infinity'", "start_before is infinity"),
        ("E'\\t\\n'", "the question is empty"),
        ("'a', sources => array['product', null]", "sources holds a null"),
        ("'a', sources => array['product', 'prodcut']", "no source 'prodcut'; there are: product"),
        ("'a', idempotency_key => ''", "idempotency_key is empty"),
        (r#"'a', history => '[{"role": "user", "content": "b", "name": "c"}]'"#, "history is no array"),
        ("'a', metadata => '[]'", "metadata is no object"),
        ("'a', history => '[{\"role\": \"system\", \"content\": \"x\"}]'", "history is no array of"),
        ("'a', history => '{}'", "history is no array of"),
    ] {
        let refused =
            shopkeeper::demo::execute(&world.url(), &format!("select shopkeeper.ask({arguments})")).await;
        let refused = format!("{:#}", refused.unwrap_err());
        assert!(refused.contains(wrong), "{arguments}: {refused}");
    }
    assert_eq!(world.count("answer").await, 0);
}

#[tokio::test]
async fn a_history_that_is_given_counts_and_an_old_answer_is_pruned_with_its_session() {
    let (world, daemon) = shop_with_daemon().await;
    let answer = daemon
        .ask(
            &world,
            json!({ "question": "And is it in stock?", "session_id": "s",
                    "history": [{ "role": "user", "content": "How much is the Kettle?" }] }),
        )
        .await;
    assert_eq!(answer["standalone_question"], "How much is the Kettle? And is it in stock?");
    let day = Duration::from_hours(24);
    assert_eq!(world.store.prune_answers(day).await.unwrap(), 0);
    let old = "now() - interval '2 days'";
    world
        .execute(&format!(
            "update shopkeeper.answer set created_at = {old}; update shopkeeper.session set active_at = {old}"
        ))
        .await;
    assert_eq!(world.store.prune_sessions(day).await.unwrap(), 0, "it has a question");
    assert_eq!(world.store.prune_answers(day).await.unwrap(), 1);
    assert_eq!(world.store.prune_sessions(day).await.unwrap(), 1);
    assert_eq!(world.count("session").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn answers_are_listed_by_session_and_status_page_by_page() {
    let (world, daemon) = shop_with_daemon().await;
    for n in 1..=5 {
        daemon.ask(&world, in_session(&format!("How much is the Kettle? {n}"))).await;
    }
    daemon.ask(&world, json!({ "question": "How much is the Shirt?" })).await;
    let (mut path, mut seen, mut pages) = ("/v1/answers?session_id=s&limit=2".to_owned(), Vec::new(), 0);
    loop {
        let (status, page) = daemon.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let questions = as_list(&page["data"]).iter();
        seen.extend(questions.map(|answer| as_text(&answer["question"]).to_owned()));
        pages += 1;
        let Some(next) = page["next_cursor"].as_i64() else { break };
        path = format!("/v1/answers?session_id=s&limit=2&cursor={next}");
    }
    let all: Vec<_> = (1..=5).rev().map(|n| format!("How much is the Kettle? {n}")).collect();
    assert_eq!((seen, pages), (all, 3));
    assert_eq!(daemon.get("/v1/answers").await.1["data"].as_array().unwrap().len(), 6);
    assert_eq!(daemon.get("/v1/answers?status=failed").await.1["data"], json!([]));
    for (query, wrong) in [
        ("status=done", "there is no \"done\""),
        ("limit=0", "limit must be from 1 to 50, not 0"),
        ("cursor=x", "cursor"),
        ("sesion_id=s", "sesion_id"),
    ] {
        let refused = daemon.get(&format!("/v1/answers?{query}")).await;
        assert_contains(assert_problem(refused, 400, "invalid_request"), wrong);
    }
    let (status, session) = daemon.get("/v1/sessions/s").await;
    assert_eq!((status, &session["id"], &session["owner"]), (StatusCode::OK, &json!("s"), &json!("bot")));
    assert_eq!(daemon.get("/v1/sessions/t").await.0, StatusCode::NOT_FOUND);
    daemon.stop().await;
}

#[tokio::test]
async fn a_search_finds_passages_without_asking_the_chat_model() {
    let (world, daemon) = shop_with_daemon().await;
    let search = async |body: Value| send(&daemon, Method::POST, "/v1/search", Some(body)).await;
    let (status, found) =
        search(json!({ "query": "Kettle. Steel kettle that holds two litres.", "top_k": 2 })).await;
    assert_eq!(status, StatusCode::OK, "{found}");
    let results = as_list(&found["results"]);
    assert_eq!(
        (results.len(), &results[0]["key"], &results[0]["metadata"]["stock"]),
        (2, &json!("3"), &json!(9))
    );
    assert_eq!(world.completion_requests(), 0);
    for (body, code) in [
        (json!({ "query": " " }), "invalid_request"),
        (json!({ "query": "x".repeat(4001) }), "question_too_long"),
        (json!({ "query": "x", "top_k": 0 }), "invalid_request"),
        (json!({ "query": "x", "sources": ["shoes"] }), "invalid_request"),
    ] {
        assert_eq!(search(body).await.1["code"], code);
    }
    world.script().always(Operation::Embeddings, Fault::Status { code: 503, retry_after: None });
    assert_problem(search(json!({ "query": "anything" })).await, 503, "unavailable");
    daemon.stop().await;
}

#[tokio::test]
async fn the_last_word_of_a_customer_about_an_answer_counts_and_goes_with_it() {
    let (world, daemon) = shop_with_daemon().await;
    let answer = daemon.ask(&world, in_session("How much is the Kettle?")).await;
    let id = as_text(&answer["id"]);
    let path = format!("/v1/answers/{id}/feedback");
    for rating in ["up", "up", "down"] {
        let body = json!({ "rating": rating, "comment": "zebra" });
        let (status, said) = send(&daemon, Method::POST, &path, Some(body)).await;
        assert_eq!((status, &said["rating"]), (StatusCode::OK, &json!(rating)));
    }
    let kept = "select rating || ' ' || comment from shopkeeper.feedback";
    assert_eq!(world.text(kept).await, "down zebra");
    assert_problem(
        send(&daemon, Method::POST, &path, Some(json!({ "rating": "so-so" }))).await,
        400,
        "invalid_request",
    );
    let other = format!("/v1/answers/{}/feedback", Uuid::nil());
    let (status, _) = send(&daemon, Method::POST, &other, Some(json!({ "rating": "up" }))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        !world.value::<bool>(&format!("select shopkeeper.feedback('{id}', 'up')")).await,
        "another client's"
    );
    send(&daemon, Method::DELETE, "/v1/sessions/s", None).await;
    assert_eq!(traces(&world, "zebra").await, [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn the_command_line_shows_a_session_and_forgets_it() {
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, in_session("How much is the Kettle?")).await;
    let shown = world.run_ok("session show s").await;
    assert!(shown.contains("bot answers") && shown.contains("Q: How much is the Kettle?"), "{shown}");
    let shown = world.run_json("session show s").await;
    assert_eq!((&shown["owner"], &shown["answers"][0]["seq"]), (&json!("bot"), &json!(1)));
    let other = world.run(&["session", "show", "s", "--client", "telegram"]).await;
    assert_eq!(other.status.code(), Some(1));
    let gone = world.run_ok("session forget s").await;
    assert_eq!(gone, "1 questions of session s of client local are gone\n");
    assert_eq!(world.run(&["session", "show", "s"]).await.status.code(), Some(1));
    daemon.stop().await;
}

#[tokio::test]
async fn what_customers_liked_becomes_a_golden_set() {
    let (world, daemon) = shop_with_daemon().await;
    let liked = daemon.ask(&world, json!({ "question": "How much is the Kettle?" })).await;
    let other = daemon.ask(&world, json!({ "question": "How much is the Shirt?" })).await;
    for (answer, rating) in [(&liked, "up"), (&other, "down")] {
        let path = format!("/v1/answers/{}/feedback", as_text(&answer["id"]));
        let (status, _) = send(&daemon, Method::POST, &path, Some(json!({ "rating": rating }))).await;
        assert_eq!(status, StatusCode::OK);
    }
    let golden = world.run_ok("eval feedback").await;
    let file = world.folder.path().join("liked.jsonl");
    fs::write(&file, &golden).unwrap();
    let case: Value = serde_json::from_str(golden.trim()).unwrap();
    assert_fields(&case, json!({ "id": liked["id"], "expected": [{ "source": "product", "key": "3" }] }));
    let run = world.run(&["eval", "run", file.to_str().unwrap(), "--retrieval-only", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(report["queries"], 1, "{report}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_human_is_asked_once_for_a_session_with_all_that_he_needs() {
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, in_session("How much is the Kettle?")).await;
    let invented = || Fault::Says("It costs 1.23 [1].".to_owned());
    let ask = async |question: &str| {
        // The rewriting, then both attempts.
        world.script().queue(Operation::Completions, [Fault::BadJson, invented(), invented()]);
        daemon.ask(&world, in_session(question)).await
    };
    let first = ask("And the Shirt?").await;
    let second = ask("And the Shirt XL?").await;
    assert_eq!(first["escalation"]["reason"], "ungrounded", "{first}");
    assert_eq!(first["escalation"]["id"], second["escalation"]["id"], "one that is open is enough");
    let (status, listed) = daemon.get("/v1/escalations").await;
    assert_eq!((status, as_list(&listed["data"]).len()), (StatusCode::OK, 1), "{listed}");
    let escalation = &listed["data"][0];
    let question = |n: usize| &escalation["transcript"][n]["question"];
    assert_eq!((question(0), question(1)), (&json!("How much is the Kettle?"), &json!("And the Shirt?")));
    assert_fields(&escalation, json!({ "draft": "It costs 1.23 [1].", "answer_id": first["id"] }));
    assert!(escalation["sources"][0]["distance"].is_number(), "{escalation}");

    let path = format!("/v1/escalations/{}/ack", as_text(&escalation["id"]));
    for _ in 0..2 {
        let (status, said) = send(&daemon, Method::POST, &path, None).await;
        assert_eq!((status, &said["status"]), (StatusCode::OK, &json!("acknowledged")));
    }
    assert_eq!(daemon.get("/v1/escalations").await.1["data"], json!([]));
    let third = ask("And the Kettle?").await;
    assert_ne!(third["escalation"]["id"], first["escalation"]["id"], "what comes afterwards is new");
    assert_eq!(
        daemon.get("/v1/escalations?status=acknowledged").await.1["data"].as_array().unwrap().len(),
        1
    );
    assert_eq!(daemon.get("/v1/escalations?status=shut").await.0, StatusCode::BAD_REQUEST);
    let (status, _) = send(&daemon, Method::POST, "/v1/escalations/x/ack", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    world.script().always(Operation::Completions, Fault::BadJson);
    let failed = daemon.ask(&world, json!({ "question": "How much is the Kettle?" })).await;
    assert_fields(&failed, json!({ "status": "failed", "escalation": { "status": "open" } }));
    assert_eq!(daemon.get("/v1/escalations").await.1["data"].as_array().unwrap().len(), 2, "on failure too");
    daemon.stop().await;
}
