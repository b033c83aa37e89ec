//! What `doctor` sees, and what `status` says of what went wrong.

use serde_json::Value;
use shopkeeper::{
    jobs::fill_index::FillIndex,
    offline::{Fault, Operation},
};

use crate::support::{World, execute, stdout};

async fn checks(world: &World) -> (Option<i32>, Vec<Value>) {
    let output = world.run(&["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    (output.status.code(), report["checks"].as_array().unwrap().clone())
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {checks:?}"))
}

#[tokio::test]
async fn a_healthy_world_is_well_and_each_harm_has_its_remedy() {
    let world = World::new().await;
    world.sync().await;
    let (code, seen) = checks(&world).await;
    assert_eq!(code, Some(1));
    let index = check(&seen, "index");
    assert_eq!(index["ok"], false, "{index}");
    assert!(index["remedy"].as_str().unwrap().contains("start a daemon"), "{index}");

    FillIndex::enqueue(&world.store, 1).await.unwrap();
    world.drain().await;
    let (_, seen) = checks(&world).await;
    // Other tests take connections of the same server, and the test's model has its own distances.
    let sick = seen.iter().filter(|check| check["ok"] == false);
    let sick: Vec<_> =
        sick.filter(|check| check["name"] != "connections" && check["name"] != "threshold").collect();
    assert!(sick.is_empty() && seen.len() >= 15, "{sick:?}");

    world.in_shop("alter table product rename column description to about").await;
    world.script().always(Operation::Embeddings, Fault::Status { code: 401, retry_after: None });
    let leaseless =
        "update shopkeeper.job set state = 'running', worker = 'gone', lease_until = now() - interval '1 h'";
    execute(&world.url(), &format!("select shopkeeper.refresh('product', '1'); {leaseless}")).await;
    let (code, seen) = checks(&world).await;
    assert_eq!(code, Some(1));
    for (name, detail, remedy) in [
        ("source product", "description", "correct the [[source]]"),
        ("model hash", "refuses the key", "correct the api_key"),
        ("leases", "1 jobs whose worker is gone", "start a daemon"),
    ] {
        let check = check(&seen, name);
        assert_eq!(check["ok"], false, "{check}");
        assert!(check["detail"].as_str().unwrap().contains(detail), "{check}");
        assert!(check["remedy"].as_str().unwrap().contains(remedy), "{check}");
    }
    let text = std::fs::read_to_string(world.settings()).unwrap();
    std::fs::write(world.folder.path().join("database.url"), "postgres://nobody@127.0.0.1:1/none").unwrap();
    assert!(text.contains("database.url"));
    let (code, seen) = checks(&world).await;
    assert_eq!((code, seen.len(), &seen[0]["ok"]), (Some(1), 1, &Value::Bool(false)));
}

#[tokio::test]
async fn the_status_says_how_late_and_why_not() {
    let world = World::new().await;
    world.sync().await;
    world.script().always(Operation::Embeddings, Fault::Rejected("Glass".to_owned()));
    world.in_shop("update product set description = 'Glass kettle.' where id = 3").await;
    world.sync().await;
    let status: Value = serde_json::from_str(&stdout(&world.run(&["status", "--json"]).await)).unwrap();
    let source = &status["sources"][0];
    let (p50, p99) =
        (source["lag_p50_seconds"].as_f64().unwrap(), source["lag_p99_seconds"].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 < 60.0, "{source}");
    assert_eq!(source["failed"], 1);
    let failure = &status["failures"][0];
    assert_eq!((failure["source"].as_str(), failure["documents"].as_i64()), (Some("product"), Some(1)));
    assert!(failure["reason"].as_str().unwrap().contains("cannot be embedded"), "{failure}");
    assert_eq!(status["refresh"]["pending"], 0);
    assert!(status["refresh"]["per_minute"].as_i64().unwrap() >= 3, "{status}");
}
