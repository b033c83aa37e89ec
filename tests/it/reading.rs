//! What reads writes nothing: not when the settings have changed, and not where it may not write.

use crate::prelude::*;

const GOLDEN: &str = r#"{"id": "1", "question": "Which kettle is of steel?", "expected": [{"source": "product", "key": "3"}]}"#;

/// Verbs that only look, by how they end.
const READING: [(&str, i32); 2] = [
    (
        "status, status --json, plan --json, search kettle --json, eval run golden.jsonl --retrieval-only --json, \
         eval feedback, jobs list --json, jobs show 1, queue list --json, schedule list --json, index list --json, \
         trigger print, token list --json, migrate status, migrate print, config check, config show",
        0,
    ),
    ("doctor --json, eval calibrate golden.jsonl --json, trigger status --json, session show nobody", 1),
];

fn reading() -> impl Iterator<Item = (&'static str, i32)> {
    READING.into_iter().flat_map(|(verbs, code)| verbs.split(", ").map(move |verb| (verb, code)))
}

/// All that a reader might change, but for what it may: what models cost, and what may still be asked of them.
async fn state(world: &World) -> Vec<String> {
    let tables = "select relname::text from pg_class
         where relnamespace = 'shopkeeper'::regnamespace and relkind in ('r', 'p') and not relispartition
             and relname not in ('usage', 'model_budget') order by 1";
    let mut state = Vec::new();
    for table in world.values::<String>(tables).await {
        let rows = "select md5(coalesce(string_agg(t::text, ';' order by t::text), '')) from shopkeeper.";
        state.push(format!("{table} {}", world.text(&format!("{rows}{table} t")).await));
    }
    let relations = "select string_agg(relname || relkind::text, ' ' order by relname) from pg_class
                     where relnamespace = 'shopkeeper'::regnamespace";
    state.push(world.text(relations).await);
    state.push(world.shop_value("select coalesce(string_agg(tgname, ' '), '') from pg_trigger").await);
    state
}

async fn shop() -> World {
    let schedule = "[[schedule]]\nname = \"nightly\"\ncron = \"0 3 * * *\"\njob = \"sync_catalogue\"\n";
    let world = World::with_files(SHOP, &format!("{SOURCE}{schedule}"), &[("golden.jsonl", GOLDEN)]).await;
    world.sync().await;
    world
}

async fn run(world: &World, verb: &str) -> (i32, String, String) {
    let output = world.run_line(&verb.replace("golden.jsonl", &world.path("golden.jsonl"))).await;
    (output.status.code().unwrap(), stdout(&output), stderr(&output))
}

#[tokio::test]
async fn a_role_that_may_only_read_runs_every_verb_that_reads() {
    let world = shop().await;
    let url = world.url();
    let role =
        "create role reader_of_all login password 'x'; grant usage on schema shopkeeper to reader_of_all;
         grant select on all tables in schema shopkeeper to reader_of_all";
    world.execute(role).await;
    let before = state(&world).await;
    world.write("database.url", &as_role(&url, "reader_of_all"));
    for (verb, code) in reading() {
        let (ended, out, err) = run(&world, verb).await;
        assert_eq!(ended, code, "{verb}: {out} {err}");
        assert!(!err.contains("permission denied"), "{verb}: {err}");
    }
    let (_, found, said) = run(&world, "search kettle --json").await;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(as_list(&found["results"]).len(), 3, "{found}");
    assert_contains(said, "applies the limits by itself");
    // The stop holds for it as well.
    execute(&url, "insert into shopkeeper.stop default values").await;
    let (code, _, refused) = run(&world, "search bottle --json").await;
    assert!(code != 0 && refused.contains("spending is paused"), "{code}: {refused}");
    execute(&url, "delete from shopkeeper.stop").await;
    world.write("database.url", &url);
    assert_eq!(state(&world).await, before);
}

/// Runs every verb that reads with settings of another model, which changes nothing.
async fn read_with_other_settings(world: &World) {
    let before = state(world).await;
    let settings = world.edit_settings("model = \"hash\"", "model = \"other\"");
    for (verb, _) in reading() {
        let (_, out, err) = run(world, verb).await;
        assert_eq!(state(world).await, before, "{verb}: {out} {err}");
    }
    world.write("jobs.toml", &settings);
}

#[tokio::test]
async fn settings_that_have_changed_change_nothing_before_a_daemon_takes_them() {
    let world = shop().await;
    read_with_other_settings(&world).await;
    // Also where the index holds nothing, so that a daemon would make it anew.
    world.sync_after(world.in_shop("truncate product")).await;
    assert_eq!(world.count("chunk").await, 0);
    read_with_other_settings(&world).await;
}

#[tokio::test]
async fn a_plan_needs_no_index() {
    let world = World::new().await;
    world.execute("delete from shopkeeper.index_version; drop table shopkeeper.chunk_1").await;
    let plan: Value = serde_json::from_str(&world.run_ok("plan --json").await).unwrap();
    assert_fields(&plan, json!({ "added": 3, "chunks": 3 }));
    assert_eq!(world.count("index_version").await, 0);
    world.run_failing("search kettle", 1, "there is no index yet").await;
}
