//! What is done between two listings: a source is watched by one daemon, and other services ask for refreshes.

use crate::prelude::*;
use futures::StreamExt;
use shopkeeper::{
    catalogue::{Catalogue, ChangeHints, Mark, MarkAt},
    sync::watch::WatchCatalogue,
};
use sqlx::{Postgres, Transaction};

pub(crate) fn watch(world: &World, poll: Duration) -> WatchCatalogue {
    let (sync, source) = (world.parts.sync.clone(), "product".to_owned());
    WatchCatalogue { sync, source, poll, watcher: "test".to_owned() }
}

impl World {
    /// Changes the shop, then reads what triggers noted.
    pub(crate) async fn hear_after(&self, change: impl Future<Output = ()>) {
        change.await;
        self.hear().await;
    }

    /// Changes the shop, then polls.
    pub(crate) async fn poll_after(&self, change: impl Future<Output = ()>) {
        change.await;
        self.poll().await;
    }

    /// Polls once and refreshes what differs.
    pub(crate) async fn poll(&self) {
        self.execute("update shopkeeper.source set polled_at = polled_at - interval '1 day'").await;
        watch(self, Duration::from_secs(1)).look().await.unwrap();
        self.drain().await;
    }

    /// Reads what triggers noted and refreshes what differs.
    pub(crate) async fn hear(&self) {
        watch(self, Duration::ZERO).look().await.unwrap();
        self.drain().await;
    }

    pub(crate) async fn install(&self) {
        self.source().install_triggers().await.unwrap();
    }

    pub(crate) fn source(&self) -> &shopkeeper::source::postgres::PostgresSource {
        self.parts.postgres_sources().next().unwrap().1
    }

    pub(crate) async fn contents(&self) -> Vec<String> {
        self.values("select content from shopkeeper.chunk order by key collate \"C\", ordinal").await
    }

    pub(crate) async fn chunks_with(&self, text: &str) -> usize {
        self.contents().await.iter().filter(|chunk| chunk.contains(text)).count()
    }

    pub(crate) async fn has(&self, text: &str) -> bool {
        self.chunks_with(text).await > 0
    }
}

#[tokio::test]
async fn a_renamed_key_embeds_nothing() {
    let world = World::noting().await;
    let before = world.embedding_requests();
    world.hear_after(world.in_shop("update product set id = 20 where id = 2")).await;
    assert_eq!(world.count("document where key = '20'").await, 1);
    assert_eq!(world.embedding_requests(), before);
}

#[tokio::test]
async fn a_plan_says_what_a_sync_would_do_and_does_nothing() {
    let world = World::new().await;
    let planned = async || -> Value { serde_json::from_str(&world.run_ok("plan --json").await).unwrap() };
    let first = planned().await;
    assert_fields(&first, json!({ "added": 3, "chunks": 3, "cached_chunks": 0 }));
    assert!(first["tokens"].as_u64() > Some(20) && first["cost_usd"].as_f64() > Some(0.02), "{first}");
    assert_eq!((world.count("document").await, world.embedding_requests()), (0, 0));
    world.sync().await;
    let tokens: i64 = world.value("select sum(tokens) from shopkeeper.chunk").await;
    assert_eq!(first["tokens"].as_i64(), Some(tokens), "what was embedded then");
    world.in_shop("update product set id = 20 where id = 2; update product set price = 1 where id = 1").await;
    let second = planned().await;
    let counts = ["added", "changed", "removed", "unchanged", "chunks", "cached_chunks", "tokens"];
    assert_eq!(counts.map(|count| second[count].as_u64().unwrap()), [1, 1, 1, 1, 1, 1, 0], "{second}");
}

#[tokio::test]
async fn a_text_that_is_put_back_embeds_nothing_until_its_vector_is_forgotten() {
    let world = World::synced().await;
    let describe = async |text: &str| {
        world.sync_after(world.describe(3, text)).await;
        world.embedding_requests()
    };
    let first = describe("One.").await;
    assert_eq!(describe("Two.").await, first + 1);
    assert_eq!(describe("One.").await, first + 1, "it is remembered");
    assert_eq!(world.count("embedding_cache").await, 3);
    assert_eq!(world.store.prune_cache(1).await.unwrap(), 2);
    assert_eq!(world.store.prune_cache(1).await.unwrap(), 0);
    assert_eq!(describe("Two.").await, first + 1, "the youngest is kept");
    assert_eq!(world.store.prune_cache(0).await.unwrap(), 2);
    world.sync_after(world.in_shop("delete from product where id = 3")).await;
    assert_eq!(world.store.prune_cache(0).await.unwrap(), 1, "what is removed is remembered too");
}

#[tokio::test]
async fn one_daemon_watches_a_source_and_another_takes_over_when_it_is_gone() {
    let world = World::synced().await;
    let minute = Duration::from_mins(1);
    assert!(world.store.watch("product", "one", minute).await.unwrap().is_some());
    assert!(world.store.watch("product", "other", minute).await.unwrap().is_none());
    world.execute("update shopkeeper.source set watch_until = now()").await;
    assert!(world.store.watch("product", "other", minute).await.unwrap().is_some());
    assert!(world.store.watch("product", "one", minute).await.unwrap().is_none());
}

#[tokio::test]
async fn one_document_is_refreshed_by_sql_also_one_that_is_new_or_gone() {
    let world = World::synced().await;
    world.describe(1, "Told.").await;
    world.in_shop("delete from product where id = 2").await;
    world.in_shop("insert into product values (9, 'Lamp', 'Shines.', 9, 1)").await;
    let ours = "select shopkeeper.refresh('product', key) from unnest(array['1', '2', '9', 'never']) as key";
    world.execute(ours).await;
    world.drain().await;
    let expected = ["Shirt. Told.", "Kettle. Steel kettle that holds two litres.", "Lamp. Shines."];
    assert_eq!(world.contents().await, expected);
    assert_eq!(world.sync().await.removed, 0);
    let unknown = world.refusal("select shopkeeper.refresh('nothing', '1')").await;
    assert_contains(unknown, "there is no source \"nothing\"");
}

#[tokio::test]
async fn nothing_is_open_in_the_shop_while_what_it_listed_is_written() {
    let world = World::new().await;
    let open = "select count(*) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null";
    let open = async || world.shop_value::<i64>(open).await;
    let source = world.source();
    let mut listing = source.list().await.unwrap().rows;
    assert_eq!(listing.next().await.unwrap().unwrap().key, "1");
    assert_eq!(open().await, 0, "a listing");
    let now = source.mark().await.unwrap().unwrap();
    let mut changed = source.changed(&Mark { at: MarkAt::Transaction(3), ..now });
    assert_eq!(changed.next().await.unwrap().unwrap().key, "1");
    assert_eq!(open().await, 0, "a poll");
    assert_eq!((listing.count().await, changed.count().await), (2, 2), "and nothing of it is lost");
}

/// A lock that keeps everybody from noting documents, and a world with notes to be drained.
async fn held_up() -> (World, Transaction<'static, Postgres>) {
    let world = World::noting().await;
    world.in_shop("update product set description = 'Noted.'").await;
    let notes = "insert into shopkeeper_change.note (source, key)
         select 'product', (n % 3 + 1)::text from generate_series(1, 5000) as n";
    world.in_shop(notes).await;
    let lock = world.begin("lock table shopkeeper.document in exclusive mode").await;
    (world, lock)
}

#[tokio::test]
async fn a_stop_ends_the_draining_of_notes_at_once_and_the_next_daemon_goes_on() {
    let (world, lock) = held_up().await;
    let (stop, watch) = (CancellationToken::new(), watch(&world, Duration::ZERO));
    let (stopped, stopping) = (stop.clone(), async {
        world.until_locked(1, "").await;
        stop.cancel();
    });
    let ended = async { tokio::join!(watch.run(&stopped), stopping) };
    timeout(Duration::from_secs(20), ended).await.expect("it goes on");
    assert_eq!(world.notes().await, 5003, "what was not noted is not forgotten");
    lock.rollback().await.unwrap();
    world.hear().await;
    assert_eq!(world.notes().await, 0);
    assert_eq!(world.chunks_with("Noted.").await, 3);
}

#[tokio::test]
async fn a_daemon_that_drains_for_long_keeps_its_watch_and_leaves_when_it_is_lost() {
    let (world, lock) = held_up().await;
    let one = watch(&world, Duration::ZERO);
    let other = WatchCatalogue { watcher: "other".to_owned(), ..watch(&world, Duration::ZERO) };
    let watching = async {
        world.until_locked(1, "").await;
        world.execute("create table watched as select watch_until from shopkeeper.source").await;
        let is_renewed = "(select watch_until from shopkeeper.source) > (select watch_until from watched)";
        world.until("the watch is renewed", is_renewed).await;
        other.look().await.unwrap();
        assert_eq!(world.notes().await, 5003, "it is not its turn");
        // As after a pause of the process that was longer than the watch.
        let other = "watcher = 'other', watch_until = now() + interval '1 hour'";
        world.execute(&format!("update shopkeeper.source set {other}")).await;
    };
    let ended = async { tokio::join!(one.look(), watching).0 };
    timeout(Duration::from_secs(25), ended).await.expect("it goes on").unwrap();
    assert_eq!(world.notes().await, 5003);
    lock.rollback().await.unwrap();
    one.look().await.unwrap();
    assert_eq!(world.notes().await, 5003, "it is not its turn any more");
    other.look().await.unwrap();
    assert_eq!(world.notes().await, 0);
}
