//! Another embedding model without a gap: index versions under load.

use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::prelude::*;
use shopkeeper::{
    demo::models::{Completer, Embedder, Models, OfflineServer},
    indexing::fill::FillIndex,
};

const NEXT: &str = "
[embedding.next]
model = \"text-embedding-3-large\"
dimensions = 1536
";

/// Has the second version made and filled.
async fn create(world: &World) {
    world.store.create_index("text-embedding-3-large", 1536).await.unwrap();
    FillIndex::enqueue(&world.store, 2).await.unwrap();
}

/// Keys and texts of what a version holds.
async fn held(world: &World, version: i32) -> BTreeMap<String, String> {
    let held = format!("select key, content from shopkeeper.chunk where version = {version}");
    world.rows::<(String, String)>(&held).await.into_iter().collect()
}

/// What the shop sells now.
async fn sold(world: &World) -> BTreeMap<String, String> {
    let mut shop = PgConnection::connect(&world.shop).await.unwrap();
    let sold = sqlx::query_as("select id::text, name || '. ' || description from product");
    sold.fetch_all(&mut shop).await.unwrap().into_iter().collect()
}

/// Changes, adds and deletes products, and tells of each, until it is stopped.
async fn write(world: &World, ended: &AtomicBool) -> u64 {
    let shop = PgPool::connect(&world.shop).await.unwrap();
    let mut round = 0_u64;
    while !ended.load(Ordering::Acquire) {
        let (changed, gone, new) = (1 + round * 37 % 3000, 3001 + round, 20_000 + round);
        let statement = format!(
            "update product set description = description || ' Edition {round}.' where id = {changed};
             delete from product where id = {gone} and id <= 4000;
             insert into product values ({new}, 'New {new}', 'It came while the index was filled.', 1, 1)"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&shop).await.unwrap();
        for key in [changed, gone.min(4000), new] {
            let refresh = format!("select shopkeeper.refresh('product', '{key}')");
            sqlx::raw_sql(AssertSqlSafe(refresh)).execute(&world.ours).await.unwrap();
        }
        round += 1;
        sleep(Duration::from_millis(10)).await;
    }
    shop.close().await;
    round
}

/// Searches as we do and as other programs do, until it is stopped; each time there must be five.
async fn search(world: &World, ended: &AtomicBool, searches: &AtomicU64) {
    let others = PgPool::connect(&world.url()).await.unwrap();
    let by_sql =
        "select count(*) from shopkeeper.search((select embedding from shopkeeper.chunks limit 1), 5)";
    while !ended.load(Ordering::Acquire) {
        assert_eq!(world.found("Product 1000 of this shop").await.len(), 5);
        assert_eq!(value::<i64>(&others, by_sql).await, 5);
        searches.fetch_add(1, Ordering::AcqRel);
    }
    others.close().await;
}

/// Waits until a version is searched, and was some times.
async fn searched(world: &World, version: i32, searches: &AtomicU64) {
    let is_active = async || world.parts.versions.active().await.unwrap().index.id == version;
    wait_until("the version is not active", is_active).await;
    let enough = searches.load(Ordering::Acquire) + 20;
    wait_until("the version is not searched", async || searches.load(Ordering::Acquire) >= enough).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_larger_model_takes_over_under_load_and_goes_back() {
    let shop = product_table().to_owned()
        + "insert into product
           select id, 'Product ' || id, 'It is number ' || id || ' of this shop.', 1, 1
           from generate_series(1, 1500) as id";
    let world = World::with_dimensions(384, &shop, &(SOURCE.to_owned() + NEXT)).await;
    world.sync().await;
    let workers = world.workers();
    let (ended, searches) = (AtomicBool::new(false), AtomicU64::new(0));
    let swap = async {
        create(&world).await;
        world.until_some("index_version where id = 2 and state = 'ready'").await;
        world.store.promote_index(2, false).await.unwrap();
        searched(&world, 2, &searches).await;
        assert_eq!(world.store.index_before().await.unwrap(), Some(1));
        world.store.promote_index(1, false).await.unwrap();
        searched(&world, 1, &searches).await;
        world.store.promote_index(2, false).await.unwrap();
        searched(&world, 2, &searches).await;
        ended.store(true, Ordering::Release);
    };
    let ((), written, ()) = tokio::join!(swap, write(&world, &ended), search(&world, &ended, &searches));
    assert!(written > 20 && searches.load(Ordering::Acquire) > 20, "{written} {searches:?}");
    world.until_none("job").await;
    workers.stop().await;

    let sold = sold(&world).await;
    assert!(held(&world, 2).await == sold, "the new version holds what the shop sells");
    assert!(held(&world, 1).await == sold, "and so does the one before");
    let dimensions = "select vector_dims(embedding) from shopkeeper.chunks limit 1";
    assert_eq!(world.value::<i32>(dimensions).await, 1536);
    let nearest = "explain select key from shopkeeper.chunk where version = 2
         order by embedding::halfvec(1536) <=> (select embedding::halfvec(1536) from shopkeeper.chunk_2 limit 1) limit 5";
    let plan: Vec<String> = world.values(nearest).await;
    assert!(plan.concat().contains("chunk_2_hnsw"), "{plan:?}");

    world.run_ok("index drop 1").await;
    assert_eq!(world.count("chunk").await, i64::try_from(sold.len()).unwrap());
    assert_eq!(world.count("index_version").await, 1);
    assert!(world.value::<bool>("select to_regclass('shopkeeper.chunk_1') is null").await);
    assert_eq!(world.found("Product 1000 of this shop").await.len(), 5);
}

/// The small shop, indexed, with the next model in its settings.
async fn shop(next: &str) -> World {
    World::synced_with(SHOP, &(SOURCE.to_owned() + next)).await
}

/// The small shop, indexed by both models.
async fn shop_with_two(next: &str) -> World {
    let world = shop(next).await;
    create(&world).await;
    world.drain().await;
    world
}

/// Another model server, for the larger model, and the settings that name it.
async fn other_server() -> (OfflineServer, String) {
    let models = Models::new(Embedder::hash(1536), Completer::Extractive);
    let server = OfflineServer::start(models).await.unwrap();
    let next = format!("{NEXT}base_url = \"{}\"\n", server.base_url());
    (server, next)
}

#[tokio::test]
async fn a_version_is_made_shown_promoted_and_dropped_by_commands() {
    let world = shop(NEXT).await;
    let asked = world.run_line("index create").await;
    assert_eq!(asked.status.code(), Some(1));
    assert_contains(stderr(&asked), "give --yes");
    assert!(stdout(&asked).contains("dollars"), "the cost is shown: {}", stdout(&asked));
    assert_eq!(world.count("index_version").await, 1);

    world.run_failing("index promote 2", 1, "").await;
    world.run_ok("index create --yes --wait").await;
    let expected = json!({
        "version": 2, "model": "text-embedding-3-large", "dimensions": 1536, "state": "ready", "chunks": 3,
        "documents": 3, "fresh": 3, "failed": 0
    });
    assert_eq!(world.run_json("index list").await["index"][1], expected);
    // The active one stays.
    world.run_failing("index drop 1", 1, "").await;
    world.run_ok("index promote 2").await;
    let active = "select id from shopkeeper.index_version where state = 'active'";
    assert_eq!(world.value::<i32>(active).await, 2);
    world.run_ok("index rollback").await;
    assert_eq!(world.value::<i32>(active).await, 1);
    world.run_ok("index drop 2").await;
    assert_eq!((world.count("index_version").await, world.count("document_index").await), (1, 3));
}

#[tokio::test]
async fn a_version_that_would_lack_documents_is_not_promoted() {
    let world = shop_with_two(NEXT).await;
    assert_eq!(world.count("chunk where version = 2").await, 3);
    // As a daemon without the new model in its settings leaves it.
    for table in ["document_index", "chunk"] {
        world.execute(&format!("delete from shopkeeper.{table} where version = 2 and key = '2'")).await;
    }
    assert_contains(world.store.promote_index(2, false).await.unwrap_err().to_string(), "lacks 1 documents");
    world.run_ok("index create --yes").await;
    world.drain().await;
    world.store.promote_index(2, false).await.unwrap();
    assert_eq!(world.found("Kettle that holds two litres").await.len(), 3);
}

#[tokio::test]
async fn a_version_is_cut_anew_when_the_settings_of_its_model_say_so() {
    let mut world = World::with(SHOP, &(SOURCE.to_owned() + NEXT)).await;
    let long = "select string_agg('It holds ' || n || ' litres.', ' ') from generate_series(1, 40) as n";
    world.sync_after(world.in_shop(&format!("update product set description = ({long}) where id = 3"))).await;
    create(&world).await;
    world.drain().await;
    let chunks = async |world: &World, version: i32| {
        world.count(&format!("chunk where key = '3' and version = {version}")).await
    };
    let before = chunks(&world, 1).await;
    assert_eq!(chunks(&world, 2).await, before);
    world.change_settings(NEXT, &format!("{NEXT}chunk_tokens = 20\nchunk_overlap = 4\n")).await;
    assert_eq!(world.sync().await.changed, 3);
    assert!(chunks(&world, 2).await > before);
    assert_eq!(chunks(&world, 1).await, before);
}

#[tokio::test]
async fn a_new_model_that_is_away_holds_up_nothing_but_itself() {
    let (larger, next) = other_server().await;
    let world = shop_with_two(&next).await;
    world.describe(3, "Glass kettle.").await;
    larger.script().always(Operation::Embeddings, AWAY);
    assert_eq!(world.try_sync().await.unwrap().changed, 1);
    let workers = world.workers();
    let changed = |version| format!("chunk where version = {version} and content = 'Kettle. Glass kettle.'");
    world.until_some(&changed(1)).await;
    assert_eq!(world.count(&changed(2)).await, 0);
    larger.script().clear();
    world.hurry().await;
    world.until_some(&changed(2)).await;
    workers.stop().await;
}

#[tokio::test]
async fn a_filling_ends_with_its_daemon_and_goes_on_with_the_next() {
    let world = shop(NEXT).await;
    create(&world).await;
    world.script().queue(Operation::Embeddings, [Fault::Held]);
    let before = world.embedding_requests();
    let workers = world.workers();
    world.arrived(Operation::Embeddings, before + 1).await;
    in_time("it is waited for", workers.stop()).await;
    assert_eq!(world.count("job where kind = 'fill_index' and attempts = 0").await, 1, "it is not charged");
    world.hurry().await;
    world.drain().await;
    assert_eq!(world.count("chunk where version = 2").await, 3);
}

#[tokio::test]
async fn a_version_that_is_dropped_while_it_is_filled_leaves_nothing_behind() {
    let many = "insert into product select id, 'Product ' || id, 'One of many.', 1, 1 from generate_series(10, 1500) as id";
    let (larger, next) = other_server().await;
    let world = World::synced_with(&format!("{SHOP}; {many}"), &(SOURCE.to_owned() + &next)).await;
    larger.script().always(Operation::Embeddings, AWAY);
    create(&world).await;
    let workers = world.workers();
    world.until_some("job where last_error is not null and kind = 'fill_index'").await;
    world.run_ok("index drop 2").await;
    world.until_none("job where kind = 'fill_index'").await;
    world.hurry().await;
    world.until_none("job").await;
    workers.stop().await;
    assert_eq!((world.count("index_version").await, world.count("document_index").await), (1, 1494));
    assert_eq!(world.count("job_history where outcome = 'dead'").await, 0);
}

#[tokio::test]
async fn a_row_that_changes_between_the_readings_for_two_versions_is_looked_at_again() {
    let world = shop_with_two(NEXT).await;
    let are_known = async || world.parts.versions.written().await.unwrap().versions.len() == 2;
    wait_until("the second version is not known", are_known).await;
    let workers = world.embedding("First.").await;
    // The first version is embedded; the second reads what is there then.
    world.describe(3, "Second.").await;
    world.script().release();
    world.until_none("job").await;
    workers.stop().await;
    assert_eq!(held(&world, 1).await["3"], "Kettle. First.");
    world.sync().await;
    for version in [1, 2] {
        assert_eq!(held(&world, version).await["3"], "Kettle. Second.");
    }
}

#[tokio::test]
async fn a_document_whose_job_began_before_a_version_was_made_is_in_it_all_the_same() {
    let world = shop(NEXT).await;
    let workers = world.embedding("Whistles.").await;
    create(&world).await;
    world.until_some("index_version where state = 'ready'").await;
    world.script().release();
    world.until_none("job").await;
    workers.stop().await;
    assert_eq!(held(&world, 2).await.get("3").map(String::as_str), Some("Kettle. Whistles."));
}
