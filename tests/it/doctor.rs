//! The checks of `doctor`, and the failures that `status` reports.

use crate::prelude::*;
use shopkeeper::indexing::fill::FillIndex;

/// The checks that `doctor` reports.
struct Checks(Vec<Value>);

impl Checks {
    async fn run(world: &World) -> Self {
        Self(as_list(&world.run_json("doctor").await["checks"]).to_vec())
    }

    async fn run_failing(world: &World) -> Self {
        world.run_failing("doctor", 1, "").await;
        Self::run(world).await
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|check| check["name"] == name)
    }

    /// The detail and the remedy of a check.
    fn seen(&self, name: &str, is_ok: bool) -> (&str, &str) {
        let check = self.0.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no {name} in {:?}", self.0));
        assert_eq!(check["ok"], is_ok, "{check}");
        (as_text(&check["detail"]), check["remedy"].as_str().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_healthy_world_is_well_and_each_harm_has_its_remedy() {
    let world = World::synced().await;
    let seen = Checks::run_failing(&world).await;
    assert_contains(seen.seen("index", false).1, "start a daemon");

    FillIndex::enqueue(&world.store, 1).await.unwrap();
    world.drain().await;
    let seen = Checks::run(&world).await.0;
    // Other tests take connections of the same server, and the test's model has its own distances.
    let is_ours = |check: &&Value| check["name"] != "connections" && check["name"] != "threshold";
    let sick: Vec<_> = seen.iter().filter(|check| check["ok"] == false).filter(is_ours).collect();
    assert!(sick.is_empty() && seen.len() >= 15, "{sick:?}");

    world.in_shop("alter table product rename column description to about").await;
    world.script().always(Operation::Embeddings, status(401));
    let expired = "state = 'running', worker = 'gone', lease_until = now() - interval '1 h'";
    world.execute("select shopkeeper.refresh('product', '1')").await;
    world.execute(&format!("update shopkeeper.job set {expired}")).await;
    let seen = Checks::run_failing(&world).await;
    for (name, detail, remedy) in [
        ("source product", "description", "correct the [[source]]"),
        ("model hash", "refuses the key", "correct the api_key"),
        ("leases", "1 jobs with an expired lease", "start a daemon"),
    ] {
        let (seen_detail, seen_remedy) = seen.seen(name, false);
        assert_contains(seen_detail, detail);
        assert_contains(seen_remedy, remedy);
    }
    world.write("database.url", "postgres://nobody@127.0.0.1:1/none");
    let seen = Checks::run_failing(&world).await;
    assert_eq!((seen.0.len(), &seen.0[0]["ok"]), (1, &json!(false)));
}

#[tokio::test]
async fn an_index_that_no_search_uses_is_named_once_there_is_much_to_read() {
    let world = World::synced().await;
    FillIndex::enqueue(&world.store, 1).await.unwrap();
    world.drain().await;
    assert!(!Checks::run(&world).await.has("search"), "few chunks are read as quickly");
    let much =
        "insert into shopkeeper.chunk (version, source, key, ordinal, content, tokens, input_hash, embedding)
         select 1, source, key, ordinal + n, content, tokens, sha256(n::text::bytea),
             (select array_agg(random())::vector(64)::halfvec from generate_series(1, 64 + n * 0))
         from generate_series(1, 10000) n, (select * from shopkeeper.chunk limit 1) one;
         analyze shopkeeper.chunk_1";
    // An index over all of them is built in a fraction of the time in which they enter it one by one.
    world.execute("drop index shopkeeper.chunk_1_hnsw").await;
    world.execute(much).await;
    world.store.build_hnsw(&world.store.index_versions().await.unwrap()[0]).await.unwrap();
    Checks::run(&world).await.seen("search", true);
    let name = database_name(&world.url());
    world.execute(&format!("alter database {name} set random_page_cost = 1000")).await;
    let seen = Checks::run_failing(&world).await;
    let (detail, remedy) = seen.seen("search", false);
    assert_starts(detail, "reads all 1000");
    assert_contains(remedy, "analyze shopkeeper.chunk_1");
}

#[tokio::test]
async fn a_source_that_left_the_settings_is_named_as_long_as_its_documents_are_found() {
    let world = World::synced().await;
    assert_contains(Checks::run(&world).await.seen("disk", true).0, "our tables take");
    world.edit_settings("name = \"product\"\nkind", "name = \"other\"\nkind");
    let seen = Checks::run_failing(&world).await;
    assert_contains(seen.seen("source product", false).0, "its 3 documents are still searched");
    assert!(!seen.has("coverage of product"));

    // Its remedy works.
    let status = world.run_json("status").await;
    let product = as_list(&status["sources"]).iter().find(|source| source["source"] == "product");
    assert_eq!(product.unwrap()["withheld"], 3, "{status}");
    world.run_failing("sync --source product", 4, "").await;
    assert_eq!(world.count("chunk").await, 3, "nothing leaves unasked");
    let removed = world.run_ok("sync --source product --allow-mass-delete --json").await;
    assert_contains(removed, "\"removed\":3");
    assert_eq!((world.count("document").await, world.count("chunk").await), (0, 0));
    assert!(!Checks::run(&world).await.has("source product"));
}

#[tokio::test]
async fn the_status_says_how_late_and_why_not() {
    let world = World::synced().await;
    world.script().always(Operation::Embeddings, Fault::Rejected("Glass".to_owned()));
    world.sync_after(world.describe(3, "Glass kettle.")).await;
    let status = world.run_json("status").await;
    let source = &status["sources"][0];
    let lag = |percentile: &str| source[percentile].as_f64().unwrap();
    let (p50, p99) = (lag("lag_p50_seconds"), lag("lag_p99_seconds"));
    assert!(0.0 < p50 && p50 <= p99 && p99 < 60.0, "{source}");
    assert_eq!(source["failed"], 1);
    let failure = &status["failures"][0];
    assert_fields(failure, json!({ "source": "product", "documents": 1 }));
    assert_contains(as_text(&failure["reason"]), "rejects the request: 400");
    assert_eq!(status["refresh"]["pending"], 0);
    assert!(status["refresh"]["per_minute"].as_i64().unwrap() >= 2, "{status}");
}
