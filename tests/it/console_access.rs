//! Who may see and do what in the console, forms, logins.

use crate::{prelude::*, visitor::*};
use reqwest::header;
use shopkeeper::{
    config::RequireToken,
    console::{Role as ConsoleRole, access},
    store::tokens::Scope,
};

#[tokio::test]
async fn every_page_and_action_asks_for_its_role() {
    let (world, daemon) = closed().await;
    let nobody = Visitor::new(&daemon);
    let outsider = token(&world, "chat", &[Scope::AnswersWrite]).await;
    let refused = nobody.post("/login", &[("token", &outsider)]).await;
    assert_contains(refused.text().await.unwrap(), "no scope for the console");
    let mut visitors = Vec::new();
    for (scope, role) in [
        (Scope::ConsoleRead, ConsoleRole::Reader),
        (Scope::ConsoleOperate, ConsoleRole::Operator),
        (Scope::Admin, ConsoleRole::Admin),
    ] {
        let visitor = Visitor::logged_in(&daemon, &token(&world, &scope.to_string(), &[scope]).await).await;
        let form = between(&visitor.page("/").await, "name=\"form\" value=\"", "\"");
        visitors.push((visitor, role, form));
    }
    let id = Uuid::now_v7().to_string();
    for route in access().into_iter().filter(|route| route.path != "/logout") {
        let path = route.path.replace("{id}", &id);
        let is_page = route.method == Method::GET;
        let unknown = if is_page { nobody.get(&path).await } else { nobody.post(&path, &[]).await };
        let refused = if is_page { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!(unknown.status(), refused, "{path}");
        for (visitor, role, form) in &visitors {
            let response = match (is_page, route.path) {
                // An endless stream.
                (true, "/live") => timeout(Duration::from_secs(5), visitor.get(&path)).await.unwrap(),
                (true, _) => visitor.get(&path).await,
                (false, _) => visitor.post(&path, &[("form", form)]).await,
            };
            let status = response.status();
            if *role >= route.role {
                let is_let_in = status != StatusCode::FORBIDDEN && !status.is_server_error();
                assert!(is_let_in, "{path} {role:?}: {status}");
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{path} {role:?}");
            }
        }
        if !is_page {
            let (admin, ..) = visitors.last().unwrap();
            let forged = admin.post(&path, &[("form", "forged")]).await;
            assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{path} with a forged form");
            assert_eq!(admin.get(&path).await.status(), StatusCode::METHOD_NOT_ALLOWED, "{path} by GET");
        }
    }
    // A login ends with its token, and when it is left.
    world.execute("update shopkeeper.token set revoked_at = now() where client = 'console:read'").await;
    assert_eq!(visitors[0].0.get("/").await.status(), StatusCode::SEE_OTHER);
    let left = visitors[1].0.act("/logout", &[]).await;
    assert_eq!(left.status(), StatusCode::SEE_OTHER);
    assert_eq!(visitors[1].0.get("/").await.status(), StatusCode::SEE_OTHER);
    daemon.stop().await;
}

#[tokio::test]
async fn forms_come_from_our_own_pages_and_names_only_from_the_settings() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let token = between(&visitor.page("/").await, "name=\"form\" value=\"", "\"");
    let stop = async |name: &'static str, value: &str| {
        let request = visitor.client.post(format!("{}/do/stop", visitor.base));
        let request = form(request, &[("form", &*token), ("stop", "true")]).header(name, value);
        request.send().await.unwrap().status()
    };
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(stop(header, value).await, StatusCode::FORBIDDEN, "{header}: {value}");
    }
    assert_eq!(stop("host", "evil.example").await, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(
        stop("x-forwarded-for", "203.0.113.9").await,
        StatusCode::FORBIDDEN,
        "an open console behind a proxy"
    );
    assert_eq!(world.count("stop").await, 0);
    assert_eq!(stop("origin", &visitor.base).await, StatusCode::SEE_OTHER);
    assert_eq!(world.count("stop").await, 1);
    assert_eq!(world.text("select actor || ' ' || action from shopkeeper.audit").await, "local stop");
    let overview = visitor.done("/do/stop", &[("stop", "false")]).await;
    assert_contains(&overview, "Models are asked again.");
    // An address cannot make a page say something.
    let page = visitor.page("/?done=Pay%20here&n=7").await;
    assert!(!page.contains("Pay here"));
    let response = visitor.get("/").await;
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_login_needs_a_private_connection_and_a_token_of_a_service() {
    let mut world = World::new().await;
    world.config.http.require_token = RequireToken::Always;
    world.config.console.hosts = vec!["10.0.0.1".to_owned()];
    let (world, daemon) = world.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let wrong = visitor.post("/login", &[("token", "skt_wrong")]).await;
    assert_eq!(wrong.status(), StatusCode::OK);
    assert_contains(wrong.text().await.unwrap(), "There is no such token");
    let token = token(&world, "admin", &[Scope::Admin]).await;
    let elsewhere = visitor.post("/login", &[("token", &token), ("next", "//evil.example")]).await;
    assert_eq!(elsewhere.headers()[header::LOCATION], "/");
    let hidden = visitor.post("/login", &[("token", &token), ("next", "/\t/evil.example")]).await;
    assert_eq!(hidden.headers()[header::LOCATION], "/");
    let inside = visitor.post("/login", &[("token", &token), ("next", "/jobs?state=dead")]).await;
    assert_eq!(inside.headers()[header::LOCATION], "/jobs?state=dead");
    let open = visitor.client.get(format!("{}/login", visitor.base)).header("host", "10.0.0.1:8081");
    assert_contains(open.send().await.unwrap().text().await.unwrap(), "not encrypted");
    let mut refused = 0;
    for _ in 0..30 {
        refused +=
            u32::from(visitor.post("/login", &[("token", "x")]).await.status() == StatusCode::FORBIDDEN);
    }
    assert!(refused > 0, "attempts are limited");
    daemon.stop().await;
}

#[tokio::test]
async fn in_production_the_instance_is_named_before_what_cannot_be_undone() {
    let mut world = World::synced().await;
    world.config.console.name = "Shop EU".to_owned();
    world.config.console.production = true;
    let (world, daemon) = world.with_daemon().await;
    world
        .execute(
            "insert into shopkeeper.job (kind, key, state, run_at)
             values ('eval', 'k', 'scheduled', now() + interval '1 hour');
             insert into shopkeeper.faq_draft (question, answer, actor) values ('Boats?', 'No.', 'me')",
        )
        .await;
    token(&world, "telegram", &[Scope::AnswersWrite]).await;
    let job = world.text("select id::text from shopkeeper.job where kind = 'eval'").await;
    let draft = world.text("select id::text from shopkeeper.faq_draft").await;
    let revoked = world.text("select id::text from shopkeeper.token where client = 'telegram'").await;
    let visitor = Visitor::new(&daemon);
    for page in ["/tokens", "/gaps", &format!("/jobs/{job}"), "/jobs?state=scheduled"] {
        assert_contains(visitor.page(page).await, "<b>Shop EU</b>");
    }
    assert_contains(visitor.page("/jobs/bulk?kind=eval&action=cancel").await, "the name of this instance");
    for (path, fields) in [
        ("/do/token-revoke", vec![("id", &*revoked)]),
        ("/do/faq-delete", vec![("id", &*draft)]),
        ("/do/jobs", vec![("id", &*job), ("action", "cancel")]),
    ] {
        let refused = visitor.act(path, &fields).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_contains(refused.text().await.unwrap(), "the name of this instance");
        visitor.done(path, &[&fields[..], &[("confirm", "Shop EU")]].concat()).await;
    }
    assert_eq!(world.count("faq_draft").await + world.count("job where kind = 'eval'").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn pages_of_a_server_that_can_only_be_read_say_so_and_nothing_is_done() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let name = world.text("select current_database()").await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and application_name = 'shopkeeper'";
    world.execute(&format!("alter database {name} set default_transaction_read_only = on; {end}")).await;
    // The first statement on a connection that was ended fails.
    let shows = async |page: &str, banner: bool| {
        let response = visitor.get(page).await;
        let is_ok = response.status() == StatusCode::OK;
        is_ok && response.text().await.unwrap().contains("can only be read") == banner
    };
    for page in
        ["/", "/catalogue", "/document?source=product&key=3", "/answers", "/jobs?state=done", "/index"]
    {
        wait_until("it does not say so", async || shows(page, true).await).await;
    }
    let refused = visitor.act("/do/stop", &[("stop", "true")]).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_contains(refused.text().await.unwrap(), "Nothing can be changed now");
    let reset = format!("alter database {name} reset default_transaction_read_only");
    execute(&server().await.url("postgres"), &reset).await;
    world.execute(end).await;
    wait_until("it stays read-only", async || shows("/", false).await).await;
    wait_until("nothing can be done", async || {
        visitor.act("/do/stop", &[("stop", "true")]).await.status() == StatusCode::SEE_OTHER
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn versions_are_shown_beside_each_other_and_kinds_with_their_limits() {
    let mut world = World::synced().await;
    world.config.queue.eval.fleet_concurrency = Some(3);
    let golden = r#"{"id": "kettle", "question": "A kettle for two litres?", "expected": [{"source": "product", "key": "3"}]}"#;
    world.write("golden.jsonl", golden);
    world.run_json(&format!("eval run {} --retrieval-only", world.path("golden.jsonl"))).await;
    let (_world, daemon) = world.with_daemon().await;
    let visitor = Visitor::new(&daemon);
    let index = visitor.page("/index").await;
    for says in ["hit@5 1.000", "1 questions of ", "golden.jsonl", "to embed all of it again"] {
        assert_contains(&index, says);
    }
    assert_contains(visitor.page("/queues").await, "1 each, 3 in all");
    daemon.stop().await;
}
