//! What `doctor` sees, and what `status` says of what went wrong.

use crate::prelude::*;
use shopkeeper::indexing::fill::FillIndex;

async fn checks(world: &World) -> (Option<i32>, Vec<Value>) {
    let output = world.run(&["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    (output.status.code(), as_list(&report["checks"]).to_vec())
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
    assert_contains(as_text(&index["remedy"]), "start a daemon");

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
    world.execute(&format!("select shopkeeper.refresh('product', '1'); {leaseless}")).await;
    let (code, seen) = checks(&world).await;
    assert_eq!(code, Some(1));
    for (name, detail, remedy) in [
        ("source product", "description", "correct the [[source]]"),
        ("model hash", "refuses the key", "correct the api_key"),
        ("leases", "1 jobs whose worker is gone", "start a daemon"),
    ] {
        let check = check(&seen, name);
        assert_eq!(check["ok"], false, "{check}");
        assert_contains(as_text(&check["detail"]), detail);
        assert_contains(as_text(&check["remedy"]), remedy);
    }
    let text = fs::read_to_string(world.settings()).unwrap();
    fs::write(world.folder.path().join("database.url"), "postgres://nobody@127.0.0.1:1/none").unwrap();
    assert!(text.contains("database.url"));
    let (code, seen) = checks(&world).await;
    assert_eq!((code, seen.len(), &seen[0]["ok"]), (Some(1), 1, &Value::Bool(false)));
}

#[tokio::test]
async fn an_index_that_no_search_uses_is_named_once_there_is_much_to_read() {
    let world = World::new().await;
    world.sync().await;
    FillIndex::enqueue(&world.store, 1).await.unwrap();
    world.drain().await;
    let (_, seen) = checks(&world).await;
    assert!(!seen.iter().any(|check| check["name"] == "search"), "few chunks are read as quickly: {seen:?}");
    let much =
        "insert into shopkeeper.chunk (version, source, key, ordinal, content, tokens, input_hash, embedding)
         select 1, source, key, ordinal + n, content, tokens, sha256(n::text::bytea),
             (select array_agg(random())::vector(64)::halfvec from generate_series(1, 64 + n * 0))
         from generate_series(1, 10000) n, (select * from shopkeeper.chunk limit 1) one;
         analyze shopkeeper.chunk_1";
    world.execute(much).await;
    let (_, seen) = checks(&world).await;
    assert_eq!(check(&seen, "search")["ok"], true, "{seen:?}");
    let name = world.text("select current_database()::text").await;
    world.execute(&format!("alter database {name} set random_page_cost = 1000")).await;
    let (code, seen) = checks(&world).await;
    let search = check(&seen, "search");
    assert_eq!((code, &search["ok"]), (Some(1), &Value::Bool(false)), "{search}");
    assert!(as_text(&search["detail"]).starts_with("reads all 1000"), "{search}");
    assert_contains(as_text(&search["remedy"]), "analyze shopkeeper.chunk_1");
}

#[tokio::test]
async fn a_source_that_left_the_settings_is_named_as_long_as_its_documents_are_found() {
    let world = World::new().await;
    world.sync().await;
    let (_, seen) = checks(&world).await;
    let disk = check(&seen, "disk");
    assert!(disk["ok"] == true && as_text(&disk["detail"]).contains("our tables take"), "{disk}");
    let settings = fs::read_to_string(world.settings()).unwrap();
    let other = settings.replace("name = \"product\"\nkind", "name = \"other\"\nkind");
    assert_ne!(other, settings);
    fs::write(world.settings(), &other).unwrap();
    let (code, seen) = checks(&world).await;
    let gone = check(&seen, "source product");
    assert_eq!((code, &gone["ok"]), (Some(1), &Value::Bool(false)), "{gone}");
    assert_contains(as_text(&gone["detail"]), "its 3 documents are still searched");
    assert!(!seen.iter().any(|check| check["name"] == "coverage of product"), "{seen:?}");

    // What it says helps.
    let status = world.run_json("status").await;
    let product = as_list(&status["sources"]).iter().find(|source| source["source"] == "product");
    assert_eq!(product.unwrap()["withheld"], 3, "{status}");
    let kept = world.run(&["sync", "--source", "product"]).await;
    assert_eq!(kept.status.code(), Some(4), "{}", stderr(&kept));
    assert_eq!(world.count("chunk").await, 3, "nothing leaves unasked");
    let removed = world.run(&["sync", "--source", "product", "--allow-mass-delete", "--json"]).await;
    let report: Value = serde_json::from_str(&stdout(&removed)).unwrap();
    assert_eq!((removed.status.code(), &report["removed"]), (Some(0), &Value::from(3)), "{report}");
    assert_eq!((world.count("document").await, world.count("chunk").await), (0, 0));
    let (_, seen) = checks(&world).await;
    assert!(!seen.iter().any(|check| check["name"] == "source product"), "{seen:?}");
}

#[tokio::test]
async fn the_status_says_how_late_and_why_not() {
    let world = World::new().await;
    world.sync().await;
    world.script().always(Operation::Embeddings, Fault::Rejected("Glass".to_owned()));
    world.describe(3, "Glass kettle.").await;
    world.sync().await;
    let status = world.run_json("status").await;
    let source = &status["sources"][0];
    let (p50, p99) =
        (source["lag_p50_seconds"].as_f64().unwrap(), source["lag_p99_seconds"].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 < 60.0, "{source}");
    assert_eq!(source["failed"], 1);
    let failure = &status["failures"][0];
    assert_eq!((failure["source"].as_str(), failure["documents"].as_i64()), (Some("product"), Some(1)));
    assert_contains(as_text(&failure["reason"]), "rejects the request: 400");
    assert_eq!(status["refresh"]["pending"], 0);
    assert!(status["refresh"]["per_minute"].as_i64().unwrap() >= 2, "{status}");
}
