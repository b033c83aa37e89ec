//! The command line: what is printed, and how the process ends.

use std::io::{BufRead, BufReader};

use crate::prelude::*;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// The exit code and stderr of a program without settings of a world.
async fn fails(arguments: &str, environment: &[(&str, &str)]) -> (i32, String) {
    let output = program(&words(arguments), environment).await;
    (output.status.code().unwrap(), stderr(&output))
}

#[tokio::test]
async fn the_help_says_what_there_is() {
    let mut all = String::new();
    for verb in [
        "--help",
        "run --help",
        "migrate --help",
        "config --help",
        "sync --help",
        "search --help",
        "ask --help",
        "session --help",
        "eval run --help",
        "eval calibrate --help",
        "status --help",
        "jobs --help",
        "jobs list --help",
        "jobs retry --help",
        "queue --help",
        "schedule --help",
        "demo --help",
        "models serve --help",
    ] {
        all += &format!("$ shopkeeper {verb}\n{}\n", stdout(&program(&words(verb), &[]).await));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn every_fault_of_the_settings_is_told_at_once_with_its_line_and_the_nearest_key() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jobs.toml");
    let text = r#"
[database]
url = "postgres://me:hunter2@db/x"
max_conections = 5
statement_timeout = "soon"

[http]
listen = "here"
require_token = "alway"

[openai]
api_key = "sk-hunter2"

[embedding]
chunk_tokens = 100
chunk_overlap = 100
dimensions = 5000

[answers]
temperature = 3

[[source]]
name = "product"
kind = "postgress"
key = "id"
title = "{{ name"
text = 5

[[source]]
name = "product"
kind = "postgres"
table = "a"
query = "b"
key = "id"
title = "{{ name }}"
text = "{{ name }}"

[[schedule]]
name = "hourly"
cron = "0 * * *"
timezone = "Europe/Berln"
job = "sync_catalogue"
args = { source = "shoes" }

[telemetri]
log = "info"
"#;
    fs::write(&file, text).unwrap();
    let environment =
        [("SHOPKEEPER_QUEUE__REFRESH_DOCUMENT__CONCURRENCY", "many"), ("SHOPKEEPER_HTTP__LISTN", "x")];
    let output = program(&words(&format!("--config {} config check", file.display())), &environment).await;
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output).replace(&file.display().to_string(), "jobs.toml");
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn the_file_that_init_writes_is_fine_and_is_never_written_over() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jobs.toml").display().to_string();
    let init = format!("config init {file}");
    assert!(program(&words(&init), &[]).await.status.success());
    let (code, said) = fails(&init, &[]).await;
    assert_eq!(code, 1);
    assert!(said.contains("exists"), "{said}");
    let environment = [("DATABASE_URL", "postgres://u:hidden@db/shop"), ("OPENAI_API_KEY", "sk-hidden")];
    let output = program(&words(&format!("--config {file} config check")), &environment).await;
    assert!(output.status.success(), "{}", stderr(&output));
    // What is commented out in it is right, too.
    let text = fs::read_to_string(&file).unwrap();
    let (before, webhook) = text.split_once("# [[webhook]]").unwrap();
    let (webhook, after) = webhook.split_once("\n\n").unwrap();
    fs::write(&file, format!("{before}[[webhook]]{}\n\n{after}", webhook.replace("\n# ", "\n"))).unwrap();
    let secret = ("SHOPKEEPER_WEBHOOK_SECRET", "whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu");
    let environment = [environment[0], environment[1], secret];
    let shown = stdout(&program(&words(&format!("--config {file} config show")), &environment).await);
    assert!(!shown.contains("hidden") && !shown.contains("aGlkZGVu"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn no_address_that_is_shown_holds_a_secret() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jobs.toml");
    let text = r#"
[database]
url = { env = "OURS" }
direct_url = { env = "OURS" }
read_url = { env = "OURS" }
[openai]
base_url = "https://me:s3cret@models/v1"
api_key = { env = "KEY" }
[embedding]
base_url = "https://s3cret@models/v1?api_key=s3cret"
[embedding.next]
base_url = "https://me:s3cret@models/v2"
model = "m"
dimensions = 7
[answers]
base_url = "https://me@models/v1?password=s3cret"
[telemetry]
otlp_endpoint = "https://me:s3cret@traces/v1/traces"
[[source]]
name = "table"
kind = "postgres"
url = { env = "SHOP" }
table = "product"
key = "id"
title = "t"
text = "t"
[[source]]
name = "file"
kind = "feed"
url = "https://me:s3cret@shop/feed?token=s3cret"
format = "csv"
key = "id"
title = "t"
text = "t"
[[webhook]]
name = "shop"
url = "https://me:s3cret@shop/hook?key=s3cret"
secret = { env = "HOOK" }
"#;
    fs::write(&file, text).unwrap();
    let environment = [
        ("OURS", "postgres://me:s3cret@db/ours"),
        ("SHOP", "postgres://me@db/shop?sslmode=require&password=s3cret"),
        ("KEY", "s3cret"),
        ("HOOK", "whsec_czNjcmV0czNjcmV0czNjcmV0czNjcmV0"),
    ];
    for form in ["show", "show --json"] {
        let output =
            program(&words(&format!("--config {} config {form}", file.display())), &environment).await;
        let shown = stdout(&output);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!shown.contains("s3cret") && !shown.contains("czNjcmV0"), "{shown}");
        for place in
            ["db/ours", "db/shop", "models/v1", "models/v2", "traces/v1/traces", "shop/feed", "shop/hook"]
        {
            assert!(shown.contains(place), "{place}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_missing_file_says_how_to_get_one() {
    let (code, said) = fails("--config /nowhere/jobs.toml status", &[]).await;
    assert_eq!(code, 2);
    assert!(said.contains("shopkeeper config init"), "{said}");
}

#[tokio::test]
async fn sync_status_search_and_ask_print_the_fields_of_the_contract() {
    let world = World::new().await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let output = world.run(&["sync", "--json", "--wait"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        keys(&report),
        "source listed added changed removed unchanged enqueued elapsed_ms failed reasons"
    );
    assert_eq!(world.fresh().await, 3, "--wait means fresh");

    let status = world.run_json("status").await;
    assert_eq!(keys(&status), "sources queue index usage_today failures refresh stopped_since waiting");
    assert_eq!(
        keys(&status["sources"][0]),
        "source documents fresh stale failed chunks oldest_stale_seconds last_sync_at lag_p50_seconds lag_p99_seconds \
         withheld withheld_since"
    );
    assert_eq!((&status["sources"][0]["documents"], &status["sources"][0]["fresh"]), (&3.into(), &3.into()));
    assert_eq!(keys(&status["index"][0]), "version model dimensions state chunks");
    assert!(status["usage_today"]["cost_usd"].as_f64().unwrap() > 0.0, "{status}");

    let found = world.run_json("search 'steel kettle' --top-k 1").await;
    assert_eq!(keys(&found["results"][0]), "source key title content distance score url metadata");
    assert_eq!(as_list(&found["results"]).len(), 1);

    let answer = world.run_json("ask 'How much is the Kettle?' --session s").await;
    assert_eq!((&answer["object"], &answer["status"]), (&"answer".into(), &"completed".into()));
    world.script().always(Operation::Embeddings, Fault::Status { code: 503, retry_after: None });
    world.in_shop("update product set description = 'Other.'").await;
    world.run(&["sync"]).await;
    let status = world.run_json("status").await;
    assert_eq!(keys(&status["queue"][0]), "kind ready scheduled running dead oldest_ready_seconds paused");
    assert_eq!(status["sources"][0]["stale"], 3);
    let (code, said) = (world.run(&["search", "x"]).await, "");
    assert_eq!((code.status.code(), said), (Some(3), ""), "{}", stderr(&code));
}

#[tokio::test]
async fn for_people_the_same_is_a_table() {
    let world = World::new().await;
    let synced = world.run(&["sync", "--wait"]).await;
    assert_contains(stdout(&synced), "product  3");
    let status = world.run_ok("status").await;
    assert!(status.contains("oldest stale") && status.contains("hash"), "{status}");
    assert!(world.run_ok("search kettle").await.contains("product/3  Kettle"));
    let asked = world.run_ok("ask 'How much is the Kettle?'").await;
    assert!(asked.contains("45.00") && asked.contains("[1] Kettle - https://shop.example/p/3"), "{asked}");
    assert!(!asked.contains("searched for"), "{asked}");
}

#[tokio::test]
async fn an_answer_is_explained_by_what_was_found_and_judged() {
    let world = World::new().await;
    world.sync().await;
    let asked = world.run_ok("ask 'How much is the Kettle?' --explain").await;
    for part in [
        "searched for: How much is the Kettle?",
        "  cited  product/3  Kettle",
        "         product/1  Shirt",
        "outcome     completed, answered, attempt 1",
        ", above 1.500 a human is asked for",
        "escalation  none",
        "grounding   sound",
        " written by extractive; 0.0",
    ] {
        assert!(asked.contains(part), "{part:?} in {asked}");
    }
    world.script().queue(Operation::Completions, vec![Fault::Says("It is 77.00 [1].".to_owned()); 2]);
    let refused = world.run_ok("ask 'How much is the Shirt?' --explain").await;
    assert!(refused.contains("grounding   no passage has numbers 77.00"), "{refused}");
    assert!(refused.contains("escalation  ungrounded (open, "), "{refused}");
}

#[tokio::test]
async fn a_model_server_that_stays_down_ends_the_waiting_and_loses_nothing() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::Status { code: 500, retry_after: None });
    let output = world.run(&["sync", "--wait"]).await;
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.contains("3 documents wait for another attempt") && said.contains("500"), "{said}");
    assert_eq!(world.count("job").await, 3);
}

#[tokio::test]
async fn a_sync_that_waited_for_documents_which_failed_says_how_many_and_why() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::Rejected("Kettle".to_owned()));
    let output = world.run(&["sync", "--wait", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let said = stderr(&output);
    assert_eq!((output.status.code(), &report["failed"]), (Some(1), &1.into()), "{report} {said}");
    let reason = as_text(&report["reasons"][0]["reason"]);
    assert!(reason.contains("rejects the request") && report["reasons"][0]["documents"] == 1, "{report}");
    assert!(said.contains("1 documents could not be indexed\n  1 of product: "), "{said}");
    assert_eq!(world.count("chunk").await, 2, "the others are indexed");

    world.script().clear();
    let output = world.run(&["sync", "--wait", "--full", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (output.status.code(), &report["failed"], &report["reasons"]),
        (Some(0), &0.into(), &json!([]))
    );
}

#[tokio::test]
async fn a_guard_that_refuses_ends_with_four() {
    let world = World::new().await;
    world
        .in_shop("insert into product select n, 'Mug ' || n, 'A mug.', 1, 1 from generate_series(10, 109) n")
        .await;
    world.try_sync().await.unwrap();
    world.in_shop("delete from product").await;
    world.run_failing("sync", 4, "--allow-mass-delete").await;
    world.run_ok("sync --allow-mass-delete").await;
}

#[tokio::test]
async fn an_unknown_source_is_named_with_those_that_there_are() {
    let world = World::new().await;
    world.run_failing("search x --source shoes", 2, "`shoes`; there are product").await;
    assert_eq!(world.run(&["sync", "--source", "shoes"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn a_database_without_our_schema_says_what_to_run() {
    let world = World::new().await;
    let empty = database("template1").await;
    fs::write(world.folder.path().join("database.url"), empty).unwrap();
    world.run_failing("status", 1, "run `shopkeeper migrate`").await;
    assert!(world.run_ok("migrate status").await.contains("missing"));
    let migrated = world.run(&["migrate"]).await;
    assert!(stdout(&migrated).contains("create role shopkeeper_client"), "{}", stderr(&migrated));
    assert!(!world.run_ok("migrate status").await.contains("missing"));
}

#[tokio::test]
async fn a_role_that_is_no_superuser_migrates_and_an_older_program_starts_on_a_newer_schema() {
    let world = World::new().await;
    let (admin, name) = (database("template1").await, format!("keeper_{}", std::process::id()));
    execute(&admin, &format!("create extension vector; create role {name} login password 'x'")).await;
    let mut url: url::Url = admin.parse().unwrap();
    execute(&admin, &format!("grant create on database {} to {name}", &url.path()[1..])).await;
    url.set_username(&name).unwrap();
    url.set_password(Some("x")).unwrap();
    fs::write(world.folder.path().join("database.url"), url.as_str()).unwrap();
    world.run_ok("migrate").await;
    let later =
        "insert into shopkeeper.migration values (29991231235959, 'of a later version', now(), true, 'x', 0)";
    execute(url.as_str(), later).await;
    assert_eq!(world.run(&["migrate"]).await.status.code(), Some(0));
    assert_eq!(world.run(&["status"]).await.status.code(), Some(0));
    execute(&admin, &format!("drop owned by {name}; drop role {name}")).await;
}

#[tokio::test]
async fn a_database_that_is_down_or_refuses_ends_with_three() {
    let world = World::new().await;
    let wrong_password = server().await.url("postgres").replacen("postgres:", "postgres:x", 1);
    let wrong_password = wrong_password.replacen("postgres:x//postgres:", "postgres://postgres:x", 1);
    for url in ["postgres://postgres@127.0.0.1:1/x".to_owned(), server().await.url("missing"), wrong_password]
    {
        fs::write(world.folder.path().join("database.url"), &url).unwrap();
        let output = world.run(&["run"]).await;
        assert_eq!(output.status.code(), Some(3), "{url}: {}", stderr(&output));
        assert_contains(stderr(&output), "the database cannot be reached: 127.0.0.1:");
    }
}

#[tokio::test]
async fn a_server_without_pgvector_says_how_to_install_it() {
    let Some(binaries) = std::env::var_os("SHOPKEEPER_TEST_PG_WITHOUT_PGVECTOR") else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: SHOPKEEPER_TEST_PG_WITHOUT_PGVECTOR names no PostgreSQL\n",
        );
        return;
    };
    let folder = shopkeeper::demo::folder::DataFolder::temporary().unwrap();
    let bare = shopkeeper::demo::postgres::Postgres::start(binaries.as_ref(), folder, &[]).await.unwrap();
    let error = Store::open_migrated(&reach(&bare.url("postgres"))).await.unwrap_err();
    assert!(error.to_string().contains("does not offer the extension `vector`"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_setting() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["--config".to_owned(), world.settings().display().to_string(), "run".to_owned()];
    let output = program(&arguments, &[("SHOPKEEPER_HTTP__LISTEN", &address)]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_contains(stderr(&output), &format!("cannot listen on {address}: set http.listen"));
}

#[tokio::test]
async fn the_daemon_syncs_at_its_start_and_stops_in_order_when_told() {
    let world = World::new().await;
    let arguments = ["--config".to_owned(), world.settings().display().to_string(), "run".to_owned()];
    let mut daemon = Process::start(command(&arguments, &[]).stderr(Stdio::piped()));
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    // The first sync may be quicker than the listeners.
    assert!(log.any(|line| line.unwrap().contains("\"running, API at http://127.0.0.1:")));
    world.until_count(3, "document_index where state = 'fresh'").await;
    world.script().always(Operation::Completions, Fault::Held);
    let id = world.text("select shopkeeper.ask('How much is the Kettle?')::text").await;
    world.arrived(Operation::Completions, 1).await;
    daemon.signal(rustix::process::Signal::TERM);
    assert!(log.any(|line| line.unwrap().contains("stopping")));
    world.script().clear();
    let ended = daemon.ended().await;
    assert!(ended.success(), "{ended}");
    let status = world.text(&format!("select status from shopkeeper.answers where id = '{id}'")).await;
    assert_eq!(status, "completed", "what ran was finished");
}
