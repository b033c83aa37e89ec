//! `eval`: what a golden set says of the index and of the answers.

use crate::prelude::*;

/// Two that can be answered, one of them wrong on purpose, and one that must be handed over.
fn golden(world: &World) -> String {
    let line = |id: &str, question: &str, expected: Value, held_out: bool| {
        let says = if id == "kettle" { vec!["two LITRES"] } else { Vec::new() };
        json!({ "id": id, "kind": id, "question": question, "expected": expected, "answer_contains": says,
                "held_out": held_out })
        .to_string()
    };
    let lines = [
        line(
            "kettle",
            "Kettle. Steel kettle that holds two litres.",
            json!([{ "source": "product", "key": "3" }]),
            false,
        ),
        line("gone", "Shirt XL", json!([{ "source": "product", "key": "77" }]), true),
        line("refusal", "xyzzy plugh", json!([]), false),
    ];
    let file = world.settings().with_file_name("golden.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_run_tells_what_was_found_what_was_said_and_what_can_never_be_found() {
    let world = World::new().await;
    world.sync().await;
    world.drain().await;
    let file = golden(&world);
    let output = world.run(&["eval", "run", &file, "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_fields(&report, json!({ "queries": 3, "hit_at_1": 0.5 }));
    assert_eq!(report["kinds"]["kettle"]["mrr"], 1.0, "{report}");
    assert_eq!(report["kinds"]["kettle"]["answer_contains"], 1.0, "{report}");
    assert_eq!(report["kinds"]["refusal"]["hit_at_5"], Value::Null, "{report}");
    assert_eq!(report["expected_but_not_indexed"], json!(["product/77"]), "{report}");

    let part = world.run(&["eval", "run", &file, "--part", "held-out", "--retrieval-only", "--json"]).await;
    let part: Value = serde_json::from_str(&stdout(&part)).unwrap();
    assert_fields(&part, json!({ "queries": 1, "answer_contains": null }));
}

#[tokio::test]
async fn a_run_fails_below_what_is_wanted_and_says_by_how_much() {
    let world = World::new().await;
    world.sync().await;
    world.drain().await;
    let file = golden(&world);
    let run = |least: &'static str| {
        let arguments =
            ["eval", "run", &file, "--retrieval-only", "--failures", "--min", least].map(str::to_owned);
        let world = &world;
        async move { world.run(&arguments.each_ref().map(String::as_str)).await }
    };
    assert_eq!(run("hit_at_5=0.5").await.status.code(), Some(0));
    let output = run("hit_at_5=0.9").await;
    assert_eq!(output.status.code(), Some(1));
    assert_contains(stderr(&output), "hit_at_5 is 0.500, at least 0.9 is wanted");
    assert_contains(stdout(&output), "Shirt XL: not found");
    let output = run("hit_at_50=0.9").await;
    assert_eq!(output.status.code(), Some(2));
    assert_contains(stderr(&output), "there is no share called `hit_at_50`");
}

#[tokio::test]
async fn calibration_parts_the_questions_and_a_broken_set_is_told_by_line() {
    let world = World::new().await;
    world.sync().await;
    world.drain().await;
    let file = golden(&world);
    let output = world.run(&["eval", "calibrate", &file, "--part", "tuning", "--json"]).await;
    let calibrated: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(calibrated["proposed"]["balanced_accuracy"], 1.0, "{calibrated}");
    assert_eq!(calibrated["present"]["distance"], 1.5, "{calibrated}");
    let shown = stdout(&world.run(&["eval", "calibrate", &file, "--part", "tuning"]).await);
    let line = format!("escalate_above_distance = {}", calibrated["proposed"]["distance"]);
    assert!(shown.contains(&line), "{shown}");

    fs::write(&file, "{\"id\": \"a\"}").unwrap();
    let output = world.run(&["eval", "run", &file]).await;
    assert_eq!(output.status.code(), Some(2));
    assert_contains(stderr(&output), "golden.jsonl: line 1: missing field");
    let output = world.run(&["eval", "run", "no-such-file"]).await;
    assert_contains(stderr(&output), "cannot read no-such-file");
}
