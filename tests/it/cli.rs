//! The command line: what is printed, and how the process ends.

use std::{
    io::{BufRead, BufReader},
    process::Output,
};

use crate::prelude::*;
use shopkeeper::demo::{folder::DataFolder, postgres::Postgres};

/// A settings file that belongs to no world.
struct SettingsFile(TempDir);

impl SettingsFile {
    fn new(text: &str) -> Self {
        let file = Self(TempDir::new().unwrap());
        fs::write(file.path(), text).unwrap();
        file
    }

    fn path(&self) -> String {
        self.0.path().join("jobs.toml").display().to_string()
    }

    async fn run(&self, verb: &str, environment: &[(&str, &str)]) -> Output {
        program(&words(&format!("--config {} {verb}", self.path())), environment).await
    }
}

#[tokio::test]
async fn the_help_says_what_there_is() {
    let mut all = String::new();
    let verbs = ", run, migrate, config, sync, search, ask, session, eval run, eval calibrate, status, jobs, jobs list, \
                 jobs retry, queue, schedule, demo, models serve";
    for verb in verbs.split(", ") {
        let verb = format!("{verb} --help");
        let verb = verb.trim_start();
        all += &format!("$ shopkeeper {verb}\n{}\n", stdout(&program(&words(verb), &[]).await));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn every_fault_of_the_settings_is_told_at_once_with_its_line_and_the_nearest_key() {
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
    let environment =
        [("SHOPKEEPER_QUEUE__REFRESH_DOCUMENT__CONCURRENCY", "many"), ("SHOPKEEPER_HTTP__LISTN", "x")];
    let file = SettingsFile::new(text);
    let output = file.run("config check", &environment).await;
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output).replace(&file.path(), "jobs.toml");
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn the_file_that_init_writes_is_fine_and_is_never_written_over() {
    let file = SettingsFile(TempDir::new().unwrap());
    let init = ["config", "init", &file.path()];
    assert!(program(&init, &[]).await.status.success());
    let again = program(&init, &[]).await;
    assert_eq!(again.status.code(), Some(1));
    assert_contains(stderr(&again), "exists");
    let environment = [
        ("DATABASE_URL", "postgres://u:hidden@db/shop"),
        ("OPENAI_API_KEY", "sk-hidden"),
        ("SHOPKEEPER_WEBHOOK_SECRET", "whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu"),
    ];
    let output = file.run("config check", &environment[..2]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    // What is commented out in it is right, too.
    let text = fs::read_to_string(file.path()).unwrap();
    let (before, webhook) = text.split_once("# [[webhook]]").unwrap();
    let (webhook, after) = webhook.split_once("\n\n").unwrap();
    let text = format!("{before}[[webhook]]{}\n\n{after}", webhook.replace("\n# ", "\n"));
    let shown = stdout(&SettingsFile::new(&text).run("config show", &environment).await);
    assert!(!shown.contains("hidden") && !shown.contains("aGlkZGVu"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn no_address_that_is_shown_holds_a_secret() {
    let text = r#"
answers.base_url = "https://me@models/v1"
answers.query = { user = { env = "KEY" } }
telemetry.otlp_endpoint = "https://me:s3cret@traces/v1/traces"
[database]
url = { env = "OURS" }
direct_url = { env = "OURS" }
read_url = { env = "OURS" }
[openai]
base_url = "https://me:s3cret@models/v1"
api_key = { env = "KEY" }
[embedding]
base_url = "https://s3cret@models/v1"
next = { base_url = "https://me:s3cret@models/v2", model = "m", dimensions = 7 }
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
    let environment = [
        ("OURS", "postgres://me:s3cret@db/ours"),
        ("SHOP", "postgres://me@db/shop?sslmode=require&password=s3cret"),
        ("KEY", "s3cret"),
        ("HOOK", "whsec_czNjcmV0czNjcmV0czNjcmV0czNjcmV0"),
    ];
    let file = SettingsFile::new(text);
    for form in ["config show", "config show --json"] {
        let output = file.run(form, &environment).await;
        let shown = stdout(&output);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!shown.contains("s3cret") && !shown.contains("czNjcmV0"), "{shown}");
        for place in "db/ours db/shop models/v1 models/v2 traces/v1/traces shop/feed shop/hook".split(' ') {
            assert!(shown.contains(place), "{place}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_missing_file_says_how_to_get_one() {
    let output = program(&words("--config /nowhere/jobs.toml status"), &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert_contains(stderr(&output), "shopkeeper config init");
}

#[tokio::test]
async fn sync_status_search_and_ask_print_the_fields_of_the_contract() {
    let world = World::new().await;
    let report = world.run_json("sync --wait").await;
    let fields = "source listed added changed removed unchanged set_aside enqueued elapsed_ms failed reasons";
    assert_eq!(keys_of(&report), fields);
    assert_eq!(world.fresh().await, 3, "--wait means fresh");

    let status = world.run_json("status").await;
    assert_eq!(keys_of(&status), "sources queue index usage_today failures refresh stopped_since waiting");
    let source = &status["sources"][0];
    let fields = "source documents fresh stale failed chunks oldest_stale_seconds last_sync_at lag_p50_seconds \
                  lag_p99_seconds withheld withheld_since";
    assert_eq!(keys_of(source), fields);
    assert_fields(source, json!({ "documents": 3, "fresh": 3 }));
    assert_eq!(keys_of(&status["index"][0]), "version model dimensions state chunks");
    assert!(status["usage_today"]["cost_usd"].as_f64().unwrap() > 0.0, "{status}");

    let found = world.run_json("search 'steel kettle' --top-k 1").await;
    assert_eq!(keys_of(&found["results"][0]), "source key title content distance score url metadata");
    assert_eq!(as_list(&found["results"]).len(), 1);

    let answer = world.run_json("ask 'How much is the Kettle?' --session s").await;
    assert_fields(&answer, json!({ "object": "answer", "status": "completed" }));
    world.script().always(Operation::Embeddings, AWAY);
    world.in_shop("update product set description = 'Other.'").await;
    world.run_line("sync").await;
    let status = world.run_json("status").await;
    assert_eq!(keys_of(&status["queue"][0]), "kind ready scheduled running dead oldest_ready_seconds paused");
    assert_eq!(status["sources"][0]["stale"], 3);
    world.run_failing("search x", 3, "").await;
}

#[tokio::test]
async fn for_people_the_same_is_a_table() {
    let world = World::new().await;
    assert_contains(world.run_ok("sync --wait").await, "product  3");
    let status = world.run_ok("status").await;
    assert!(status.contains("oldest stale") && status.contains("hash"), "{status}");
    assert_contains(world.run_ok("search kettle").await, "product/3  Kettle");
    let asked = world.run_ok("ask 'How much is the Kettle?'").await;
    assert!(asked.contains("45.00") && asked.contains("[1] Kettle - https://shop.example/p/3"), "{asked}");
    assert!(!asked.contains("searched for"), "{asked}");
}

#[tokio::test]
async fn an_answer_is_explained_by_what_was_found_and_judged() {
    let world = World::synced().await;
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
        assert_contains(&asked, part);
    }
    world.script().queue(Operation::Completions, vec![says("It is 77.00 [1]."); 2]);
    let refused = world.run_ok("ask 'How much is the Shirt?' --explain").await;
    assert_contains(&refused, "grounding   no passage has numbers 77.00");
    assert_contains(&refused, "escalation  ungrounded (open, ");
}

#[tokio::test]
async fn a_model_server_that_stays_down_ends_the_waiting_and_loses_nothing() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, status(500));
    world.run_failing("sync --wait", 3, "3 documents wait for another attempt").await;
    world.run_failing("sync --wait", 3, "500").await;
    assert_eq!(world.count("job").await, 3);
}

#[tokio::test]
async fn a_sync_that_waited_for_documents_which_failed_says_how_many_and_why() {
    let world = World::new().await;
    world.script().always(Operation::Embeddings, Fault::Rejected("Kettle".to_owned()));
    let output = world.run_line("sync --wait --json").await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["failed"]), (Some(1), &json!(1)), "{report}");
    assert_eq!(report["reasons"][0]["documents"], 1, "{report}");
    assert_contains(as_text(&report["reasons"][0]["reason"]), "rejects the request");
    assert_contains(stderr(&output), "1 documents could not be indexed\n  1 of product: ");
    assert_eq!(world.count("chunk").await, 2, "the others are indexed");

    world.script().clear();
    let report: Value = serde_json::from_str(&world.run_ok("sync --wait --full --json").await).unwrap();
    assert_fields(&report, json!({ "failed": 0, "reasons": [] }));
}

#[tokio::test]
async fn a_guard_that_refuses_ends_with_four() {
    let world = World::new().await;
    let mugs = "insert into product select n, 'Mug ' || n, 'A mug.', 1, 1 from generate_series(10, 109) n";
    world.in_shop(mugs).await;
    world.try_sync().await.unwrap();
    world.in_shop("delete from product").await;
    world.run_failing("sync", 4, "--allow-mass-delete").await;
    world.run_ok("sync --allow-mass-delete").await;
}

#[tokio::test]
async fn an_unknown_source_is_named_with_those_that_there_are() {
    let world = World::new().await;
    world.run_failing("search x --source shoes", 2, "`shoes`; there are product").await;
    world.run_failing("sync --source shoes", 2, "").await;
}

#[tokio::test]
async fn a_database_without_our_schema_says_what_to_run() {
    let world = World::new().await;
    world.write("database.url", &database("template1").await);
    world.run_failing("status", 1, "run `shopkeeper migrate`").await;
    assert_contains(world.run_ok("migrate status").await, "missing");
    assert_contains(world.run_ok("migrate").await, "create role shopkeeper_client");
    assert!(!world.run_ok("migrate status").await.contains("missing"));
}

#[tokio::test]
async fn a_role_that_is_no_superuser_migrates_and_an_older_program_starts_on_a_newer_schema() {
    let world = World::new().await;
    let (admin, name) = (database("template1").await, format!("keeper_{}", std::process::id()));
    execute(&admin, &format!("create extension vector; create role {name} login password 'x'")).await;
    execute(&admin, &format!("grant create on database {} to {name}", database_name(&admin))).await;
    let url = as_role(&admin, &name);
    world.write("database.url", &url);
    world.run_ok("migrate").await;
    let later = "(29991231235959, 'of a later version', now(), true, 'x', 0)";
    execute(&url, &format!("insert into shopkeeper.migration values {later}")).await;
    world.run_ok("migrate").await;
    world.run_ok("status").await;
    execute(&admin, &format!("drop owned by {name}; drop role {name}")).await;
}

#[tokio::test]
async fn a_database_that_is_down_or_refuses_ends_with_three() {
    let world = World::new().await;
    let (away, server) = ("postgres://postgres@127.0.0.1:1/x".to_owned(), server().await);
    for url in [away, server.url("missing"), as_role(&server.url("postgres"), "postgres")] {
        world.write("database.url", &url);
        world.run_failing("run", 3, "the database cannot be reached: 127.0.0.1:").await;
    }
}

#[tokio::test]
async fn a_server_without_pgvector_says_how_to_install_it() {
    let Some(binaries) = std::env::var_os("SHOPKEEPER_TEST_PG_WITHOUT_PGVECTOR") else {
        return aloud("skipped: SHOPKEEPER_TEST_PG_WITHOUT_PGVECTOR names no PostgreSQL");
    };
    let bare = Postgres::start(binaries.as_ref(), DataFolder::temporary().unwrap(), &[]).await.unwrap();
    let error = Store::open_migrated(&reach(&bare.url("postgres"))).await.unwrap_err();
    assert!(error.to_string().contains("does not offer the extension `vector`"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_setting() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut run = world.command("run");
    run.env("SHOPKEEPER_HTTP__LISTEN", &address);
    let output = output_of(run).await;
    assert_eq!(output.status.code(), Some(1));
    assert_contains(stderr(&output), &format!("cannot listen on {address}: set http.listen"));
}

#[tokio::test]
async fn the_daemon_syncs_at_its_start_and_stops_in_order_when_told() {
    let world = World::new().await;
    let mut daemon = Process::start(world.command("run").stderr(Stdio::piped()));
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    // The first sync may be quicker than the listeners.
    assert!(log.any(|line| line.unwrap().contains("\"running, API at http://127.0.0.1:")));
    world.until_count(3, "document_index where state = 'fresh'").await;
    world.script().always(Operation::Completions, Fault::Held);
    let id = world.ask_by_sql(PRICE).await;
    world.arrived(Operation::Completions, 1).await;
    daemon.signal(rustix::process::Signal::TERM);
    assert!(log.any(|line| line.unwrap().contains("stopping")));
    world.script().clear();
    let ended = daemon.ended().await;
    assert!(ended.success(), "{ended}");
    let finished = format!("answers where status = 'completed' and id = '{id}'");
    assert_eq!(world.count(&finished).await, 1, "what ran was finished");
}
