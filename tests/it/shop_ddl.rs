//! The shop alters its tables and writes to them while we read them and note its changes.

use crate::{nets::watch, prelude::*, triggers::with_categories};
use proptest::{collection::vec, prelude::*, sample::select};
use shopkeeper::source::postgres::triggers::TriggerState;

/// A shop whose products are in partitions, with columns that nobody reads.
fn partitioned() -> String {
    SHOP.replace("id integer primary key", "id integer").replace(
        ");\ninsert",
        ", weight integer, note text) partition by range (id);
         create table low partition of product for values from (0) to (2);
         create table high partition of product for values from (2) to (1000);
         create table spare (like product);
         insert",
    )
}

fn whole() -> String {
    SHOP.replace("\n);", ", weight integer, note text);")
}

/// What the shop does.
#[derive(Clone, Debug)]
enum Event {
    Write(&'static str),
    /// The settings name none of its columns, or the same ones afterwards.
    Alter(&'static str),
    /// Takes a column away that the settings name, and puts it back.
    Break(&'static str, &'static str),
}

const WRITES: [&str; 8] = [
    "insert into product select coalesce(max(id), 0) + 1, 'Lamp', 'It shines.', 9, 1 from product where id < 900",
    "update product set description = description || ' Really.' where id % 2 = 0",
    "update product set price = price + 1",
    "update product set id = id + 10 where id = (select max(id) from product where id < 900)",
    "delete from product where id = (select min(id) from product)",
    "truncate product",
    "begin; truncate product; insert into product values (7, 'Mug', 'It holds tea.', 5, 1); commit",
    "update product set name = upper(name) where id = (select min(id) from product)",
];
const ALTERATIONS: [&str; 8] = [
    "alter table product alter column name type varchar(80)",
    "alter table product alter column name type text",
    "do $$ begin
         alter table product alter column id type bigint; exception when others then null;
     end $$",
    "alter table product alter column price type numeric(12, 3)",
    "alter table product drop column if exists weight",
    "alter table product add column if not exists weight integer",
    "do $$ begin alter table product rename column note to remark; exception when others then null; end $$",
    "alter table product alter column description type varchar(4000)",
];
const BREAKS: [(&str, &str); 2] = [
    (
        "alter table product rename column description to details",
        "alter table product rename column details to description",
    ),
    ("alter table product rename column name to label", "alter table product rename column label to name"),
];
const PARTITIONS: [&str; 5] = [
    "insert into high select coalesce(max(id), 2) + 1, 'Rug', 'It lies.', 9, 1 from high where id < 900",
    "alter table product detach partition low",
    "do $$ begin
         alter table product attach partition low for values from (0) to (2); exception when others then null;
     end $$",
    "do $$ begin
         alter table product attach partition spare for values from (1000) to (2000); exception when others then null;
     end $$",
    "truncate high",
];

fn event(is_partitioned: bool) -> impl Strategy<Value = Event> {
    let partitions = if is_partitioned { &PARTITIONS[..] } else { &WRITES[..1] };
    prop_oneof![
        5 => select(&WRITES[..]).prop_map(Event::Write),
        3 => select(&ALTERATIONS[..]).prop_map(Event::Alter),
        2 => select(partitions).prop_map(Event::Alter),
        1 => select(&BREAKS[..]).prop_map(|(take, put)| Event::Break(take, put)),
    ]
}

impl World {
    /// Runs a statement of the shop, which must not fail, nor wait for a lock of ours for longer than the limit.
    async fn shop_does(&self, statements: &str) {
        let mut shop = PgConnection::connect(&self.shop).await.unwrap();
        let limited = format!("set lock_timeout = '2s'; {statements}");
        let done = sqlx::raw_sql(AssertSqlSafe(limited)).execute(&mut shop).await;
        // The shop's own mistakes: a partition is detached twice, or a row has none.
        let is_own =
            |error: &str| ["is not a partition", "no partition of"].iter().any(|own| error.contains(own));
        if let Err(error) = done {
            assert!(is_own(&error.to_string()), "{statements}: {error}");
        }
    }

    /// Changes a row, and waits until the index has the change.
    async fn change_is_seen(&self, generation: usize) {
        let text = format!("Generation {generation}.");
        let change = format!(
            "insert into product values (500, 'Clock', 'It ticks.', 9, 1);
             update product set description = '{text}' where id = 500"
        );
        self.shop_does(&change).await;
        let seen = format!("chunk where key = '500' and content like '%{text}'");
        self.until_some(&seen).await;
        self.shop_does("delete from product where id = 500").await;
    }
}

async fn survives(tables: String, events: Vec<Event>) {
    let world = World::synced_with(&tables, SOURCE).await;
    world.install().await;
    let (stop, watch) = (CancellationToken::new(), watch(&world, Duration::from_millis(700)));
    let listings = async {
        while !stop.is_cancelled() {
            let _ = world.try_sync().await;
            sleep(Duration::from_millis(300)).await;
        }
    };
    let shop_work = async {
        for (generation, event) in events.into_iter().enumerate() {
            match event {
                Event::Write(statements) => world.shop_does(statements).await,
                Event::Alter(statements) => {
                    world.shop_does(statements).await;
                    world.change_is_seen(generation).await;
                }
                Event::Break(take, put) => {
                    world.shop_does(take).await;
                    world.shop_does("update product set price = price + 1").await;
                    world.shop_does("insert into product select 600 from product limit 0").await;
                    world.shop_does(put).await;
                    world.change_is_seen(generation).await;
                }
            }
        }
        stop.cancel();
    };
    let workers = world.workers();
    tokio::join!(listings, shop_work, watch.run(&stop));
    workers.stop().await;
    world.try_sync().await.unwrap();
    world.hurry().await;
    world.with_workers(world.until_none("job")).await;
    let fresh = World::on(world.shop.clone(), SOURCE).await;
    fresh.sync().await;
    assert_eq!(world.index().await, fresh.index().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_of_a_shops_tables_fails_waits_or_is_missed() {
    let config = ProptestConfig { max_shrink_iters: 0, ..cases(4 * chaos_rounds()) };
    let check = async |events| survives(whole(), events).await;
    for_cases(config, || vec(event(false), 1..12), check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_of_a_shops_partitions_fails_waits_or_is_missed() {
    let config = ProptestConfig { max_shrink_iters: 0, ..cases(4 * chaos_rounds()) };
    let check = async |events| survives(partitioned(), events).await;
    for_cases(config, || vec(event(true), 1..12), check).await;
}

#[tokio::test]
async fn a_renamed_column_of_a_related_table_asks_for_a_listing() {
    let (shop, source) = with_categories("1");
    let world = World::synced_with(&shop, &source).await;
    world.install().await;
    world.shop_does("alter table product rename column category_id to c").await;
    world.shop_does("update category set label = 'Clothing' where id = 1").await;
    let notes = "select count(*) from shopkeeper_change.note where key is null";
    assert_eq!(world.shop_value::<i64>(notes).await, 1);
    world.hear().await;
    world.drain().await;
    assert_eq!(world.chunks_with("Clothing").await, 3);
}

#[tokio::test]
async fn a_column_that_is_gone_leaves_the_index_as_it_was_and_is_named() {
    let world = World::noting().await;
    let before = world.index().await;
    world.shop_does("alter table product drop column description").await;
    world
        .shop_does(
            "insert into product values (4, 'Lamp', 9, 1); update product set name = 'Coat' where id = 1",
        )
        .await;
    assert_contains(world.try_sync().await.unwrap_err().to_string(), "names the column `description`");
    assert_eq!(world.index().await, before);
    for verb in ["status", "doctor", "sync --wait"] {
        let output = world.run_line(verb).await;
        let said = stdout(&output) + &stderr(&output);
        assert_contains(said, "names the column `description`");
    }
    // What was noted meanwhile is found once the column is back.
    world.shop_does("alter table product add column description text not null default 'New.'").await;
    world.hear().await;
    assert_eq!(world.contents().await, ["Coat. New.", "Shirt XL. New.", "Kettle. New.", "Lamp. New."]);
    assert_eq!(world.run_json("status").await["sources"][0]["sync_error"], Value::Null);
}

#[tokio::test]
async fn partitions_that_were_attached_later_are_said_to_be_uncovered() {
    let world = World::synced_with(&partitioned(), SOURCE).await;
    world.install().await;
    let uncovered = async || world.source().trigger_status().await.unwrap().remove(0);
    assert_eq!(uncovered().await.uncovered, [""; 0]);
    world.shop_does("alter table product attach partition spare for values from (1000) to (2000)").await;
    let status = uncovered().await;
    assert_eq!((status.state, status.uncovered), (TriggerState::Installed, vec!["spare".to_owned()]));
    assert_contains(stderr(&world.run_line("trigger status").await), "spare");
    world.install().await;
    assert_eq!(uncovered().await.uncovered, [""; 0]);
    world.hear_after(world.in_shop("insert into spare values (1001, 'Rug', 'It lies.', 9, 1)")).await;
    assert!(world.has("It lies.").await);
    // A restore and replication write as a replica.
    let replica = "set session_replication_role = replica; update product set description = 'Replicated.' where id = 1001";
    world.hear_after(world.in_shop(replica)).await;
    assert!(world.has("Replicated.").await);
}

#[tokio::test]
async fn a_listing_gives_way_to_a_shop_that_waits_for_it() {
    let world = World::with(
        "create function slow(integer) returns integer language sql volatile as 'select $1 from pg_sleep(1)';
         create table product (id integer, name text, description text, price numeric, stock integer);
         insert into product select n, 'Product', 'Text.', 9, 1 from generate_series(1, 20) as n;",
        &SOURCE.replace(
            "table = \"product\"",
            "query = \"select slow(id) as id, name, description, price, stock from product\"",
        ),
    )
    .await;
    let truncated = async {
        let shop = PgPool::connect(&world.shop).await.unwrap();
        let is_read = "exists (select from pg_stat_activity where query like 'fetch%' and state = 'active')";
        assert!(comes_true(&shop, is_read).await);
        world
            .shop_does(
                "begin; truncate product; insert into product values (1, 'One', 'Left.', 9, 1); commit",
            )
            .await;
    };
    let (report, ()) = tokio::join!(world.try_sync(), truncated);
    assert_eq!(report.unwrap().listed, 1);
}
