//! A network that drops traffic while a statement runs: no call waits for ever, and the next one gets a live
//! connection.

use std::fmt::Debug;

use crate::{
    prelude::*,
    proxy::{Proxy, behind_proxy},
};
use futures::FutureExt;
use shopkeeper::{
    catalogue::CatalogueError,
    indexing::versions::{self, Models, Versions},
    source::postgres::triggers::TriggerState,
};

/// The error of some work whose statement reached the server and whose reply is lost.
async fn cut_off<T: Debug, E: Debug>(
    proxy: &Proxy,
    database: &str,
    table: &str,
    work: impl Future<Output = Result<T, E>>,
) -> E {
    let mut ours = PgConnection::connect(database).await.unwrap();
    let mut lock = ours.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("lock table {table}"))).execute(&mut *lock).await.unwrap();
    let watcher = PgPool::connect(database).await.unwrap();
    let cut = async {
        let waits =
            format!("exists (select from pg_locks where not granted and relation = '{table}'::regclass)");
        assert!(comes_true(&watcher, &waits).await, "it does not wait for the lock");
        proxy.swallow();
        lock.rollback().await.unwrap();
    };
    let (failed, ()) = tokio::join!(in_time("it waits for ever", work), cut);
    failed.unwrap_err()
}

#[track_caller]
fn is_unreachable(error: &StoreError, reason: &str) {
    assert!(matches!(error, StoreError::Unreachable(seen) if seen.contains(reason)), "{error}");
}

#[tokio::test]
async fn statements_and_transactions_that_no_reply_comes_to_are_given_up() {
    let world = World::new().await;
    let opened = async || {
        let proxy = Proxy::start(&world.url()).await;
        let statement_timeout = Duration::from_secs(4);
        let ways = DatabaseSettings { statement_timeout, max_connections: 1, ..reach(&proxy.url()) };
        (Store::open(&ways).await.unwrap(), proxy)
    };
    let is_given_up = async |error, store: &Store, proxy: &Proxy| {
        is_unreachable(&error, "within 16s");
        proxy.pass_new();
        store.index_versions().await.unwrap();
    };
    let transaction = async {
        let (store, proxy) = opened().await;
        let keys = ["one".to_owned()];
        let transaction = store.note_unlisted("product", &keys, "refresh_document");
        let error = cut_off(&proxy, &world.url(), "shopkeeper.document", transaction).await;
        is_given_up(error, &store, &proxy).await;
        assert_eq!(world.count("job").await, 0, "the transaction was rolled back");
    };
    let statement = async {
        let (store, proxy) = opened().await;
        let error = cut_off(&proxy, &world.url(), "shopkeeper.index_version", store.index_versions()).await;
        is_given_up(error, &store, &proxy).await;
    };
    tokio::join!(transaction.boxed_local(), statement.boxed_local());
}

#[tokio::test]
async fn a_server_that_can_only_be_read_is_left_as_soon_as_there_is_one_that_can_be_written() {
    let world = World::new().await;
    let store = Store::open(&reach(&world.url())).await.unwrap();
    let enqueue = async || store.enqueue("k", &["k".to_owned()], &[json!({})]).await;
    enqueue().await.unwrap();
    let name = database_name(&world.url());
    let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and application_name = 'shopkeeper'";
    world.execute(&format!("alter database {name} set default_transaction_read_only = on; {all}")).await;
    let is_refused = async || match enqueue().await {
        Err(StoreError::Unreachable(reason)) => reason.contains("read-only"),
        other => panic!("{other:?}"),
    };
    wait_until("it is written", is_refused).await;
    assert!(!store.is_reachable().await, "it is not ready");
    // Now the address leads to a writable server; existing connections do not.
    let back = format!("alter database {name} reset default_transaction_read_only");
    execute(&server().await.url("postgres"), &back).await;
    let is_written = async || enqueue().await.is_ok() && store.is_reachable().await;
    wait_until("it stays with those that can only be read", is_written).await;
}

#[tokio::test]
async fn work_that_may_take_for_ever_is_given_up_when_the_server_knows_nothing_of_it() {
    let world = World::new().await;
    let (proxy, store) = behind_proxy(&world).await;
    let _lock = world.begin("lock table shopkeeper.chunk_1").await;
    let cut = async {
        world.until_locked(1, "^vacuum").await;
        proxy.swallow();
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and query like 'vacuum%'";
        assert!(world.value::<bool>(end).await);
        proxy.pass_new();
    };
    let (failed, ()) = tokio::join!(in_time("it waits for ever", store.vacuum_chunks(1)), cut);
    is_unreachable(&failed.unwrap_err(), "was lost");
}

#[tokio::test]
async fn index_versions_that_cannot_be_read_hold_nobody_up_who_has_seen_them() {
    let world = World::new().await;
    let (proxy, store) = behind_proxy(&world).await;
    let versions = daemon::prepare(&world.config, &store).await.unwrap().versions;
    assert_eq!(versions.written().await.unwrap().versions.len(), 1);
    proxy.swallow();
    sleep(versions::MAX_AGE).await;
    let all = join_all((0..10).map(|_| versions.written()));
    let all = timeout(Duration::from_secs(10), all).await.expect("it waits for the connection");
    assert!(all.into_iter().all(|seen| seen.unwrap().versions.len() == 1));
    let unseen =
        Versions::new(store, Models { first: versions.first_model().clone(), second: None, next: None });
    let unseen = timeout(Duration::from_secs(10), unseen.written()).await;
    let error = unseen.expect("it waits for the connection").err().unwrap();
    assert_contains(error.to_string(), "within 3s");
}

#[tokio::test]
async fn a_shop_that_no_reply_comes_from_is_given_up_and_read_again() {
    let read = async {
        let (shop, proxy, world) = distant_shop().await;
        let (_, catalogue) = world.parts.catalogues().next().unwrap();
        catalogue.check().await.unwrap();
        let keys = ["1".to_owned()];
        shop_is_given_up(&cut_off(&proxy, &shop, "product", catalogue.read(&keys)).await);
        proxy.pass_new();
        assert_eq!(catalogue.read(&keys).await.unwrap().len(), 1);
    };
    // Triggers as well: a condition is looked at in the table.
    let status = async {
        let (shop, proxy, world) = distant_shop().await;
        let (_, source) = world.parts.postgres_sources().next().unwrap();
        shop_is_given_up(&cut_off(&proxy, &shop, "product", source.trigger_status()).await);
        proxy.pass_new();
        assert_eq!(source.trigger_status().await.unwrap()[0].state, TriggerState::Missing);
    };
    let install = async {
        let (shop, proxy, world) = distant_shop().await;
        let (_, source) = world.parts.postgres_sources().next().unwrap();
        shop_is_given_up(&cut_off(&proxy, &shop, "product", source.install_triggers()).await);
    };
    // They are too large for the stack of a test together.
    tokio::join!(read.boxed_local(), status.boxed_local(), install.boxed_local());
}

/// A shop, the way that a world reads it by, and this world.
async fn distant_shop() -> (String, Proxy, World) {
    let shop = shop_database(SHOP).await;
    let proxy = Proxy::start(&shop).await;
    let settings = SOURCE.to_owned() + "where = \"stock > 0\"\nstatement_timeout = \"4s\"\n";
    let world = World::on(proxy.url(), &settings).await;
    (shop, proxy, world)
}

fn shop_is_given_up(error: &CatalogueError) {
    let CatalogueError::Unreachable { reason, .. } = error else { panic!("{error}") };
    assert_contains(reason, "within 18s");
}
