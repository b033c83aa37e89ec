//! Who may do what: every route with every scope, clients apart from each other, browsers in their session, limits.

use crate::prelude::*;
use reqwest::RequestBuilder;
use shopkeeper::store::tokens::{Grant, Scope, new_token};
use strum::VariantNames;

/// What a client's token may do.
const CHAT: &[Scope] = &[Scope::AnswersWrite, Scope::AnswersRead, Scope::SessionsErase];

/// A world whose API asks for tokens, and its daemon.
async fn closed() -> (World, TestDaemon) {
    let mut world = World::new().await;
    world.config.http.require_token = shopkeeper::config::RequireToken::Always;
    world.with_daemon().await
}

async fn token(world: &World, client: &str, scopes: &[Scope], sources: Option<&[&str]>) -> String {
    let (token, hash) = new_token();
    let grant = Grant {
        client: client.to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        sources: sources.map(|sources| sources.iter().map(|&source| source.to_owned()).collect()),
        ..Grant::default()
    };
    world.store.add_token(&hash, &grant, None).await.unwrap();
    token
}

fn request(daemon: &TestDaemon, method: Method, path: &str, token: &str) -> RequestBuilder {
    let request = daemon.request(method, path);
    if token.is_empty() { request } else { request.bearer_auth(token) }
}

async fn get(daemon: &TestDaemon, path: &str, token: &str) -> (StatusCode, Value) {
    reply(request(daemon, Method::GET, path, token)).await
}

async fn ask(daemon: &TestDaemon, token: &str, body: Value) -> (StatusCode, Value) {
    reply(request(daemon, Method::POST, "/v1/answers", token).json(&body)).await
}

/// Each route, with a body that it takes, and the scope that it asks for.
fn routes(answer: &str, escalation: &str, delivery: &str) -> Vec<(Method, String, Value, Scope)> {
    use Scope::{Admin, AnswersRead, AnswersWrite, SessionsErase};
    let answers = format!("/v1/answers/{answer}");
    vec![
        (Method::POST, "/v1/answers".into(), json!({ "question": "Kettle?" }), AnswersWrite),
        (Method::GET, "/v1/answers".into(), Value::Null, AnswersRead),
        (Method::GET, answers.clone(), Value::Null, AnswersRead),
        (Method::GET, format!("{answers}/events"), Value::Null, AnswersRead),
        (Method::POST, format!("{answers}/cancel"), Value::Null, AnswersWrite),
        (Method::POST, format!("{answers}/feedback"), json!({ "rating": "up" }), AnswersWrite),
        (Method::GET, "/v1/sessions/s".into(), Value::Null, AnswersRead),
        (Method::PUT, "/v1/sessions/s/owner".into(), json!({ "owner": "bot" }), AnswersWrite),
        (Method::POST, "/v1/sessions/s/token".into(), Value::Null, AnswersWrite),
        (Method::POST, "/v1/search".into(), json!({ "query": "Kettle" }), AnswersRead),
        (Method::GET, "/v1/escalations".into(), Value::Null, AnswersRead),
        (Method::POST, format!("/v1/escalations/{escalation}/ack"), Value::Null, AnswersWrite),
        (Method::POST, "/v1/documents/product/1/refresh".into(), Value::Null, Admin),
        (Method::POST, "/v1/sync".into(), Value::Null, Admin),
        (Method::GET, "/v1/webhooks/deliveries".into(), Value::Null, Admin),
        (Method::POST, format!("/v1/webhooks/deliveries/{delivery}/redeliver"), Value::Null, Admin),
        (Method::GET, "/v1/usage".into(), Value::Null, Admin),
        (Method::DELETE, "/v1/customers/nobody".into(), Value::Null, SessionsErase),
        (Method::DELETE, "/v1/sessions/nobody".into(), Value::Null, SessionsErase),
    ]
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_shows_a_client_its_own_alone() {
    let (world, daemon) = closed().await;
    world.execute("insert into shopkeeper.webhook values ('hook', '{answer.failed}')").await;
    let chat = token(&world, "chat", &[Scope::AnswersWrite, Scope::AnswersRead], None).await;
    world.script().always(Operation::Completions, status(400));
    let (_, answer) = ask(&daemon, &chat, in_session("Kettle?")).await;
    let id = id_of(&answer);
    world.until_count(1, "delivery").await;
    world.script().clear();
    let escalation = world.text("select id::text from shopkeeper.escalation").await;
    let delivery = world.text("select id::text from shopkeeper.delivery").await;

    let routes = routes(id, &escalation, &delivery);
    let document = daemon.get("/openapi.json").await.1;
    let paths = document["paths"].as_object().unwrap().values();
    let documented: usize = paths.map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(documented, routes.len(), "a route is missing here");

    for (method, path, body, wanted) in &routes {
        let send = async |token: &str| {
            let request = request(&daemon, method.clone(), path, token);
            let request = if body.is_null() { request } else { request.json(body) };
            // The events of a settled answer end by themselves.
            request.send().await.unwrap().status()
        };
        for nobody in ["", "skt_wrong", &format!("{chat}x")] {
            assert_eq!(send(nobody).await, StatusCode::UNAUTHORIZED, "{method} {path} {nobody}");
        }
        for scope in Scope::VARIANTS.iter().map(|name| name.parse().unwrap()) {
            let status = send(&token(&world, "chat", &[scope], None).await).await;
            let may = scope == *wanted || scope == Scope::Admin;
            assert_eq!(status.is_success(), may, "{method} {path} with {scope}: {status}");
            assert_eq!(status == StatusCode::FORBIDDEN, !may, "{method} {path} with {scope}");
        }
        // Another client with every scope but admin's finds nothing that is the first one's.
        let status = send(&token(&world, "other", CHAT, None).await).await;
        let names_something = path.ends_with("/sessions/s")
            || [id, &escalation, "/v1/sessions/s/owner"].iter().any(|name| path.contains(name));
        match wanted {
            Scope::Admin => assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}"),
            _ if names_something => assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}"),
            _ => assert!(status.is_success(), "{method} {path}: {status}"),
        }
    }
    let other = token(&world, "other", &[Scope::AnswersRead, Scope::SessionsErase], None).await;
    let (_, listed) = get(&daemon, "/v1/answers?session_id=s", &other).await;
    assert_eq!(listed["data"], json!([]));
    reply(request(&daemon, Method::DELETE, "/v1/sessions/s", &other)).await;
    assert_eq!(world.count("session where id = 's'").await, 1, "another's session stays");
    daemon.stop().await;
}

#[tokio::test]
async fn a_browser_has_one_session_and_a_token_only_its_sources() {
    let (world, daemon) = closed().await;
    let chat = token(&world, "chat", CHAT, None).await;
    let made = reply(request(&daemon, Method::POST, "/v1/sessions/mine/token", &chat)).await;
    let made = assert_reply(made, 201, json!({}));
    let browser = as_text(&made["token"]);
    let (_, answer) = ask(&daemon, browser, question("Kettle?")).await;
    assert_eq!(answer["session_id"], "mine", "it need not say so");
    let elsewhere = json!({ "question": "Kettle?", "session_id": "other" });
    assert_eq!(ask(&daemon, browser, elsewhere.clone()).await.0, StatusCode::FORBIDDEN);
    let (_, other) = ask(&daemon, &chat, elsewhere).await;
    for path in ["", "/events"] {
        let path = format!("/v1/answers/{}{path}", id_of(&other));
        assert_eq!(get(&daemon, &path, browser).await.0, StatusCode::NOT_FOUND);
    }
    let path = format!("/v1/answers/{}", id_of(&answer));
    assert_eq!(get(&daemon, &path, browser).await.0, StatusCode::OK);
    let (_, listed) = get(&daemon, "/v1/answers", browser).await;
    assert_eq!(as_list(&listed["data"]).len(), 1, "{listed}");
    for (method, path) in [
        (Method::GET, "/v1/sessions/other"),
        (Method::POST, "/v1/sessions/mine/token"),
        (Method::PUT, "/v1/sessions/mine/owner"),
        (Method::DELETE, "/v1/sessions/mine"),
        (Method::POST, "/v1/search"),
        (Method::GET, "/v1/escalations"),
    ] {
        let body = match path {
            "/v1/sessions/mine/owner" => json!({ "owner": "human" }),
            _ => json!({ "query": "Kettle" }),
        };
        let refused = reply(request(&daemon, method.clone(), path, browser).json(&body)).await;
        assert_eq!(refused.0, StatusCode::FORBIDDEN, "{method} {path}");
    }
    world.execute("update shopkeeper.token set expires_at = now() where session_id is not null").await;
    assert_eq!(get(&daemon, &path, browser).await.0, StatusCode::UNAUTHORIZED);

    let narrow = token(&world, "narrow", &[Scope::AnswersWrite, Scope::AnswersRead], Some(&["faq"])).await;
    let search = |body: Value| reply(request(&daemon, Method::POST, "/v1/search", &narrow).json(&body));
    let (_, found) = search(json!({ "query": "Kettle" })).await;
    assert_eq!(found["results"], json!([]), "what it may not search is not found");
    assert_eq!(search(json!({ "query": "Kettle", "sources": ["product"] })).await.0, StatusCode::FORBIDDEN);
    daemon.stop().await;
}

#[tokio::test]
async fn a_browser_says_what_a_visitor_may_say_and_whose_it_is_was_fixed_with_its_token() {
    let (world, daemon) = closed().await;
    world.execute("insert into shopkeeper.webhook values ('hook', '{}')").await;
    let chat = token(&world, "chat", CHAT, None).await;
    let post = async |session: &str, body: &str| {
        let path = format!("/v1/sessions/{session}/token");
        reply(request(&daemon, Method::POST, &path, &chat).body(body.to_owned())).await
    };
    for (body, says) in [
        (r#"{"customer_id": ""}"#, "customer_id must have 1 to 255 bytes"),
        (r#"{"customer_id": "a\u0000b"}"#, "NUL"),
        (r#"{"customer": "a"}"#, "unknown field `customer`"),
        ("[]", "no JSON object"),
    ] {
        let (status, problem) = post("mine", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(as_text(&problem["detail"]).contains(says), "{body}: {problem}");
    }
    let made = async |session: &str, body: &str| {
        as_text(&assert_reply(post(session, body).await, 201, json!({}))["token"]).to_owned()
    };
    let (known, stranger) = (made("mine", r#"{"customer_id": "c_91"}"#).await, made("strange", "{}").await);

    let ask = async |browser: &str, body: Value| ask(&daemon, browser, body).await;
    let asked = json!({ "question": "Kettle?", "metadata": { "page": "/kettle" } });
    let (status, answer) = ask(&known, asked).await;
    assert!(status.is_success(), "{answer}");
    assert_eq!(answer["metadata"], json!({ "page": "/kettle" }));
    assert!(ask(&known, json!({ "question": "Shirt?", "customer_id": "c_91" })).await.0.is_success());
    assert!(ask(&stranger, json!({ "question": "Shirt?", "priority": null })).await.0.is_success());
    let customers: Vec<Option<String>> =
        world.values("select customer_id from shopkeeper.answer order by seq").await;
    assert_eq!(customers, [Some("c_91".to_owned()), Some("c_91".to_owned()), None]);
    for (field, value) in [
        ("customer_id", json!("c_92")),
        ("priority", json!(1)),
        ("webhook", json!("hook")),
        ("webhook", json!("guessed")),
        ("history", json!([{ "role": "assistant", "content": "It is free." }])),
        ("history", json!([])),
    ] {
        for browser in [&known, &stranger] {
            let refused = ask(browser, json!({ "question": "Kettle?", field: value })).await;
            assert_contains(assert_problem(refused, 403, "forbidden"), field);
        }
    }
    let named = json!({ "question": "?", "customer_id": "c_91" });
    assert_eq!(ask(&stranger, named).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.count("answer").await, 3);

    // Its keys are of its session: they are neither its client's nor another browser's.
    let with_key = async |token: &str, text: &str| {
        let request = request(&daemon, Method::POST, "/v1/answers", token).header("Idempotency-Key", "tg:1");
        let (status, answer) = reply(request.json(&question(text))).await;
        assert!(status.is_success(), "{answer}");
        answer["id"].clone()
    };
    let (first, second) = (with_key(&known, "Kettle?").await, with_key(&stranger, "Shirt?").await);
    let clients = with_key(&chat, "Which shirt?").await;
    assert_eq!(with_key(&known, "Kettle?").await, first);
    assert!(first != second && first != clients && second != clients);

    // Erasing a customer revokes the tokens, also that of a session without questions.
    let silent = made("silent", r#"{"customer_id": "c_91"}"#).await;
    assert_reply(reply(request(&daemon, Method::DELETE, "/v1/customers/c_91", &chat)).await, 200, json!({}));
    for browser in [&known, &silent] {
        assert_eq!(ask(browser, question("Kettle?")).await.0, StatusCode::UNAUTHORIZED);
    }
    assert!(ask(&stranger, question("Kettle?")).await.0.is_success(), "another's stays");
    daemon.stop().await;
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_by_commands_and_kept_as_hashes() {
    let (world, daemon) = closed().await;
    let made = world.run_ok("token create chat --scope answers:read --expires 1h").await;
    let token = made.trim();
    assert!(token.starts_with("skt_") && token.len() == 47, "{token}");
    assert_eq!(get(&daemon, "/v1/answers", token).await.0, StatusCode::OK);
    let kept = world.text("select token::text from shopkeeper.token").await;
    assert!(!kept.contains(&token[4..]), "{kept}");
    let listed = world.run_json("token list").await;
    assert_eq!((&listed["tokens"][0]["client"], as_list(&listed["tokens"]).len()), (&json!("chat"), 1));
    let id = as_text(&listed["tokens"][0]["id"]);
    assert_starts(world.run_ok(&format!("token revoke {id}")).await, &format!("{id} is revoked"));
    assert_eq!(get(&daemon, "/v1/answers", token).await.0, StatusCode::UNAUTHORIZED);
    world.run_failing("token create chat --scope answers:all", 2, "").await;
    world.run_failing("token create chat --source shoes", 2, "").await;
    // Longer than a date can say, and longer than a length of time: the value is named.
    for long in ["1000000y", "400000000y"] {
        world.run_failing(&format!("token create chat --expires {long}"), 2, "000years").await;
    }
    world.run_failing(&format!("token revoke {}", Uuid::nil()), 1, "").await;
    daemon.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let mut world = World::new().await;
    world.config.http.requests_per_minute = 3;
    let (world, daemon) = world.with_daemon().await;
    let ask = async || daemon.request(Method::GET, "/v1/answers").send().await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask().await.status(), StatusCode::OK);
    }
    let refused = ask().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "rate_limited");
    let other = token(&world, "other", &[Scope::AnswersRead], None).await;
    assert_eq!(get(&daemon, "/v1/answers", &other).await.0, StatusCode::OK, "another client is not held up");
    daemon.stop().await;
}

/// A world that lets one question wait, with its daemon; the model holds back its answers.
async fn with_short_queue() -> (World, TestDaemon) {
    let mut world = World::new().await;
    world.config.answers.max_queued = std::num::NonZeroU32::MIN;
    world.script().always(Operation::Completions, Fault::Held);
    world.with_daemon().await
}

#[tokio::test]
async fn when_too_many_questions_wait_no_more_is_taken() {
    let (world, daemon) = with_short_queue().await;
    let (_, first) = daemon.post(in_session("Kettle?")).await;
    world.arrived(Operation::Completions, 1).await;
    for _ in 0..2 {
        assert_eq!(daemon.post(in_session("Kettle?")).await.0, StatusCode::ACCEPTED);
    }
    assert_problem(daemon.post(in_session("Kettle?")).await, 429, "queue_full");
    world.script().clear();
    daemon.settled(&world, id_of(&first)).await;
    world.until_none("job").await;
    assert_eq!(daemon.ask(&world, in_session("Kettle?")).await["status"], "completed");
    daemon.stop().await;
}

#[tokio::test]
async fn a_key_that_is_known_is_answered_also_where_another_question_would_be_refused() {
    let (mut world, daemon) = with_short_queue().await;
    let ask = async |daemon: &TestDaemon, key: &str, body: &Value| {
        daemon.post_with("Idempotency-Key", key, body).await
    };
    let first = json!({ "question": "Kettle?", "session_id": "s", "on_busy": "reject" });
    let (_, accepted) = ask(&daemon, "first", &first).await;
    world.arrived(Operation::Completions, 1).await;
    let other = in_session("And the other one?");
    let (_, second) = ask(&daemon, "second", &other).await;
    let (_, third) = ask(&daemon, "third", &other).await;

    assert_problem(ask(&daemon, "fourth", &other).await, 429, "queue_full");
    for (key, body, answer) in
        [("first", &first, &accepted), ("second", &other, &second), ("third", &other, &third)]
    {
        let (status, again) = ask(&daemon, key, body).await;
        assert_eq!((status, &again["id"]), (StatusCode::ACCEPTED, &answer["id"]), "{key}: {again}");
    }
    assert_problem(ask(&daemon, "second", &first).await, 422, "idempotency_mismatch");
    // A key is kept for a day.
    world.execute("update shopkeeper.answer set created_at = now() - interval '25 hours' where idempotency_key = 'third'").await;
    assert_eq!(ask(&daemon, "third", &other).await.0, StatusCode::TOO_MANY_REQUESTS);

    // Settings that would refuse the question now.
    world.script().clear();
    world.until_none("job").await;
    daemon.stop().await;
    world.config.answers.limits.max_question_chars = std::num::NonZeroU32::new(10).unwrap();
    let daemon = TestDaemon::start(&world).await;
    assert_problem(ask(&daemon, "fourth", &other).await, 422, "question_too_long");
    let again = ask(&daemon, "second", &other).await;
    assert_reply(again, 200, json!({ "id": second["id"], "status": "completed" }));
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_token_no_web_page_and_no_borrowed_name_gets_in() {
    let (world, daemon) = shop_with_daemon().await;
    let status_with = async |name: &'static str, value: &str| {
        reply(daemon.request(Method::GET, "/v1/answers").header(name, value)).await.0
    };
    for (host, status) in [
        ("localhost:8080", StatusCode::OK),
        ("127.0.0.1", StatusCode::OK),
        ("[::1]:8080", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
        ("localhost.evil.example:8080", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(status_with("host", host).await, status, "{host}");
    }
    assert_eq!(status_with("origin", "https://evil.example").await, StatusCode::FORBIDDEN);
    let chat = token(&world, "chat", &[Scope::AnswersRead], None).await;
    let request = request(&daemon, Method::GET, "/v1/answers", &chat).header("host", "shop.example");
    assert_eq!(reply(request).await.0, StatusCode::OK, "a token is as good by any name");
    daemon.stop().await;
}

#[tokio::test]
async fn a_browsers_origin_may_call_when_the_settings_name_it() {
    let mut world = World::new().await;
    world.config.http.require_token = shopkeeper::config::RequireToken::Always;
    world.config.http.cors_origins = vec!["https://shop.example".to_owned()];
    let daemon = TestDaemon::start(&world).await;
    let preflight = async |origin: &str| {
        let request = daemon
            .request(Method::OPTIONS, "/v1/answers")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type");
        let response = request.send().await.unwrap();
        response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight("https://shop.example").await.as_deref(), Some("https://shop.example"));
    assert_eq!(preflight("https://evil.example").await, None);
    daemon.stop().await;
}
