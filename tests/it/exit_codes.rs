//! The exit code when a dependency is unavailable.

use crate::prelude::*;

const NEXT: &str = r#"
[embedding.next]
model = "hash"
dimensions = 32
"#;

const SCHEDULE: &str = r#"
[[schedule]]
name = "nightly"
cron = "0 3 * * *"
job = "sync_catalogue"
"#;

/// Every verb that asks the database.
const VERBS: &str = "run, migrate, migrate status, sync, sync --wait, refresh product 1, plan, search x, ask x, status, \
     index list, index create --yes, index promote 1, index rollback, index drop 1, trigger install, trigger remove, \
     trigger print, trigger status, session show s, session forget s, token create c, token list, \
     token revoke 01890a5d-ac96-774b-bcce-b302099a8057, pause, resume, eval run GOLDEN, eval calibrate GOLDEN, \
     eval feedback, jobs list, jobs show 1, jobs retry 1, jobs cancel 1, jobs discard 1, queue list, \
     queue pause refresh_document, queue resume refresh_document, schedule list, schedule run nightly, \
     schedule pause nightly, schedule resume nightly";

/// Checks the code with which each of these commands ends, and what it says.
async fn ends(world: &World, commands: &[&str], code: i32, says: &str) {
    let case = r#"{"id": "a", "question": "x", "expected": [{"source": "product", "key": "1"}]}"#;
    world.write("golden.jsonl", case);
    let golden = world.path("golden.jsonl");
    let run = async |command: &&str| world.run_failing(&command.replace("GOLDEN", &golden), code, says).await;
    join_all(commands.iter().map(run)).await;
}

#[tokio::test]
async fn every_verb_ends_with_three_when_the_database_is_away() {
    let world = World::with(SHOP, &format!("{SOURCE}{SCHEDULE}{NEXT}")).await;
    let verbs: Vec<_> = VERBS.split(", ").collect();
    world.write("database.url", "postgres://nobody@127.0.0.1:1/none");
    for some in verbs.chunks(8) {
        ends(&world, some, 3, "the database cannot be reached: 127.0.0.1:1").await;
    }
    // It reports that as a failed check.
    ends(&world, &["doctor"], 1, "").await;
}

#[tokio::test]
async fn a_database_that_takes_too_long_is_told_apart_from_one_that_is_away() {
    let world = World::with(SHOP, &format!("{SOURCE}{NEXT}")).await;
    world.edit_settings("[http]", "statement_timeout = \"1s\"\n[http]");
    let _lock = world.begin("lock table shopkeeper.embedding_cache").await;
    ends(&world, &["plan", "index create --yes"], 1, "the database timed out").await;
}

#[tokio::test]
async fn every_verb_that_asks_a_model_ends_with_three_when_it_is_away() {
    let world = World::new().await;
    world.edit_settings(world.models.base_url(), "http://127.0.0.1:1/v1");
    world.try_sync().await.unwrap();
    let asking = ["ask x", "search x", "sync --wait", "eval run GOLDEN", "eval calibrate GOLDEN"];
    ends(&world, &asking, 3, "is not available").await;
    // It asks no model.
    world.run_ok("plan").await;
    world.store.set_stopped(true).await.unwrap();
    ends(&world, &asking[1..], 4, "`shopkeeper resume`").await;
}

#[tokio::test]
async fn an_index_that_cannot_be_filled_is_not_waited_for() {
    // One that lacks few documents is ready all the same.
    let mugs = "insert into product select n, 'Mug ' || n, 'A mug.', 1, 1 from generate_series(10, 1200) n";
    let world = World::synced_with(&format!("{SHOP}{mugs}"), SOURCE).await;
    world.edit_settings("[answers]", &format!("{NEXT}base_url = \"http://127.0.0.1:1/v1\"\n[answers]"));
    let create = ["index create --yes --wait"];
    ends(&world, &create, 3, "index version 2 waits: the model server").await;
    // Whoever stopped all spending refuses it.
    world.store.set_stopped(true).await.unwrap();
    ends(&world, &create, 4, "index version 2 waits").await;
}

#[tokio::test]
async fn documents_that_wait_for_tomorrows_money_end_the_waiting_with_four() {
    let world = World::synced_with(SHOP, &format!("{SOURCE}[budget]\nembedding_usd = 0.001\n")).await;
    world.describe(3, "Too dear.").await;
    ends(&world, &["sync --wait"], 4, "today's budget of 0.001 dollars").await;
}
