//! Asking: by HTTP and by SQL.

use crate::prelude::*;
use shopkeeper::demo::models::Quirk;

#[tokio::test]
async fn a_question_by_http_is_answered_from_the_shop_with_its_source() {
    let (world, daemon) = shop_with_daemon().await;
    let answer = daemon.ask(&world, json!({ "question": PRICE, "metadata": { "chat": 7 } })).await;
    assert_eq!(answer["status"], "completed");
    assert_contains(as_text(&answer["answer"]["text"]), "45.00");
    let cited: Vec<_> = as_list(&answer["sources"]).iter().filter(|source| source["cited"] == true).collect();
    assert_fields(cited[0], json!({ "title": "Kettle", "url": "https://shop.example/p/3" }));
    assert_eq!(answer["metadata"], json!({ "chat": 7 }));
    insta::assert_snapshot!(keys_of(&answer));
    daemon.stop().await;
}

#[tokio::test]
async fn a_price_is_quoted_as_it_is_when_the_question_is_asked() {
    let (world, daemon) = shop_with_daemon().await;
    world.in_shop("update product set price = 44.44 where id = 3").await;
    let answer = daemon.ask(&world, question(PRICE)).await;
    assert_contains(as_text(&answer["answer"]["text"]), "44.44");
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_by_sql_is_answered_and_announced() {
    let (world, daemon) = shop_with_daemon().await;
    let mut listener = sqlx::postgres::PgListener::connect_with(&world.ours).await.unwrap();
    listener.listen("shopkeeper_answer").await.unwrap();
    let ask = "select shopkeeper.ask(question => 'How much is the Kettle?', session_id => 'tg:1', idempotency_key => 'tg:1:1')::text";
    let id = world.text(ask).await;
    assert_eq!(listener.recv().await.unwrap().payload(), id);
    assert_eq!(world.text(ask).await, id, "the same key is the same answer");
    assert_contains(world.text("select answer from shopkeeper.answers").await, "45.00");
    daemon.stop().await;
}

#[tokio::test]
async fn a_role_with_the_printed_grants_may_ask_and_read_and_nothing_else() {
    let world = World::new().await;
    world.execute(shopkeeper::store::schema::CLIENT_GRANTS).await;
    let allowed = "set role shopkeeper_client;
         select shopkeeper.ask('Is it waterproof?'); select * from shopkeeper.answers;
         select source, content from shopkeeper.chunks; select * from shopkeeper.search(null)";
    world.execute(allowed).await;
    for forbidden in [
        "select * from shopkeeper.answer",
        "select * from shopkeeper.job",
        "select * from shopkeeper.chunk",
        "select shopkeeper.enqueue('x', 'y')",
    ] {
        let refused = world.refusal(&format!("set role shopkeeper_client; {forbidden}")).await;
        assert!(refused.contains("permission denied"), "{forbidden}: {refused}");
    }
}

#[tokio::test]
async fn a_follow_up_is_searched_together_with_the_question_before_it() {
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, in_session(PRICE)).await;
    let answer = daemon.ask(&world, in_session("And is it in stock?")).await;
    assert_eq!(answer["standalone_question"], "How much is the Kettle? And is it in stock?");
    let bodies = world.script().bodies(Operation::Completions);
    let system = as_text(&bodies[1]["messages"][0]["content"]);
    assert!(system.contains("standalone question"), "only the follow-up is rewritten: {system}");
    let roles: Vec<_> = as_list(&bodies[2]["messages"]).iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_follow_up_that_no_model_rewrites_is_searched_with_the_question_before_it() {
    let (world, daemon) = shop_with_daemon().await;
    daemon.ask(&world, in_session(PRICE)).await;
    for fault in [Fault::BadJson, says("Sure:\nIs it?")] {
        world.script().queue(Operation::Completions, [fault]);
        let answer = daemon.ask(&world, in_session("And is it in stock?")).await;
        assert_eq!(answer["status"], "completed");
        assert!(as_text(&answer["standalone_question"]).ends_with("?\nAnd is it in stock?"), "{answer}");
    }
    world.script().queue(Operation::Completions, [says("Is the Kettle in stock?")]);
    let answer = daemon.ask(&world, in_session("And is it in stock?")).await;
    assert_eq!(answer["standalone_question"], "Is the Kettle in stock?");
    assert_eq!(answer["sources"][0]["title"], "Kettle");
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_question_names_by_its_sku_goes_first_unless_vectors_alone_are_wanted() {
    let shop = "create table product (id int primary key, name text, description text, price numeric, stock int, sku text);
         insert into product values
             (1, 'Lamp', 'Lights up a room.', 10, 1, 'LMP-310'), (2, 'Lamp', 'Lights up a hall.', 20, 1, 'LMP-3100'),
             (3, 'Is it in stock', 'Is it in stock? Yes: lmp 310 and all that is in stock.', 5, 1, 'TXT-1')";
    let world = World::synced_with(shop, &format!("{SOURCE}sku = \"sku\"\n")).await;
    let question = "Is lmp 310 in stock?";
    assert_eq!(world.keys(question).await[0], "1");
    assert_eq!(world.keys("Is it in stock?").await[0], "3");
    let asked = r#"{"question": "Price of LMP/3100?"}"#;
    world.execute(&format!("select shopkeeper.accept_question('local', null, '{asked}')")).await;
    world.drain().await;
    assert_eq!(world.text("select sources -> 0 ->> 'key' from shopkeeper.answer").await, "2");

    world.edit_settings("[answers]", "[answers]\nretrieval = \"vector\"");
    let found = world.run_json(&format!("search '{question}'")).await;
    assert_eq!(found["results"][0]["key"], "3", "{found}");
}

#[tokio::test]
async fn an_empty_index_refuses_without_asking_the_model_and_hands_over() {
    let (world, daemon) = World::with(product_table(), SOURCE).await.with_daemon().await;
    let answer = daemon.ask(&world, question("Anything?")).await;
    assert_fields(&answer, json!({ "outcome": "no_answer", "escalation": { "reason": "no_passages" } }));
    assert_starts(as_text(&answer["answer"]["text"]), "I don't have information");
    assert_eq!(world.completion_requests(), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_that_the_model_answers_with_nonsense_gets_the_fallback_and_a_human_after_two_requests() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().always(Operation::Completions, Fault::BadJson);
    let answer = daemon.ask(&world, question(PRICE)).await;
    assert_fields(
        &answer,
        json!({ "outcome": "fallback", "escalation": { "reason": "failed" }, "attempt": 1 }),
    );
    assert_eq!(
        (&answer["answer"]["text"], world.completion_requests()),
        (&json!("We will get back to you."), 2)
    );
    assert_contains(as_text(&answer["error"]), "not the JSON");
    daemon.stop().await;
}

#[tokio::test]
async fn what_no_passage_says_is_asked_once_more_without_chance_and_then_withheld() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().queue(Operation::Completions, [says("It costs 44.90 [1].")]);
    let answer = daemon.ask(&world, question(PRICE)).await;
    assert_contains(as_text(&answer["answer"]["text"]), "45.00");
    assert_fields(&answer, json!({ "grounding": { "checked": true }, "needs_escalation": false }));
    let bodies = world.script().bodies(Operation::Completions);
    assert_eq!((&bodies[0]["messages"], &bodies[1]["temperature"]), (&bodies[1]["messages"], &json!(0.0)));
    let tokens = answer["usage"]["input_tokens"].as_u64().unwrap();

    for (wrong, field, told) in [
        ("It costs 44.90 [1].", "unsupported_numbers", json!(["44.90"])),
        ("It is article KTL-99 [1].", "unsupported_numbers", json!(["KTL-99"])),
        ("See https://evil.example/pay [1].", "invalid_links", json!(["https://evil.example/pay"])),
        ("It is of steel [9].", "invalid_citations", json!([9])),
    ] {
        world.script().queue(Operation::Completions, [says(wrong), says(wrong)]);
        let answer = daemon.ask(&world, question(PRICE)).await;
        assert_eq!(answer["grounding"][field], told, "{answer}");
        assert_eq!(answer["grounding"]["unsupported_sentences"], json!([wrong]), "{answer}");
        assert_fields(&answer, json!({ "status": "completed", "outcome": "no_answer" }));
        assert_eq!(answer["escalation"]["reason"], "ungrounded", "{answer}");
        assert!(as_text(&answer["answer"]["text"]).starts_with("I don't have information"), "{answer}");
        assert_eq!(answer["usage"]["input_tokens"], tokens, "both completions are counted");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn the_customers_own_limit_may_be_repeated_and_is_no_price() {
    let (world, daemon) = shop_with_daemon().await;
    let none = "We have no kettle under 25 €, ours costs 45.00 [1].";
    world.script().queue(Operation::Completions, [says(none)]);
    let answer = daemon.ask(&world, in_session("A kettle under 25 €?")).await;
    assert_fields(&answer, json!({ "answer": { "text": none }, "outcome": "answered" }));
    // Said in an earlier message, it is still the customer's; as a price it needs a passage.
    for (said, outcome) in [("There is nothing under 25 €.", "answered"), ("Yes, under 25 €.", "no_answer")]
    {
        let rewritten = says("Is there really no kettle?");
        world.script().queue(Operation::Completions, [rewritten, says(said), says(said)]);
        let answer = daemon.ask(&world, in_session("Really?")).await;
        assert_eq!(answer["outcome"], outcome, "{answer}");
        world.script().clear();
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_said_without_the_model_is_in_the_language_of_the_customer_also_when_the_money_is_spent() {
    let mut world = World::with(SHOP, &format!("{SOURCE}\n[budget]\nanswers_usd = 5\n")).await;
    let texts = "[answers]\nrefusal = { en = \"Sorry.\", de = \"Leider nein.\" }\n\
                 fallback = { en = \"Later.\", de = \"Später.\" }";
    world.change_settings("[answers]", texts).await;
    let daemon = TestDaemon::start(&world).await;
    let ask = async |question: &str, locale: &str| {
        let body = json!({ "question": question, "locale": locale, "sources": ["product"] });
        let answer = daemon.ask(&world, body).await;
        (answer["outcome"].clone(), answer["answer"]["text"].clone(), answer["escalation"]["reason"].clone())
    };
    let refused = ask("Xyzzy plugh?", "de-AT").await;
    assert_eq!((refused.0, refused.1), (json!("no_answer"), json!("Leider nein.")));
    let spent = "insert into shopkeeper.usage (operation, shard, tokens, usd) values ('answer', 0, 1, 5)
                 on conflict (day, operation, shard) do update set usd = 5";
    world.execute(spent).await;
    let asked = world.completion_requests();
    for (locale, text) in [("de", "Später."), ("fr", "Later.")] {
        assert_eq!(ask(PRICE, locale).await, (json!("fallback"), json!(text), json!("paused")));
    }
    assert_eq!(world.completion_requests(), asked, "nothing is spent");
    daemon.stop().await;
}

#[tokio::test]
async fn a_passing_fault_of_the_model_is_not_seen_by_the_caller() {
    let (world, daemon) = shop_with_daemon().await;
    world.script().queue(Operation::Completions, [Fault::Nonsense]);
    assert_fields(&daemon.ask(&world, question(PRICE)).await, json!({ "status": "completed", "attempt": 1 }));
    assert_eq!(world.completion_requests(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn the_same_idempotency_key_is_one_answer_and_another_question_is_refused() {
    let (world, daemon) = shop_with_daemon().await;
    let post = async |text: &str| daemon.post_with("Idempotency-Key", "k1", &question(text)).await;
    let (_, first) = post(PRICE).await;
    daemon.settled(&world, id_of(&first)).await;
    let (status, second) = post(PRICE).await;
    assert_eq!((status, &second["id"]), (StatusCode::OK, &first["id"]));
    assert_problem(post("How much is the Shirt?").await, 422, "idempotency_mismatch");
    daemon.stop().await;
}

/// The condition that a connection has polled an answer since now: a client that waits does so first, and regularly.
async fn looked(world: &World) -> String {
    let now = world.text("select clock_timestamp()::text").await;
    format!(
        "exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
             and query like '%shopkeeper.answer_object(known)%' and state = 'idle' and query_start > '{now}')"
    )
}

#[tokio::test]
async fn a_client_may_wait_for_the_answer_as_long_as_it_likes_to() {
    let (world, daemon) = shop_with_daemon().await;
    let post = async |wait: &str| daemon.post_with("Prefer", wait, &question(PRICE)).await;
    let get = |answer: &Value| {
        daemon.request(Method::GET, &format!("/v1/answers/{}", id_of(answer))).header("Prefer", "wait=20")
    };
    let (status, answer) = post("wait=20").await;
    assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("completed")));

    world.script().always(Operation::Completions, Fault::Held);
    let began = Instant::now();
    let (status, answer) = post("wait=1").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let waits = looked(&world).await;
    let free = async {
        world.until("it waits", &waits).await;
        world.release();
    };
    let ((_, answer), ()) = tokio::join!(reply(get(&answer)), free);
    assert_eq!(answer["status"], "completed");

    let (status, answer) = post("wait=long").await;
    assert!(status.is_success(), "what is not understood is no preference: {answer}");
    daemon.settled(&world, id_of(&answer)).await;

    world.script().always(Operation::Completions, Fault::Held);
    let (_, answer) = post("wait=0").await;
    let waits = looked(&world).await;
    let stopping = async {
        world.until("it waits", &waits).await;
        world.script().clear();
        daemon.stop.cancel();
    };
    let began = Instant::now();
    let ((status, _), ()) = tokio::join!(reply(get(&answer)), stopping);
    assert_eq!(status, StatusCode::OK);
    assert!(began.elapsed() < Duration::from_secs(10), "a daemon that stops lets nobody wait");
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_hangs_is_away_and_the_question_does_not_pay_for_it() {
    let mut world = World::new().await;
    let limits = &mut world.config.answers.limits;
    (limits.timeout, limits.fallback_after) = (Duration::from_millis(300), Duration::ZERO);
    world.script().always(Operation::Completions, Fault::Held);
    let daemon = TestDaemon::start(&world).await;
    assert_fields(&daemon.wait_for(PRICE).await, json!({ "status": "completed", "outcome": "fallback" }));
    daemon.stop().await;
}

#[tokio::test]
async fn however_long_a_server_wants_to_be_left_alone_the_fallback_comes_in_time() {
    let mut world = World::new().await;
    world.config.answers.limits.fallback_after = Duration::from_secs(2);
    let daemon = TestDaemon::start(&world).await;
    world.script().always(Operation::Completions, back_after(503, Duration::from_hours(1)));
    let answer = daemon.wait_for(PRICE).await;
    assert_eq!(answer["outcome"], "fallback", "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn slow_nonsense_holds_a_customer_for_less_than_30_seconds_and_what_it_cost_is_told() {
    for (pause, requests) in [(Duration::from_secs(1), 2), (Duration::from_secs(13), 1)] {
        let (world, daemon) = shop_with_daemon().await;
        world.script().add_quirk(Quirk::named("no-choices").unwrap());
        world.script().always(Operation::Completions, Fault::Slow(pause));
        let began = Instant::now();
        let answer = daemon.ask(&world, question(PRICE)).await;
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(
            (&answer["outcome"], world.script().requests(Operation::Completions)),
            (&json!("fallback"), requests)
        );
        assert!(answer["usage"]["input_tokens"].as_u64() > Some(0), "{answer}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_bad_request_is_a_problem_that_names_the_field() {
    let (world, daemon) = shop_with_daemon().await;
    let mut replies = Vec::new();
    for body in [
        json!({}),
        json!({ "question": " " }),
        json!({ "question": "a", "qestion": "b" }),
        json!({ "question": 5 }),
        json!({ "question": "x".repeat(4001) }),
        json!({ "question": "a\u{0}b" }),
        json!({ "question": "a", "sources": ["shoes"] }),
        json!({ "question": "a", "sources": [] }),
        json!({ "question": "a", "session_id": "" }),
        json!({ "question": "a", "metadata": { "a\u{0}": 1 } }),
    ] {
        replies.push(daemon.post(body).await);
    }
    for path in ["/v1/answers/nonsense", "/v1/answers/00000000-0000-0000-0000-000000000000", "/nothing"] {
        replies.push(daemon.get(path).await);
    }
    let seen = replies.iter().map(|(status, problem)| {
        format!("{} {} {}\n", status.as_u16(), as_text(&problem["code"]), as_text(&problem["detail"]))
    });
    insta::assert_snapshot!(seen.collect::<String>());
    assert_eq!(world.count("answer").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn health_is_told_apart_alive_and_ready() {
    let (_world, daemon) = shop_with_daemon().await;
    assert_eq!(daemon.request(Method::GET, "/livez").send().await.unwrap().status(), StatusCode::OK);
    let ready = json!({ "ready": true, "stopping": false, "database": "ok" });
    assert_eq!(daemon.get("/readyz").await, (StatusCode::OK, ready));
    daemon.stop().await;
}

#[tokio::test]
async fn the_metrics_have_these_names_and_labels() {
    let hook = webhook("hook", "http://127.0.0.1:9/", "");
    let (world, daemon) = World::with_webhooks(&hook).await.with_daemon().await;
    // An answer that is withheld, and a webhook that cannot be delivered.
    world.script().queue(Operation::Completions, [says("It costs 1.23 [1]."), says("It costs 1.23 [1].")]);
    daemon.ask(&world, question(PRICE)).await;
    world.until("it was tried", "bool_and(attempts > 0) from shopkeeper.delivery").await;
    // A schedule fires at once, because it was last seen to two hours ago.
    world.execute("update shopkeeper.schedule set last_at = now() - interval '2 hours'").await;
    world.until_some("job_history where kind = 'prune_history'").await;
    world.until_count(3, "document_index").await;
    let waiting = "insert into shopkeeper.job (kind, state, run_at, last_error, waits_for, waits_since)
         values ('eval', 'scheduled', now() + interval '1 hour', 'it waits', 'stop', now())";
    world.execute(waiting).await;
    let text = daemon.metrics().await;
    assert!(text.contains("shopkeeper_queue_depth{kind=\"refresh_document\",state=\"ready\"} 0\n"), "{text}");
    // Other tests of this process count too: names and labels are the same for all, values are not.
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let (name, labels) = line.split_once('{').unwrap_or_else(|| (line.split(' ').next().unwrap(), ""));
        let labels = labels.split(',').filter_map(|label| label.split_once('=').map(|(label, _)| label));
        format!("{name} {}", labels.filter(|label| *label != "le").collect::<Vec<_>>().join(","))
    });
    insta::assert_snapshot!(series.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("\n"));
    assert_eq!(daemon.request(Method::GET, "/metrics").send().await.unwrap().status(), 404);
    daemon.stop().await;
}

#[tokio::test]
async fn a_question_is_searched_for_in_several_phrasings_and_alone_if_the_model_fails() {
    let mut world = World::synced_with(SHOP, SOURCE).await;
    world.change_settings("[answers]", "[answers]\nphrasings = 3").await;
    let (world, daemon) = world.with_daemon().await;
    let before = world.completion_requests();
    let others = "1. Which kettle has room for two litres?\n2. Steel kettle that holds two litres.";
    world.script().queue(Operation::Completions, [says(others)]);
    let answer = daemon.ask_for(&world, question("What boils water for four cups?")).await;
    assert_eq!(world.completion_requests() - before, 2);
    assert_eq!(answer["sources"][0]["key"], "3", "{answer}");
    // The question itself shares no word with any product.
    assert_ne!(world.keys("What boils water for four cups?").await[0], "3");
    world.script().queue(Operation::Completions, [status(400)]);
    let answer = daemon.ask_for(&world, question(KETTLE)).await;
    assert_eq!((&answer["outcome"], &answer["sources"][0]["key"]), (&json!("answered"), &json!("3")));
    daemon.stop().await;
}
