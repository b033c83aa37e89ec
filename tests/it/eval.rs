//! `eval`: measuring the index and the answers with a golden set.

use crate::prelude::*;

/// The small shop, indexed, and a golden set: two cases that can be answered, one of them wrong on purpose, and one that
/// must be handed over.
async fn with_golden_set() -> (World, String) {
    let world = World::synced().await;
    let line = |id: &str, question: &str, expected: Value, held_out: bool| {
        let says = if id == "kettle" { vec!["two LITRES"] } else { Vec::new() };
        json!({ "id": id, "kind": id, "question": question, "expected": expected, "answer_contains": says,
                "held_out": held_out })
        .to_string()
    };
    let found = |key: &str| json!([{ "source": "product", "key": key }]);
    let lines = [
        line("kettle", "Kettle. Steel kettle that holds two litres.", found("3"), false),
        line("gone", "Shirt XL", found("77"), true),
        line("refusal", "xyzzy plugh", json!([]), false),
    ];
    world.write("golden.jsonl", &lines.join("\n"));
    let file = world.path("golden.jsonl");
    (world, file)
}

#[tokio::test]
async fn a_run_tells_what_was_found_what_was_said_and_what_can_never_be_found() {
    let (world, file) = with_golden_set().await;
    let report = world.run_ok(&format!("eval run {file} --json")).await;
    let report = serde_json::from_str(&report).unwrap();
    let kinds = json!({ "kettle": { "mrr": 1.0, "answer_contains": 1.0 }, "refusal": { "hit_at_5": null } });
    assert_fields(&report, json!({ "queries": 3, "hit_at_1": 0.5, "kinds": kinds }));
    assert_eq!(report["expected_but_not_indexed"], json!(["product/77"]), "{report}");

    let part = world.run_json(&format!("eval run {file} --part held-out --retrieval-only")).await;
    assert_fields(&part, json!({ "queries": 1, "answer_contains": null }));
}

#[tokio::test]
async fn a_run_fails_below_what_is_wanted_and_says_by_how_much() {
    let (world, file) = with_golden_set().await;
    let run = format!("eval run {file} --retrieval-only --failures --min");
    world.run_ok(&format!("{run} hit_at_5=0.5")).await;
    let output = world.run_line(&format!("{run} hit_at_5=0.9")).await;
    assert_eq!(output.status.code(), Some(1));
    assert_contains(stderr(&output), "hit_at_5 is 0.500, at least 0.9 is wanted");
    assert_contains(stdout(&output), "Shirt XL: not found");
    world.run_failing(&format!("{run} hit_at_50=0.9"), 2, "there is no share called `hit_at_50`").await;
}

#[tokio::test]
async fn calibration_parts_the_questions_and_a_broken_set_is_told_by_line() {
    let (world, file) = with_golden_set().await;
    let calibrate = format!("eval calibrate {file} --part tuning");
    let calibrated = world.run_json(&calibrate).await;
    let expected = json!({ "proposed": { "balanced_accuracy": 1.0 }, "present": { "distance": 1.5 } });
    assert_fields(&calibrated, expected);
    let shown = stdout(&world.run_line(&calibrate).await);
    assert_contains(shown, &format!("escalate_above_distance = {}", calibrated["proposed"]["distance"]));

    world.write("golden.jsonl", "{\"id\": \"a\"}");
    world.run_failing(&format!("eval run {file}"), 2, "golden.jsonl: line 1: missing field").await;
    assert_contains(stderr(&world.run_line("eval run no-such-file").await), "cannot read no-such-file");
}

#[tokio::test]
async fn two_settings_are_compared_by_figures_passages_and_hand_overs() {
    let (world, file) = with_golden_set().await;
    let settings = fs::read_to_string(world.settings()).unwrap();
    let strict =
        settings.replace("escalate_above_distance = 1.5", "escalate_above_distance = 0.01\ntop_k = 1");
    world.write("other.toml", &strict);
    let compare = format!("eval compare {file} --with {}", world.path("other.toml"));
    let compared = world.run_json(&compare).await;
    let expected = json!({ "questions": 3, "same_first": 1.0, "no_longer_handed_over": 0 });
    assert_fields(&compared["differences"], expected);
    assert!(compared["differences"]["newly_handed_over"].as_i64().unwrap() > 0, "{compared}");
    assert_eq!(compared["present"]["hit_at_1"], compared["other"]["hit_at_1"]);
    let shown = world.run_ok(&compare).await;
    for says in ["balanced accuracy", "handed over only by present: 0", "(a human)"] {
        assert_contains(&shown, says);
    }
    world.run_failing(&format!("{compare} --tolerance 0"), 1, "balanced accuracy falls from").await;
    world.run_ok(&format!("{compare} --tolerance 1")).await;
}

#[tokio::test]
async fn real_questions_are_asked_again_and_what_they_get_now_is_compared() {
    let (world, daemon) = World::synced().await.with_daemon().await;
    world.run_failing("eval replay", 2, "nothing was answered yet").await;
    daemon.ask_for(&world, question(KETTLE)).await;
    let same = world.run_json("eval replay").await;
    assert_fields(&same["differences"], json!({ "questions": 1, "other_answers": 0, "same_first": 1.0 }));
    world.describe(3, "Steel kettle that holds three litres.").await;
    world.sync().await;
    world
        .until("the text is indexed", "exists (select from shopkeeper.chunk where content like '%three%')")
        .await;
    let changed = world.run_json("eval replay --last 5").await;
    assert_fields(&changed["differences"], json!({ "questions": 1, "other_answers": 1 }));
    assert_contains(changed["changed"][0]["after"]["answer"].to_string(), "three");
    world.run_ok("eval replay --most-changed 0").await;
    world.in_shop("delete from product where id = 3").await;
    world.sync().await;
    world.until_none("document where key = '3'").await;
    world.run_failing("eval replay --most-changed 0.5", 1, "1 of 1 questions changed").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_calibration_learns_from_what_customers_and_humans_judged() {
    let (world, file) = with_golden_set().await;
    let (world, daemon) = world.with_daemon().await;
    let liked = daemon.ask_for(&world, question(KETTLE)).await;
    let rating = json!({ "rating": "up" });
    daemon.send(Method::POST, &format!("/v1/answers/{}/feedback", id_of(&liked)), rating).await;
    daemon.ask_for(&world, question("Is the shirt of cotton?")).await;
    let calibrated = world.run_json(&format!("eval calibrate {file}")).await;
    assert_eq!(calibrated["judged_answers"], 1, "an answer that nobody judged says nothing");
    let alone = world.run_json(&format!("eval calibrate {file} --golden-only")).await;
    assert_eq!(alone["judged_answers"], 0);
    assert_ne!(alone["fit"], calibrated["fit"]);
    daemon.stop().await;
}
