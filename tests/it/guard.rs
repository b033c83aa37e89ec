//! However documents leave the index, no more than `mass_delete_limit` do between two complete listings.

use crate::{nets::watch, prelude::*};
use shopkeeper::catalogue::SetAside;

/// Sixty of them may leave: a fifth.
const PRODUCTS: i64 = 300;

async fn shop() -> World {
    let world = World::with(&(product_table().to_owned() + FILL), SOURCE).await;
    assert_eq!(world.sync().await.added, PRODUCTS.unsigned_abs());
    world
}

const FILL: &str = "insert into product
    select n, 'Mug ' || n, 'A mug with the number ' || n, 1, 1 from generate_series(1, 300) n;";

async fn product(world: &World) -> Value {
    world.run_json("status").await["sources"][0].take()
}

#[tokio::test]
async fn a_shop_that_is_reloaded_in_two_transactions_loses_nothing_to_the_jobs_in_between() {
    let world = shop().await;
    let (index, requests) = (world.index().await, world.embedding_requests());
    assert_eq!(world.sync_with(FULL).await.enqueued, 300);
    world.in_shop("truncate product").await;
    world.drain().await;
    assert!(world.index().await == index, "the index is as it was");
    let source = product(&world).await;
    assert_fields(&source, json!({ "withheld": 300, "stale": 0 }));
    assert!(source["withheld_since"].is_string(), "{source}");
    // A listing is asked for, and refused.
    let refused = "job_history where outcome = 'dead' and kind = 'sync_catalogue'";
    world.with_workers(world.until_some(refused)).await;
    let error = world.text(&format!("select error from shopkeeper.{refused}")).await;
    assert_contains(error, "no longer lists 300 of its 300 documents");

    world.in_shop(FILL).await;
    let report = world.sync().await;
    assert_eq!((report.changed, report.removed), (300, 0), "each is looked at again");
    assert!(world.index().await == index);
    assert_eq!(product(&world).await["withheld"], 0);
    assert_eq!(world.embedding_requests(), requests, "nothing is embedded again");
}

#[tokio::test]
async fn removals_that_wait_are_released_by_an_operator() {
    let world = shop().await;
    world.sync_with(FULL).await;
    world.in_shop("delete from product where id <= 250").await;
    world.drain().await;
    assert_eq!(world.count("chunk").await, PRODUCTS);
    world.run_failing("sync", 4, "").await;
    assert_eq!(product(&world).await["withheld"], 250, "a listing counts all that are gone");
    let withheld = "250 documents of product stay although their rows are gone";
    assert_contains(world.run_ok("status").await, withheld);
    world.run_ok("sync --allow-mass-delete --wait").await;
    assert_eq!((world.count("document").await, world.count("chunk").await), (50, 50));
    assert_eq!(product(&world).await["withheld"], 0);
}

#[tokio::test]
async fn what_triggers_note_is_guarded_and_counted_until_the_next_complete_listing() {
    let world = shop().await;
    world.install().await;
    world.hear_after(world.in_shop("delete from product where id <= 40")).await;
    assert_eq!(world.count("chunk").await, 260);
    world.in_shop("delete from product where id between 41 and 80").await;
    watch(&world, Duration::ZERO).look().await.unwrap();
    assert_eq!(world.count("job where kind = 'refresh_document'").await, 0, "eighty are more than sixty");
    assert_eq!(world.count("job where kind = 'sync_catalogue'").await, 1, "a listing is to tell");
    assert_eq!(product(&world).await["withheld"], 40);
    // Those forty and the forty before are still more than sixty.
    assert!(matches!(world.try_sync().await, Err(SyncError::MassDelete { removed: 40, known: 300, .. })));
    assert_eq!(world.sync_with(MASS_DELETE).await.removed, 40);
    world.drain().await;
    assert_eq!(world.count("chunk").await, 220);
    // Counted anew: 44 of 220 may leave, or fifty.
    world.hear_after(world.in_shop("delete from product where id between 81 and 130")).await;
    assert_eq!(world.count("chunk").await, 170);
}

#[tokio::test]
async fn a_document_that_is_named_leaves_also_when_others_may_not() {
    let world = shop().await;
    world.sync_with(FULL).await;
    world.in_shop("truncate product").await;
    world.drain().await;
    world.run_ok("refresh product 7").await;
    world.drain().await;
    assert_eq!(world.count("chunk").await, PRODUCTS - 1);
    assert_eq!(world.count("document where key = '7'").await, 0);
}

#[tokio::test]
async fn a_condition_that_lets_too_few_rows_through_removes_nothing() {
    let mut world = shop().await;
    world.change_settings("table = \"product\"\n", "table = \"product\"\nwhere = \"id < 10\"\n").await;
    assert!(matches!(world.try_sync().await, Err(SyncError::MassDelete { removed: 291, known: 300, .. })));
    world.drain().await;
    assert_eq!(world.count("chunk").await, PRODUCTS);
    assert_eq!(product(&world).await["withheld"], 291);
}

#[tokio::test]
async fn few_documents_are_believed_and_so_is_a_small_share() {
    for (known, gone, allowed) in [(200, 51, false), (100, 50, true), (1000, 51, true), (1000, 201, false)] {
        let world = World::new().await;
        world.store.note_synced("product", known, &SetAside::default()).await.unwrap();
        let guard = world.parts.sync.sources["product"].mass_delete;
        // A listing that fails before its end is repeated, and names the same documents.
        for _ in 0..2 {
            let departure = world.store.let_leave("product", gone, guard, true).await.unwrap();
            assert_eq!((departure.allowed, departure.known), (allowed, known), "{gone} of {known}");
        }
    }
}

#[tokio::test]
async fn one_process_lists_a_source_at_a_time() {
    let world = World::new().await;
    let lock = world.store.lock_listing("product").await.unwrap().expect("nobody lists it");
    assert!(matches!(world.try_sync().await, Err(SyncError::Busy(_))));
    assert!(world.store.lock_listing("other").await.unwrap().is_some());
    // Another one by HTTP or by the clock waits for it uncharged.
    let job = shopkeeper::job::sync_catalogue("product");
    world.store.enqueue(job.kind, &["product/full".to_owned()], &[job.payload]).await.unwrap();
    let workers = world.workers();
    world.until("it waits", "(select state = 'scheduled' and attempts = 0 from shopkeeper.job)").await;
    assert_eq!(world.count("document").await, 0);
    // The command line waits as well.
    let waits = world.run_line("sync --json");
    tokio::pin!(waits);
    assert!(timeout(Duration::from_secs(1), &mut waits).await.is_err());
    lock.release().await;
    assert!(waits.await.status.success());
    world.hurry().await;
    world.until_none("job").await;
    workers.stop().await;
    assert_eq!(world.count("chunk").await, 3);
}
