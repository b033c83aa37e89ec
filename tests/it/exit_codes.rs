//! How the process ends when something is away.

use std::path::Path;

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
const VERBS: &str = "\
run
migrate
migrate status
sync
sync --wait
refresh product 1
plan
search x
ask x
status
index list
index create --yes
index promote 1
index rollback
index drop 1
trigger install
trigger remove
trigger print
trigger status
session show s
session forget s
token create c
token list
token revoke 01890a5d-ac96-774b-bcce-b302099a8057
pause
resume
eval run GOLDEN
eval calibrate GOLDEN
eval feedback
jobs list
jobs show 1
jobs retry 1
jobs cancel 1
jobs discard 1
queue list
queue pause refresh_document
queue resume refresh_document
schedule list
schedule run nightly
schedule pause nightly
schedule resume nightly";

fn golden(world: &World) -> String {
    let file = world.folder.path().join("golden.jsonl");
    let case = r#"{"id": "a", "question": "x", "expected": [{"source": "product", "key": "1"}]}"#;
    fs::write(&file, case).unwrap();
    file.display().to_string()
}

/// The codes that some commands end with, and what they say.
async fn ends(world: &World, commands: &[&str]) -> Vec<(String, Option<i32>, String)> {
    let golden = golden(world);
    let runs = commands.iter().map(async |command| {
        let words: Vec<_> =
            command.split(' ').map(|word| if word == "GOLDEN" { golden.as_str() } else { word }).collect();
        let output = world.run(&words).await;
        ((*command).to_owned(), output.status.code(), stderr(&output))
    });
    join_all(runs).await
}

fn rewrite(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn every_verb_ends_with_three_when_the_database_is_away() {
    let world = World::with(SHOP, &format!("{SOURCE}{SCHEDULE}{NEXT}")).await;
    let verbs: Vec<_> = VERBS.lines().collect();
    fs::write(world.folder.path().join("database.url"), "postgres://nobody@127.0.0.1:1/none").unwrap();
    for some in verbs.chunks(8) {
        for (command, code, said) in ends(&world, some).await {
            assert_eq!(code, Some(3), "{command}: {said}");
            assert!(said.contains("the database cannot be reached: 127.0.0.1:1"), "{command}: {said}");
        }
    }
    let ended = ends(&world, &["doctor"]).await;
    assert_eq!(ended[0].1, Some(1), "it has looked, and found that");
}

#[tokio::test]
async fn a_database_that_takes_too_long_is_told_apart_from_one_that_is_away() {
    let world = World::with(SHOP, &format!("{SOURCE}{NEXT}")).await;
    rewrite(&world.settings(), "[http]", "statement_timeout = \"1s\"\n[http]");
    let mut other = PgConnection::connect(&world.url()).await.unwrap();
    let hold = "begin; lock table shopkeeper.embedding_cache";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    for (command, code, said) in ends(&world, &["plan", "index create --yes"]).await {
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(said.contains("the database takes too long"), "{command}: {said}");
    }
}

#[tokio::test]
async fn every_verb_that_asks_a_model_ends_with_three_when_it_is_away() {
    let world = World::new().await;
    rewrite(&world.settings(), world.models.base_url(), "http://127.0.0.1:1/v1");
    world.try_sync().await.unwrap();
    let asking = ["search x", "ask x", "sync --wait", "eval run GOLDEN", "eval calibrate GOLDEN"];
    for (command, code, said) in ends(&world, &asking).await {
        assert_eq!(code, Some(3), "{command}: {said}");
        assert!(said.contains("is not available"), "{command}: {said}");
    }
    assert_eq!(world.run(&["plan"]).await.status.code(), Some(0), "it asks none");
    world.store.set_stopped(true).await.unwrap();
    for (command, code, said) in
        ends(&world, &["search x", "sync --wait", "eval run GOLDEN", "eval calibrate GOLDEN"]).await
    {
        assert_eq!(code, Some(4), "{command}: {said}");
        assert!(said.contains("`shopkeeper resume`"), "{command}: {said}");
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_filled_is_not_waited_for() {
    // One that lacks few documents is ready all the same.
    let mugs = "insert into product select n, 'Mug ' || n, 'A mug.', 1, 1 from generate_series(10, 1200) n";
    let world = World::with(&format!("{SHOP}{mugs}"), SOURCE).await;
    world.sync().await;
    let away = "base_url = \"http://127.0.0.1:1/v1\"\n";
    rewrite(&world.settings(), "[answers]", &format!("{NEXT}{away}[answers]"));
    let ended = ends(&world, &["index create --yes --wait"]).await;
    assert_eq!(ended[0].1, Some(3), "{}", ended[0].2);
    assert!(ended[0].2.contains("index version 2 waits: the model server"), "{}", ended[0].2);
    world.store.set_stopped(true).await.unwrap();
    let ended = ends(&world, &["index create --yes --wait"]).await;
    assert_eq!(ended[0].1, Some(4), "whoever stopped all spending refuses it: {}", ended[0].2);
    assert!(ended[0].2.contains("index version 2 waits"), "{}", ended[0].2);
}

#[tokio::test]
async fn documents_that_wait_for_tomorrows_money_end_the_waiting_with_four() {
    let world = World::with(SHOP, &format!("{SOURCE}[budget]\nembedding_usd = 0.001\n")).await;
    world.sync().await;
    world.describe(3, "Too dear.").await;
    let ended = ends(&world, &["sync --wait"]).await;
    assert_eq!(ended[0].1, Some(4), "{}", ended[0].2);
    assert!(ended[0].2.contains("today's budget of 0.001 dollars"), "{}", ended[0].2);
}
