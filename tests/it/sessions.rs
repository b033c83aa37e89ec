//! Sessions: the order of questions, who answers, what ends one early, and what is left after an erase.

use crate::prelude::*;

/// A shop whose model holds back every answer until it is released.
async fn held() -> (World, TestDaemon) {
    let (world, daemon) = shop_with_daemon().await;
    world.script().always(Operation::Completions, Fault::Held);
    (world, daemon)
}

/// Asks a question and waits until a worker has it at the model.
async fn begun(world: &World, daemon: &TestDaemon, body: Value) -> String {
    let before = world.completion_requests();
    let answer = assert_reply(daemon.post(body).await, 202, json!({}));
    world.arrived(Operation::Completions, before + 1).await;
    id_of(&answer).to_owned()
}

async fn cancel(daemon: &TestDaemon, id: &str) -> (StatusCode, Value) {
    daemon.send(Method::POST, &format!("/v1/answers/{id}/cancel"), Value::Null).await
}

async fn rate(daemon: &TestDaemon, id: &str, rating: Value) -> (StatusCode, Value) {
    daemon.send(Method::POST, &format!("/v1/answers/{id}/feedback"), rating).await
}

#[tokio::test]
async fn a_question_waits_for_the_one_before_it_unless_the_client_says_otherwise() {
    let (world, daemon) = held().await;
    let first = begun(&world, &daemon, in_session(PRICE)).await;
    let second = daemon.post(in_session("And the Shirt?")).await;
    let second = assert_reply(second, 202, json!({ "status": "queued" }));

    let busy = |text: &str, on_busy: &str| json!({ "question": text, "session_id": "s", "on_busy": on_busy });
    assert_problem(daemon.post(busy("Hello?", "reject")).await, 409, "session_busy");

    let (_, third) = daemon.post(busy("No, the Shirt XL?", "supersede")).await;
    for id in [first.as_str(), id_of(&second)] {
        let answer = daemon.settled(&world, id).await;
        assert_fields(&answer, json!({ "status": "cancelled", "outcome": "superseded" }));
    }
    world.release();
    let third = daemon.settled(&world, id_of(&third)).await;
    assert_fields(&third, json!({ "status": "completed", "outcome": "answered" }));
    // It stays cancelled.
    let (_, first) = daemon.get(&format!("/v1/answers/{first}")).await;
    assert_fields(&first, json!({ "status": "cancelled", "answer": null }));
    daemon.stop().await;
}

#[tokio::test]
async fn unstarted_work_expires_without_cost_and_what_takes_too_long_is_cancelled() {
    let (world, daemon) = held().await;
    let long = json!({ "question": PRICE, "session_id": "s", "cancel_after_s": 3 });
    let long = begun(&world, &daemon, long).await;
    let late = json!({ "question": "Shirt?", "session_id": "s", "start_before": "2020-01-01T00:00:00Z" });
    assert_fields(&daemon.ask_for(&world, late).await, json!({ "status": "expired", "attempt": 0 }));
    let long = daemon.settled(&world, &long).await;
    assert_eq!(long["status"], "cancelled", "{long}");
    world.release();
    let after = daemon.ask(&world, in_session(PRICE)).await;
    assert_eq!(after["status"], "completed", "the session goes on: {after}");
    // One of the first, and two of the last, which is a follow-up.
    assert_eq!(world.completion_requests(), 3);
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_can_be_cancelled_waiting_and_at_work_and_its_session_goes_on() {
    let (world, daemon) = held().await;
    let working = begun(&world, &daemon, in_session(PRICE)).await;
    let (_, waiting) = daemon.post(in_session("And the Shirt?")).await;
    let (_, last) = daemon.post(in_session("And the Shirt XL?")).await;
    // The one that waits would begin when the one at work has ended.
    for id in [id_of(&waiting), working.as_str()] {
        for _ in 0..2 {
            assert_reply(cancel(&daemon, id).await, 200, json!({ "status": "cancelled" }));
        }
    }
    // The model still holds the first request, but no worker waits for it.
    world.arrived(Operation::Completions, 2).await;
    world.release();
    let last = daemon.settled(&world, id_of(&last)).await;
    assert_eq!(last["status"], "completed", "{last}");
    // One of the first, and two of the last, which is a follow-up.
    assert_eq!(world.completion_requests(), 3, "nothing was asked for the one that waited");
    // What is settled stays.
    assert_reply(cancel(&daemon, id_of(&last)).await, 200, json!({ "status": "completed" }));
    assert_eq!(cancel(&daemon, &Uuid::nil().to_string()).await.0, StatusCode::NOT_FOUND);
    daemon.stop().await;
}

#[tokio::test]
async fn while_a_human_answers_questions_are_stored_also_those_that_wait() {
    let (world, daemon) = held().await;
    let set_owner = async |session: &str, owner: &str| {
        daemon.send(Method::PUT, &format!("/v1/sessions/{session}/owner"), json!({ "owner": owner })).await
    };
    let working = begun(&world, &daemon, in_session(PRICE)).await;
    let (_, waiting) = daemon.post(in_session("And the Shirt?")).await;
    assert_reply(set_owner("s", "human").await, 200, json!({ "owner": "human" }));
    let stored = daemon.post(in_session("Is anybody there?")).await;
    assert_reply(stored, 200, json!({ "outcome": "human_owned" }));
    world.release();
    let working = daemon.settled(&world, &working).await;
    assert_eq!(working["outcome"], "answered", "what was begun is answered: {working}");
    let waiting = daemon.settled(&world, id_of(&waiting)).await;
    assert_fields(&waiting, json!({ "outcome": "human_owned", "attempt": 0, "answer": null }));
    set_owner("s", "bot").await;
    assert_fields(&daemon.ask(&world, in_session(PRICE)).await, json!({ "outcome": "answered" }));

    assert_eq!(set_owner("t", "bot").await.0, StatusCode::NOT_FOUND);
    assert_problem(set_owner("s", "cat").await, 400, "invalid_request");
    daemon.stop().await;
}

/// The rows of our schema that hold a text, whatever the table.
async fn traces(world: &World, planted: &str) -> Vec<String> {
    let tables = "select tablename::text from pg_tables where schemaname = 'shopkeeper' order by tablename";
    let tables: Vec<String> = world.values(tables).await;
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
    daemon.ask(&world, planted(PRICE)).await;
    world.script().always(Operation::Completions, Fault::Held);
    let working = begun(&world, &daemon, planted("And the Shirt?")).await;
    daemon.post(planted("And the Shirt XL?")).await;
    // There is something to erase.
    assert_eq!(traces(&world, "zebra77").await, ["answer", "escalation", "job", "job_history", "session"]);
    let erased = daemon.send(Method::DELETE, "/v1/sessions/zebra77:1", Value::Null).await;
    assert_reply(erased, 200, json!({ "answers": 3 }));
    assert_eq!(traces(&world, "zebra77").await, [""; 0]);
    world.release();
    world.until_none("job").await;
    // What ran has ended then.
    daemon.stop().await;
    assert_eq!(traces(&world, "zebra77").await, [""; 0], "nothing comes back");
    let daemon = TestDaemon::start(&world).await;
    assert_eq!(daemon.get(&format!("/v1/answers/{working}")).await.0, StatusCode::NOT_FOUND);

    daemon.ask(&world, json!({ "question": PRICE, "customer_id": "c_zebra77" })).await;
    daemon.ask(&world, planted(PRICE)).await;
    let (_, erased) = daemon.send(Method::DELETE, "/v1/customers/c_zebra77", Value::Null).await;
    assert_eq!(erased["answers"], 2);
    assert_eq!(traces(&world, "zebra77").await, [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_sees_and_erases_its_own_alone() {
    let world = World::new().await;
    let asked = r#"{"question": "Mine?", "session_id": "s"}"#;
    world.execute(&format!("select shopkeeper.accept_question('telegram', 'k', '{asked}')")).await;
    let theirs: Uuid = world.value("select id from shopkeeper.answer").await;
    let ask = "select shopkeeper.ask('Mine?', session_id => 's', idempotency_key => 'k')";
    let mine: Uuid = world.value(ask).await;
    assert_ne!(mine, theirs, "a key is its client's own");
    for (id, is_cancelled) in [(theirs, false), (mine, true), (mine, false)] {
        let cancel = format!("select shopkeeper.cancel_answer('{id}')");
        assert_eq!(world.value::<bool>(&cancel).await, is_cancelled);
    }
    assert_eq!(world.value::<i64>("select shopkeeper.forget_session('s')").await, 1);
    assert_eq!(world.count("answer where client = 'telegram'").await, 1);
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
        let refused = world.refusal(&format!("select shopkeeper.ask({arguments})")).await;
        assert!(refused.contains(wrong), "{arguments}: {refused}");
    }
    assert_eq!(world.count("answer").await, 0);
}

#[tokio::test]
async fn a_history_that_is_given_counts_and_an_old_answer_is_pruned_with_its_session() {
    let (world, daemon) = shop_with_daemon().await;
    let history = json!([{ "role": "user", "content": PRICE }]);
    let follow_up = json!({ "question": "And is it in stock?", "session_id": "s", "history": history });
    let answer = daemon.ask(&world, follow_up).await;
    assert_eq!(answer["standalone_question"], "How much is the Kettle? And is it in stock?");
    let day = Duration::from_hours(24);
    assert_eq!(world.store.prune_answers(day).await.unwrap(), 0);
    for column in ["answer set created_at", "session set active_at"] {
        world.execute(&format!("update shopkeeper.{column} = now() - interval '2 days'")).await;
    }
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
    daemon.ask(&world, question("How much is the Shirt?")).await;
    let (mut path, mut seen, mut pages) = ("/v1/answers?session_id=s&limit=2".to_owned(), Vec::new(), 0);
    loop {
        let page = assert_reply(daemon.get(&path).await, 200, json!({}));
        seen.extend(as_list(&page["data"]).iter().map(|answer| as_text(&answer["question"]).to_owned()));
        pages += 1;
        let Some(next) = page["next_cursor"].as_i64() else { break };
        path = format!("/v1/answers?session_id=s&limit=2&cursor={next}");
    }
    let all: Vec<_> = (1..=5).rev().map(|n| format!("How much is the Kettle? {n}")).collect();
    assert_eq!((seen, pages), (all, 3));
    assert_eq!(as_list(&daemon.get("/v1/answers").await.1["data"]).len(), 6);
    assert_eq!(daemon.get("/v1/answers?status=failed").await.1["data"], json!([]));
    for (query, wrong) in [
        ("status=done", "unknown variant `done`, expected one of `queued`"),
        ("limit=0", "limit must be from 1 to 50, not 0"),
        ("cursor=x", "cursor"),
        ("sesion_id=s", "sesion_id"),
    ] {
        let refused = daemon.get(&format!("/v1/answers?{query}")).await;
        assert_contains(assert_problem(refused, 400, "invalid_request"), wrong);
    }
    assert_reply(daemon.get("/v1/sessions/s").await, 200, json!({ "id": "s", "owner": "bot" }));
    assert_eq!(daemon.get("/v1/sessions/t").await.0, StatusCode::NOT_FOUND);
    daemon.stop().await;
}

#[tokio::test]
async fn a_search_finds_passages_without_asking_the_chat_model() {
    let (world, daemon) = shop_with_daemon().await;
    let search = async |body: Value| daemon.send(Method::POST, "/v1/search", body).await;
    let found = search(json!({ "query": "Kettle. Steel kettle that holds two litres.", "top_k": 2 })).await;
    let found = assert_reply(found, 200, json!({}));
    assert_eq!(as_list(&found["results"]).len(), 2);
    assert_fields(&found["results"][0], json!({ "key": "3", "metadata": { "stock": 9 } }));
    assert_eq!(world.completion_requests(), 0);
    for (body, code) in [
        (json!({ "query": " " }), "invalid_request"),
        (json!({ "query": "x".repeat(4001) }), "question_too_long"),
        (json!({ "query": "x", "top_k": 0 }), "invalid_request"),
        (json!({ "query": "x", "sources": ["shoes"] }), "invalid_request"),
    ] {
        assert_eq!(search(body).await.1["code"], code);
    }
    world.script().always(Operation::Embeddings, AWAY);
    assert_problem(search(json!({ "query": "anything" })).await, 503, "unavailable");
    daemon.stop().await;
}

#[tokio::test]
async fn the_last_word_of_a_customer_about_an_answer_counts_and_goes_with_it() {
    let (world, daemon) = shop_with_daemon().await;
    let answer = daemon.ask(&world, in_session(PRICE)).await;
    let id = id_of(&answer);
    for rating in ["up", "up", "down"] {
        let rated = rate(&daemon, id, json!({ "rating": rating, "comment": "zebra" })).await;
        assert_reply(rated, 200, json!({ "rating": rating }));
    }
    assert_eq!(world.text("select rating || ' ' || comment from shopkeeper.feedback").await, "down zebra");
    assert_problem(rate(&daemon, id, json!({ "rating": "so-so" })).await, 400, "invalid_request");
    let unknown = rate(&daemon, &Uuid::nil().to_string(), json!({ "rating": "up" })).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    let others = format!("select shopkeeper.feedback('{id}', 'up')");
    assert!(!world.value::<bool>(&others).await, "another client's");
    daemon.send(Method::DELETE, "/v1/sessions/s", Value::Null).await;
    assert_eq!(traces(&world, "zebra").await, [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn the_command_line_shows_a_session_and_forgets_it() {
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, in_session(PRICE)).await;
    let shown = world.run_ok("session show s").await;
    assert!(shown.contains("bot answers") && shown.contains("Q: How much is the Kettle?"), "{shown}");
    let shown = world.run_json("session show s").await;
    assert_eq!((&shown["owner"], &shown["answers"][0]["seq"]), (&json!("bot"), &json!(1)));
    world.run_failing("session show s --client telegram", 1, "").await;
    let gone = world.run_ok("session forget s").await;
    assert_eq!(gone, "1 questions of session s of client local are erased\n");
    world.run_failing("session show s", 1, "").await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_customers_liked_becomes_a_golden_set() {
    let (world, daemon) = shop_with_daemon().await;
    let liked = daemon.ask(&world, question(PRICE)).await;
    let other = daemon.ask(&world, question("How much is the Shirt?")).await;
    for (answer, rating) in [(&liked, "up"), (&other, "down")] {
        assert_reply(rate(&daemon, id_of(answer), json!({ "rating": rating })).await, 200, json!({}));
    }
    let golden = world.run_ok("eval feedback").await;
    world.write("liked.jsonl", &golden);
    let case: Value = serde_json::from_str(golden.trim()).unwrap();
    assert_fields(&case, json!({ "id": liked["id"], "expected": [{ "source": "product", "key": "3" }] }));
    let report = world.run_json(&format!("eval run {} --retrieval-only", world.path("liked.jsonl"))).await;
    assert_eq!(report["queries"], 1, "{report}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_human_is_asked_once_for_a_session_with_all_that_he_needs() {
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, in_session(PRICE)).await;
    let ask = async |question: &str| {
        // The rewriting, then both attempts.
        let faults = [Fault::BadJson, says("It costs 1.23 [1]."), says("It costs 1.23 [1].")];
        world.script().queue(Operation::Completions, faults);
        daemon.ask(&world, in_session(question)).await
    };
    let first = ask("And the Shirt?").await;
    let second = ask("And the Shirt XL?").await;
    assert_eq!(first["escalation"]["reason"], "ungrounded", "{first}");
    assert_eq!(first["escalation"]["id"], second["escalation"]["id"], "one that is open is enough");
    let listed = assert_reply(daemon.get("/v1/escalations").await, 200, json!({}));
    let [escalation] = as_list(&listed["data"]) else { panic!("{listed}") };
    let asked = |n: usize| &escalation["transcript"][n]["question"];
    assert_eq!((asked(0), asked(1)), (&json!(PRICE), &json!("And the Shirt?")));
    assert_fields(escalation, json!({ "draft": "It costs 1.23 [1].", "answer_id": first["id"] }));
    assert!(escalation["sources"][0]["distance"].is_number(), "{escalation}");

    let acknowledge =
        async |id: &str| daemon.send(Method::POST, &format!("/v1/escalations/{id}/ack"), Value::Null).await;
    for _ in 0..2 {
        assert_reply(acknowledge(id_of(escalation)).await, 200, json!({ "status": "acknowledged" }));
    }
    assert_eq!(daemon.get("/v1/escalations").await.1["data"], json!([]));
    let third = ask("And the Kettle?").await;
    assert_ne!(third["escalation"]["id"], first["escalation"]["id"], "what comes afterwards is new");
    assert_eq!(as_list(&daemon.get("/v1/escalations?status=acknowledged").await.1["data"]).len(), 1);
    assert_eq!(daemon.get("/v1/escalations?status=shut").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(acknowledge("x").await.0, StatusCode::NOT_FOUND);

    world.script().always(Operation::Completions, status(400));
    let failed = daemon.ask(&world, question(PRICE)).await;
    assert_fields(&failed, json!({ "status": "failed", "escalation": { "status": "open" } }));
    assert_eq!(as_list(&daemon.get("/v1/escalations").await.1["data"]).len(), 2, "on failure too");
    daemon.stop().await;
}
