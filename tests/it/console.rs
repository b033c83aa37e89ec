//! The console over HTTP: hostile texts, escalations, gaps, the playground.

use std::fmt::Write;

use crate::{prelude::*, visitor::*};
use shopkeeper::store::tokens::Scope;

#[tokio::test]
async fn hostile_texts_are_shown_as_texts_and_pages_stay_small() {
    let script = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    let long = "w".repeat(1_000_000);
    let shop = format!(
        "{} insert into product values (1, $a${script}$a$, 'Two litres.', 1, 1), (2, 'שלום \u{202e}evil', '{long}', 1, 1)",
        product_table()
    );
    let source = SOURCE.replace("metadata = [", "sku = \"name\"\npoll = \"0s\"\nmetadata = [\"name\", ");
    let (world, daemon) = World::synced_with(&shop, &source).await.with_daemon().await;
    world
        .execute(&format!(
            "update shopkeeper.document set link = 'javascript:alert(3)';
             update shopkeeper.chunk set content = repeat($a${script} $a$, 2000) where key = '1'"
        ))
        .await;
    world
        .in_shop(&format!("update product set description = repeat($a$ten megabytes {script} $a$, 150000)"))
        .await;
    let asked =
        json!({ "question": format!("{script} \u{202e}?"), "session_id": script, "customer_id": script });
    daemon.ask_for(&world, asked).await;
    world.script().always(Operation::Completions, Fault::Says(format!("{script} [1]")));
    let answer = daemon.ask_for(&world, json!({ "question": "ten megabytes?", "session_id": "s" })).await;
    world
        .execute(&format!(
            "insert into shopkeeper.job_history
                 (id, kind, key, payload, priority, outcome, error, attempts, created_at, run_at)
             values (7, 'eval', $${script}$$, jsonb_build_object('a', $${script}$$), 0, 'dead', $${script}$$, 1, now(), now());
             update shopkeeper.document_index set state = 'failed', error = $${script}$$ where key = '2';
             update shopkeeper.source set sync_error = $${script}$$, set_aside = 1,
                 set_aside_rows = jsonb_build_array(jsonb_build_object('row', 1, 'key', $${script}$$, 'reason', $${script}$$));
             insert into shopkeeper.escalation (client, answer_id, reason, status)
             select client, id, 'low_confidence', 'acknowledged' from shopkeeper.answer;
             insert into shopkeeper.feedback (answer_id, rating, comment)
             select id, 'down', $${script}$$ from shopkeeper.answer"
        ))
        .await;
    let visitor = Visitor::new(&daemon);
    let escalation = world.text("select id::text from shopkeeper.escalation limit 1").await;
    let session =
        reqwest::Url::parse_with_params("http://x/session", [("client", "local"), ("id", script)]).unwrap();
    let session = session.as_str()["http://x".len()..].to_owned();
    visitor.act("/do/faq", &[("question", script), ("answer", script)]).await;
    let paths = [
        "/",
        "/catalogue",
        "/catalogue?state=failed",
        &format!("/catalogue?q={}", "%3Cscript%3E"),
        "/document?source=product&key=1",
        "/document?source=product&key=2",
        "/document/preview?source=product&key=1",
        "/answers",
        &format!("/answers/{}", id_of(&answer)),
        &format!("/escalations/{escalation}"),
        "/sessions",
        &session,
        "/gaps",
        "/jobs?state=dead",
        "/jobs/7",
        "/queues",
        "/audit",
        "/jobs?key=%3Cscript%3Ealert(1)%3C/script%3E",
        "/playground?q=%3Cscript%3Ealert(1)%3C/script%3E",
    ];
    for path in paths {
        let page = visitor.page(path).await;
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{path}: {page}");
        assert!(!page.contains("href=\"javascript:"), "{path}");
    }
    let tried = visitor.act("/playground/try", &[("q", script), ("answer", "true")]).await;
    assert!(!tried.text().await.unwrap().contains("<script>alert"));
    for wrong in [
        "/jobs?state=nonsense",
        "/answers?outcome=nonsense",
        "/document?source=product&key=a%00b",
        "/jobs/x",
        "/answers/x",
    ] {
        let status = visitor.get(wrong).await.status();
        assert!(status.is_client_error(), "{wrong}: {status}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn who_may_only_read_sees_no_words_of_customers() {
    let (world, daemon) = closed().await;
    let answers = token(&world, "chat", &[Scope::AnswersWrite, Scope::AnswersRead]).await;
    let secret = "my address is 12 Secret Street";
    world
        .script()
        .always(Operation::Completions, says("Secret kettle for 999.95 at https://secret.example. [1]"));
    let ask = daemon.request(Method::POST, "/v1/answers").bearer_auth(&answers);
    let body = json!({ "question": secret, "session_id": "Secret-s", "customer_id": "c-secret" });
    let (_, answer) = reply(ask.json(&body)).await;
    world.until_settled(id_of(&answer)).await;
    let token = token(&world, "reader", &[Scope::ConsoleRead]).await;
    let reader = Visitor::logged_in(&daemon, &token).await;
    let job = world.text("select id::text from shopkeeper.job_history where kind = 'answer_question'").await;
    let escalation: Vec<String> = world.values("select id::text from shopkeeper.escalation").await;
    let mut paths = vec![
        "/answers".to_owned(),
        format!("/answers/{}", id_of(&answer)),
        "/sessions".to_owned(),
        "/session?client=chat&id=Secret-s".to_owned(),
        "/gaps".to_owned(),
        "/escalations".to_owned(),
        format!("/jobs/{job}"),
    ];
    paths.extend(escalation.iter().map(|id| format!("/escalations/{id}")));
    for path in paths {
        let page = reader.page(&path).await;
        let page = page.replace("id=Secret-s", "");
        let said =
            ["Secret", "c-secret", "999.95", "secret.example"].iter().find(|word| page.contains(**word));
        assert_eq!(said, None, "{path}: {page}");
    }
    for path in ["/answers?q=Secret", "/sessions?q=c-secret"] {
        assert_eq!(reader.get(path).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_human_answers_an_escalation_and_the_answer_goes_the_way_of_all_answers() {
    let (received, hooks) = recorder();
    let url = serve(hooks).await;
    let sections = webhook(
        "hook",
        &format!("{url}/"),
        "events = [\"answer.completed\"]\nallow_private_addresses = true",
    );
    let (world, daemon) = World::with_webhooks(&sections).await.with_daemon().await;
    world.script().always(
        Operation::Completions,
        says("I don't have information about that. Let me connect you with a human agent."),
    );
    let asked =
        json!({ "question": "Do you deliver to the moon?", "session_id": "s", "metadata": { "chat": 7 } });
    let asked = daemon.ask_for(&world, asked).await;
    assert_eq!(asked["outcome"], "no_answer");
    let id = as_text(&asked["escalation"]["id"]).to_owned();
    let visitor = Visitor::new(&daemon);
    assert_contains(visitor.page("/escalations").await, "deliver to the moon");
    assert_contains(visitor.done("/do/claim", &[("id", &id)]).await, "The escalation is yours");
    assert_eq!(world.text("select owner from shopkeeper.session").await, "human");
    let silent = daemon.ask_for(&world, in_session("Hello?")).await;
    assert_eq!(silent["outcome"], "human_owned");
    let empty = visitor.act("/do/reply", &[("id", &id), ("text", " ")]).await;
    assert_eq!(empty.status(), StatusCode::BAD_REQUEST);
    let mut listener = sqlx::postgres::PgListener::connect(&world.url()).await.unwrap();
    listener.listen("shopkeeper_answer").await.unwrap();
    let page = visitor.done("/do/reply", &[("id", &id), ("text", "Not yet, but to the station.")]).await;
    assert_contains(page, "Your answer was sent");
    let told = in_time("a notification", listener.recv()).await.unwrap().payload().to_owned();
    let (_, told_answer) = daemon.get(&format!("/v1/answers/{told}")).await;
    assert_fields(
        &told_answer,
        json!({ "status": "completed", "outcome": "human", "answered_by": "local", "session_id": "s",
            "reply_to": id_of(&asked), "metadata": { "chat": 7 } }),
    );
    assert_eq!(told_answer["answer"]["text"], "Not yet, but to the station.");
    assert_eq!(world.text("select owner from shopkeeper.session").await, "bot");
    assert_eq!(world.text("select status from shopkeeper.escalation").await, "resolved");
    let again = visitor.act("/do/reply", &[("id", &id), ("text", "Twice")]).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    // A human who has the conversation goes on to write in it, and hears of the customer.
    visitor.done("/do/owner", &[("client", "local"), ("id", "s"), ("owner", "human")]).await;
    let asked_again = daemon.ask_for(&world, in_session("And by train?")).await;
    assert_eq!(asked_again["outcome"], "human_owned");
    assert_contains(visitor.page("/escalations").await, "Customers wrote in conversations that humans have");
    let fields =
        [("client", "local"), ("id", "s"), ("question", id_of(&asked_again)), ("text", "By train, yes.")];
    assert_contains(visitor.done("/do/say", &fields).await, "By train, yes.");
    assert_eq!(world.text("select owner from shopkeeper.session").await, "bot", "he did not stay");
    let delivered =
        || received.lock().unwrap().iter().any(|body: &Value| body["data"]["id"] == told.as_str());
    wait_until("the webhook is told of the human's answer", async || delivered()).await;
    let events = daemon.request(Method::GET, &format!("/v1/answers/{told}/events")).send().await.unwrap();
    assert_contains(events.text().await.unwrap(), "answer.completed");
    let (_, transcript) = daemon.get("/v1/answers?session_id=s").await;
    assert_contains(transcript.to_string(), "to the station");
    assert_eq!(
        world.text("select string_agg(action, ', ' order by id) from shopkeeper.audit").await,
        "claim, reply, take over, reply"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_page_whose_statement_is_stopped_says_so() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let lock = world.begin("lock table shopkeeper.job_history in access exclusive mode").await;
    let page = visitor.get("/jobs?state=done").await.text().await.unwrap();
    assert_contains(page, STOPPED);
    lock.rollback().await.unwrap();
    visitor.page("/jobs?state=done").await;
    daemon.stop().await;
}

#[tokio::test]
async fn gaps_hold_what_was_refused_until_it_is_erased() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    world.script().always(
        Operation::Completions,
        says("I don't have information about that. Let me connect you with a human agent."),
    );
    let mut questions = String::new();
    for (n, question) in ["Do you sell boats?", "Do you sell boats!", "Kettle?"].iter().enumerate() {
        let body = json!({ "question": question, "session_id": format!("s{n}") });
        let answer = daemon.ask_for(&world, body).await;
        writeln!(questions, "{}", answer["outcome"]).unwrap();
    }
    world.until_count(3, "unanswered").await;
    let visitor = Visitor::new(&daemon);
    assert_contains(visitor.page("/gaps").await, "Do you sell boats");
    let ids: Vec<String> = world.values("select answer_id::text from shopkeeper.unanswered").await;
    daemon.send(Method::DELETE, "/v1/sessions/s0", Value::Null).await;
    assert_eq!(world.count("unanswered").await, 2);
    let page = visitor.done("/do/dismiss", &[("ids", &ids.join(","))]).await;
    assert_contains(page, "Dismissed");
    let page = visitor.done("/do/faq", &[("question", "Boats?"), ("answer", "No, \"never\".")]).await;
    assert_contains(page, "The draft was saved");
    let csv = visitor.page("/gaps/faq.csv").await;
    assert_contains(csv, "Boats?,\"No, \"\"never\"\".\"");
    daemon.stop().await;
}

#[tokio::test]
async fn the_playground_says_what_is_found_and_why_something_is_not() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let fields = [
        ("q", KETTLE),
        ("answer", "true"),
        ("top_k", "2"),
        ("other_top_k", "1"),
        ("why_source", "product"),
        ("why_key", "1"),
    ];
    let page = visitor.act("/playground/try", &fields).await.text().await.unwrap();
    for says in ["2 passages", "1 passages", "found?", "from the question", "What the model reads"] {
        assert_contains(&page, says);
    }
    // As the catalogue shows it, whatever source is chosen.
    let fields = [("q", KETTLE), ("why_source", "faq"), ("why_key", "product/3")];
    let page = visitor.act("/playground/try", &fields).await.text().await.unwrap();
    assert_contains(page, "Yes: it is passage");
    assert_contains(visitor.page("/catalogue?q=product/3").await, "/document?source=product&amp;key=3");
    let wrong = visitor.act("/playground/try", &[("q", KETTLE), ("top_k", "900")]).await;
    assert_contains(wrong.text().await.unwrap(), "passages must be from 1 to 20");
    visitor.done("/do/golden", &[("question", KETTLE), ("expected", "product/3\n")]).await;
    let golden = visitor.page("/golden.jsonl").await;
    assert_contains(&golden, r#""expected":[{"key":"3","source":"product"}]"#);
    world.write("golden.jsonl", &golden);
    let measured = world.run_json(&format!("eval run {}", world.path("golden.jsonl"))).await;
    assert_eq!(measured["queries"], 1);
    daemon.stop().await;
}
