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
