//! What reads writes nothing: not when the settings have changed, and not where it may not write.

use crate::prelude::*;

const GOLDEN: &str = r#"{"id": "1", "question": "Which kettle is of steel?", "expected": [{"source": "product", "key": "3"}]}"#;

/// Verbs that only look, and how they end.
const READING: &[(&str, i32)] = &[
    ("status", 0),
    ("status --json", 0),
    ("plan --json", 0),
    ("search kettle --json", 0),
    ("doctor --json", 1),
    ("eval run golden.jsonl --retrieval-only --json", 0),
    ("eval calibrate golden.jsonl --json", 1),
    ("eval feedback", 0),
    ("jobs list --json", 0),
    ("jobs show 1", 0),
    ("queue list --json", 0),
    ("schedule list --json", 0),
    ("index list --json", 0),
    ("trigger status --json", 1),
    ("trigger print", 0),
    ("session show nobody", 1),
    ("token list --json", 0),
    ("migrate status", 0),
    ("migrate print", 0),
    ("config check", 0),
    ("config show", 0),
];

/// All that a reader might change, but for what it may: what models cost, and what may still be asked of them.
async fn state(world: &World) -> Vec<String> {
    let tables: Vec<String> = world
        .values(
            "select relname::text from pg_class
         where relnamespace = 'shopkeeper'::regnamespace and relkind in ('r', 'p') and not relispartition
             and relname not in ('usage', 'model_budget') order by 1",
        )
        .await;
    let mut state = Vec::new();
    for table in tables {
        let rows = format!(
            "select md5(coalesce(string_agg(t::text, ';' order by t::text), '')) from shopkeeper.{table} t"
        );
        state.push(format!("{table} {}", value::<String>(&world.ours, &rows).await));
    }
    let relations = "select string_agg(relname || relkind::text, ' ' order by relname) from pg_class
                     where relnamespace = 'shopkeeper'::regnamespace";
    state.push(value(&world.ours, relations).await);
    let shop = PgPool::connect(&world.shop).await.unwrap();
    state.push(value(&shop, "select coalesce(string_agg(tgname, ' '), '') from pg_trigger").await);
    state
}

async fn shop() -> World {
    let schedule = "[[schedule]]\nname = \"nightly\"\ncron = \"0 3 * * *\"\njob = \"sync_catalogue\"\n";
    let world = World::with_files(SHOP, &format!("{SOURCE}{schedule}"), &[("golden.jsonl", GOLDEN)]).await;
    world.sync().await;
    world
}

async fn run(world: &World, verb: &str) -> (i32, String, String) {
    let golden = world.folder.path().join("golden.jsonl");
    let verb = verb.replace("golden.jsonl", golden.to_str().unwrap());
    let output = world.run(&verb.split(' ').collect::<Vec<_>>()).await;
    (output.status.code().unwrap(), stdout(&output), stderr(&output))
}

#[tokio::test]
async fn a_role_that_may_only_read_runs_every_verb_that_reads() {
    let world = shop().await;
    let url = url::Url::parse(&world.url()).unwrap();
    let role = format!(
        "create role reader_of_all login password '{}'; grant usage on schema shopkeeper to reader_of_all;
         grant select on all tables in schema shopkeeper to reader_of_all",
        url.password().unwrap(),
    );
    world.execute(&role).await;
    let before = state(&world).await;
    let mut reader = url.clone();
    reader.set_username("reader_of_all").unwrap();
    fs::write(world.folder.path().join("database.url"), reader.as_str()).unwrap();
    for (verb, code) in READING {
        let (ended, out, err) = run(&world, verb).await;
        assert_eq!(ended, *code, "{verb}: {out} {err}");
        assert!(!err.contains("permission denied"), "{verb}: {err}");
    }
    let (_, found, said) = run(&world, "search kettle --json").await;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(as_list(&found["results"]).len(), 3, "{found}");
    assert!(said.contains("applies the limits by itself"), "{said}");
    // The stop holds for it as well.
    execute(url.as_str(), "insert into shopkeeper.stop default values").await;
    let (code, _, refused) = run(&world, "search bottle --json").await;
    assert!(code != 0 && refused.contains("all spending is stopped"), "{code}: {refused}");
    execute(url.as_str(), "delete from shopkeeper.stop").await;
    fs::write(world.folder.path().join("database.url"), url.as_str()).unwrap();
    assert_eq!(state(&world).await, before);
}

#[tokio::test]
async fn settings_that_have_changed_change_nothing_before_a_daemon_takes_them() {
    let world = shop().await;
    let before = state(&world).await;
    let settings = fs::read_to_string(world.settings()).unwrap();
    fs::write(world.settings(), settings.replace("model = \"hash\"", "model = \"other\"")).unwrap();
    for (verb, _) in READING {
        let (_, out, err) = run(&world, verb).await;
        assert_eq!(state(&world).await, before, "{verb}: {out} {err}");
    }
    // Also where the index holds nothing, so that a daemon would make it anew.
    fs::write(world.settings(), settings).unwrap();
    world.in_shop("truncate product").await;
    world.sync().await;
    assert_eq!(world.count("chunk").await, 0);
    let before = state(&world).await;
    let settings = fs::read_to_string(world.settings()).unwrap();
    fs::write(world.settings(), settings.replace("model = \"hash\"", "model = \"other\"")).unwrap();
    for (verb, _) in READING {
        let (_, out, err) = run(&world, verb).await;
        assert_eq!(state(&world).await, before, "{verb}: {out} {err}");
    }
}

#[tokio::test]
async fn a_plan_needs_no_index() {
    let world = World::new().await;
    world.execute("delete from shopkeeper.index_version; drop table shopkeeper.chunk_1").await;
    let (code, plan, err) = run(&world, "plan --json").await;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((code, &plan["added"], &plan["chunks"]), (0, &3.into(), &3.into()), "{plan} {err}");
    assert_eq!(world.count("index_version").await, 0);
    let (code, _, err) = run(&world, "search kettle").await;
    assert!(code == 1 && err.contains("there is no index yet"), "{err}");
}
