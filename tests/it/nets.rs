//! The nets between two listings: polling, triggers, and what other services say. Each trap is one that a
//! naive way falls into.

use futures::StreamExt;
use shopkeeper::{
    catalogue::{Catalogue, Mark, MarkAt, Nets},
    jobs::watch_catalogue::WatchCatalogue,
    offline::Operation,
    shop::postgres::trigger::TriggerStatus,
};
use sqlx::{Connection, PgConnection};

use crate::support::{SHOP, SOURCE, World, execute};

fn watch(world: &World, poll: std::time::Duration) -> WatchCatalogue {
    let (sync, source) = (world.parts.sync.clone(), "product".to_owned());
    WatchCatalogue { sync, source, poll, watcher: "test".to_owned() }
}

impl World {
    /// Polls once and refreshes what differs.
    async fn poll(&self) {
        execute(&self.url(), "update shopkeeper.source set polled_at = polled_at - interval '1 day'").await;
        watch(self, std::time::Duration::from_secs(1)).look().await.unwrap();
        self.drain().await;
    }

    /// Reads what triggers noted and refreshes what differs.
    pub(crate) async fn hear(&self) {
        watch(self, std::time::Duration::ZERO).look().await.unwrap();
        self.drain().await;
    }

    async fn install(&self) {
        self.source().install_triggers().await.unwrap();
    }

    fn source(&self) -> &shopkeeper::shop::postgres::PostgresSource {
        self.parts.postgres_sources().next().unwrap().1
    }

    async fn contents(&self) -> Vec<String> {
        let contents = "select content from shopkeeper.chunk order by key collate \"C\", ordinal";
        sqlx::query_scalar(contents).fetch_all(&self.ours).await.unwrap()
    }

    async fn has(&self, content: &str) -> bool {
        self.contents().await.iter().any(|chunk| chunk.contains(content))
    }
}

/// A shop that is indexed and was polled once.
async fn polled(sections: &str) -> World {
    let world = World::with(SHOP, sections).await;
    world.poll().await;
    world.sync().await;
    world
}

#[tokio::test]
async fn a_poll_finds_what_was_committed_since_also_when_it_began_long_before() {
    let world = polled(SOURCE).await;
    let mut late = PgConnection::connect(&world.shop).await.unwrap();
    sqlx::raw_sql(
        "begin; update product set description = 'Late.' where id = 1; savepoint s;
         update product set description = 'Later.' where id = 2; release s",
    )
    .execute(&mut late)
    .await
    .unwrap();
    // Bulk SQL that touches no column of time.
    world.in_shop("update product set description = 'Bulk.' where id = 3").await;
    world.poll().await;
    assert!(world.has("Bulk.").await && !world.has("Late.").await);
    sqlx::raw_sql("commit").execute(&mut late).await.unwrap();
    world.poll().await;
    assert!(world.has("Late.").await && world.has("Later.").await);
    let before = world.count("job_history").await;
    world.poll().await;
    assert_eq!(world.count("job_history").await, before, "what was seen is not done again");
}

#[tokio::test]
async fn a_query_is_polled_by_its_updated_at_with_an_overlap() {
    let shop = SHOP.to_owned()
        + "alter table product add updated_at timestamp not null default now() - interval '1 hour';";
    let source = SOURCE.replace("table = \"product\"", "query = \"select * from product\"")
        + "updated_at = \"updated_at\"\n";
    let world = World::with(&shop, &source).await;
    world.poll().await;
    world.sync().await;
    // Equal times, and a clock that is five minutes behind.
    world
        .in_shop(
            "update product set description = 'Equal.', updated_at = now() - interval '5 min' where id < 3",
        )
        .await;
    world.poll().await;
    assert_eq!(world.contents().await.iter().filter(|content| content.contains("Equal.")).count(), 2);
}

/// A shop whose products say by a column of this type when they were changed; the third did so long ago. Its clock is in
/// this zone.
async fn with_updated_at(column_type: &str, zone: &str, long_ago: &str) -> World {
    let shop = format!("{SHOP} alter table product add changed {column_type} default {long_ago};");
    let source = SOURCE.to_owned() + "updated_at = \"changed\"\n";
    let world = World::with(&shop, &source).await;
    let name = world.shop.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    world.in_shop(&format!("alter database {name} set timezone = '{zone}'")).await;
    world
}

const LOS_ANGELES: &str = "America/Los_Angeles";
const TOKYO: &str = "Asia/Tokyo";

#[tokio::test]
async fn a_poll_compares_updated_at_in_its_own_terms_whatever_its_type_and_zone() {
    for (column_type, zone, long_ago, now) in [
        ("timestamp", LOS_ANGELES, "localtimestamp - interval '9 days'", "localtimestamp"),
        ("timestamp", TOKYO, "localtimestamp - interval '9 days'", "localtimestamp"),
        ("timestamptz", LOS_ANGELES, "now() - interval '9 days'", "now()"),
        ("date", LOS_ANGELES, "current_date - 9", "current_date"),
        ("date", TOKYO, "current_date - 9", "current_date"),
        ("bigint", TOKYO, "0", "extract(epoch from now())"),
        ("bigint", LOS_ANGELES, "0", "1000 * extract(epoch from now())"),
        ("integer", TOKYO, "extract(epoch from now() - interval '9 days')", "extract(epoch from now())"),
        ("numeric", TOKYO, "0", "extract(epoch from now())"),
        ("double precision", TOKYO, "0", "1000 * extract(epoch from now())"),
    ] {
        let world = with_updated_at(column_type, zone, long_ago).await;
        let in_zone = async |statement: &str| {
            world.in_shop(&format!("set timezone = '{zone}'; {statement}")).await;
        };
        in_zone(&format!("update product set changed = {now} where id = 1")).await;
        world.poll().await;
        world.sync().await;
        // The first change of a product that was the last to change, and one of another.
        for (id, text) in [(1, "Once."), (2, "Twice.")] {
            in_zone(&format!("update product set description = '{text}', changed = {now} where id = {id}"))
                .await;
            world.poll().await;
            assert!(world.has(text).await, "{column_type} in {zone}: {text}");
        }
        // It is not a listing that sees it.
        world.in_shop("update product set description = 'Unseen.' where id = 3").await;
        world.poll().await;
        assert!(!world.has("Unseen.").await, "{column_type} in {zone}");
    }
}

#[tokio::test]
async fn a_change_of_the_hour_that_a_local_clock_repeats_is_seen() {
    let world = with_updated_at("timestamp", LOS_ANGELES, "'2026-10-01'").await;
    world.in_shop("update product set changed = '2026-11-01 01:59' where id = 1").await;
    world.poll().await;
    world.sync().await;
    // A minute later the clock shows an hour less.
    world
        .in_shop("update product set description = 'Later.', changed = '2026-11-01 01:00' where id = 2")
        .await;
    world.poll().await;
    assert!(world.has("Later.").await);
    world
        .in_shop("update product set description = 'Unseen.', changed = '2026-11-01 00:40' where id = 3")
        .await;
    world.poll().await;
    assert!(!world.has("Unseen.").await);
}

#[tokio::test]
async fn times_that_have_not_come_yet_neither_stop_a_poll_nor_hide_changes() {
    for (column_type, long_ago, now, wrong) in [
        ("timestamp", "now() - interval '9 days'", "now()", ["'infinity'", "now() + interval '2 days'"]),
        ("date", "current_date - 9", "current_date", ["'9999-12-31'", "current_date + 3"]),
        ("bigint", "1", "extract(epoch from now())", ["9223372036854775807", "4000000000"]),
        // Milliseconds among seconds.
        ("bigint", "1", "extract(epoch from now())", ["1000 * extract(epoch from now())", "9999999999"]),
        ("bigint", "1", "1000 * extract(epoch from now())", ["9000000000000", "0"]),
        ("numeric", "1", "extract(epoch from now())", ["'NaN'", "'Infinity'"]),
        ("double precision", "1", "extract(epoch from now())", ["'NaN'", "'Infinity'"]),
    ] {
        let world = with_updated_at(column_type, TOKYO, long_ago).await;
        for wrong in wrong {
            world.in_shop(&format!("update product set changed = {now} where id = 1")).await;
            world.in_shop(&format!("update product set changed = {wrong} where id = 3")).await;
            world.poll().await;
            world.sync().await;
            let text = format!("After {}.", wrong.replace('\'', ""));
            let change = format!("update product set description = '{text}', changed = {now} where id = 2");
            world.in_shop(&change).await;
            world.poll().await;
            assert!(world.has(&text).await, "{column_type}: {wrong}");
        }
    }
}

#[tokio::test]
async fn a_table_that_was_empty_or_of_nulls_is_polled_from_its_first_time_on() {
    for (column_type, now) in
        [("timestamp", "now()"), ("date", "current_date"), ("bigint", "extract(epoch from now())")]
    {
        let world = with_updated_at(column_type, TOKYO, "null").await;
        world.in_shop("create table kept as table product; truncate product").await;
        world.poll().await;
        world.drain().await;
        world.in_shop("insert into product table kept").await;
        world.poll().await;
        world.sync().await;
        let change = format!("update product set description = 'First.', changed = {now} where id = 2");
        world.in_shop(&change).await;
        world.poll().await;
        assert!(world.has("First.").await, "{column_type}");
    }
}

#[tokio::test]
async fn a_column_whose_type_changed_is_polled_after_a_full_comparison() {
    let world = with_updated_at("timestamp", TOKYO, "now()").await;
    world.poll().await;
    world.sync().await;
    let to_number = "alter table product alter changed drop default,
         alter changed type bigint using extract(epoch from changed)";
    world.in_shop(&format!("{to_number}; update product set description = 'Missed.' where id = 3")).await;
    world.poll().await;
    assert!(world.has("Missed.").await, "a listing saw it");
    world
        .in_shop("update product set description = 'Seen.', changed = extract(epoch from now()) where id = 2")
        .await;
    world.poll().await;
    assert!(world.has("Seen.").await);
}

#[tokio::test]
async fn a_column_that_tells_no_time_is_named_and_the_source_is_listed_all_the_same() {
    let world = with_updated_at("text", TOKYO, "'yesterday'").await;
    let expected = "it cannot be polled by updated_at: `changed` is of the type text";
    let doctor = world.run(&["doctor"]).await;
    assert!(crate::support::stdout(&doctor).contains(expected), "{}", crate::support::stdout(&doctor));
    let refused = watch(&world, std::time::Duration::from_secs(1)).look().await.unwrap_err().to_string();
    assert!(refused.contains(expected), "{refused}");
    assert_eq!(world.sync().await.added, 3);
}

#[tokio::test]
async fn a_shop_that_was_restored_is_compared_in_full() {
    let world = polled(SOURCE).await;
    execute(
        &world.url(),
        "update shopkeeper.source set poll_mark = jsonb_set(poll_mark, '{server}', '\"another\"')",
    )
    .await;
    world.in_shop("delete from product where id = 1").await;
    world.poll().await;
    assert_eq!(world.count("document").await, 2, "a listing sees what is gone, a poll does not");
    execute(
        &world.url(),
        "update shopkeeper.source set poll_mark = jsonb_set(poll_mark, '{at,transaction}', '99999999999')",
    )
    .await;
    world.in_shop("delete from product where id = 2").await;
    world.poll().await;
    assert_eq!(world.count("document").await, 1, "transactions that run backwards");
}

#[tokio::test]
async fn triggers_tell_of_inserts_updates_deletes_and_changed_keys_at_once() {
    let world = World::new().await;
    world.sync().await;
    world.install().await;
    world.in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1), (5, 'Rug', 'Lies.', 9, 1)").await;
    world
        .in_shop("update product set description = 'Wool.' where id = 1; delete from product where id = 3")
        .await;
    world.in_shop("update product set id = 20 where id = 2").await;
    world.hear().await;
    let expected =
        ["Shirt. Wool.", "Shirt XL. The same shirt for tall people.", "Lamp. Shines.", "Rug. Lies."];
    assert_eq!(world.contents().await, expected);
    let left: i64 = sqlx::query_scalar("select count(*) from shopkeeper_change.note")
        .fetch_one(&mut PgConnection::connect(&world.shop).await.unwrap())
        .await
        .unwrap();
    assert_eq!(left, 0, "what was read is forgotten");
}

#[tokio::test]
async fn a_renamed_key_embeds_nothing() {
    let world = World::new().await;
    world.sync().await;
    world.install().await;
    let before = world.script().requests(Operation::Embeddings);
    world.in_shop("update product set id = 20 where id = 2").await;
    world.hear().await;
    assert_eq!(world.count("document where key = '20'").await, 1);
    assert_eq!(world.script().requests(Operation::Embeddings), before);
}

#[tokio::test]
async fn a_plan_says_what_a_sync_would_do_and_does_nothing() {
    let world = World::new().await;
    let planned = async || {
        let output = world.run(&["plan", "--json"]).await;
        assert!(output.status.success(), "{}", crate::support::stderr(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let first = planned().await;
    assert_eq!(
        (first["added"].as_u64(), first["chunks"].as_u64(), first["cached_chunks"].as_u64()),
        (Some(3), Some(3), Some(0))
    );
    assert!(first["tokens"].as_u64() > Some(20) && first["cost_usd"].as_f64() > Some(0.02), "{first}");
    assert_eq!((world.count("document").await, world.script().requests(Operation::Embeddings)), (0, 0));
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
    let world = World::new().await;
    world.sync().await;
    let describe = async |text: &str| {
        world.in_shop(&format!("update product set description = '{text}' where id = 3")).await;
        world.sync().await;
        world.script().requests(Operation::Embeddings)
    };
    let first = describe("One.").await;
    assert_eq!(describe("Two.").await, first + 1);
    assert_eq!(describe("One.").await, first + 1, "it is remembered");
    assert_eq!(world.count("embedding_cache").await, 3);
    assert_eq!(world.store.prune_cache(1).await.unwrap(), 2);
    assert_eq!(world.store.prune_cache(1).await.unwrap(), 0);
    assert_eq!(describe("Two.").await, first + 1, "the youngest is kept");
    assert_eq!(world.store.prune_cache(0).await.unwrap(), 2);
    world.in_shop("delete from product where id = 3").await;
    world.sync().await;
    assert_eq!(world.store.prune_cache(0).await.unwrap(), 1, "what is removed is remembered too");
}

#[tokio::test]
async fn a_change_of_price_is_not_noted_and_one_of_the_condition_is() {
    let world = World::with(SHOP, &(SOURCE.to_owned() + "where = \"stock > 0\"\n")).await;
    world.sync().await;
    world.install().await;
    world
        .in_shop("update product set price = price + 1; update product set stock = stock where id = 1")
        .await;
    let mut shop = PgConnection::connect(&world.shop).await.unwrap();
    let notes = "select count(*) from shopkeeper_change.note";
    assert_eq!(sqlx::query_scalar::<_, i64>(notes).fetch_one(&mut shop).await.unwrap(), 0);
    world.in_shop("update product set stock = 0 where id = 1").await;
    world.hear().await;
    assert_eq!(world.count("document").await, 2, "what the condition no longer lets through is gone");
}

#[tokio::test]
async fn a_renamed_category_refreshes_the_products_in_it() {
    let shop = SHOP.to_owned()
        + "create table category (id int primary key, label text, json json);
           insert into category values (1, 'Clothes', '{}'), (2, 'Kitchen', '{}');
           alter table product add category_id int;
           update product set category_id = case when id = 3 then 2 else 1 end;";
    let source = SOURCE
        .replace(
            "table = \"product\"",
            "query = \"select product.*, label from product join category on category.id = category_id\"",
        )
        .replace("{{ description }}", "{{ description }} {{ label }}")
        + r#"
[[source.related]]
table = "product"
keys = "select row_.id"
[[source.related]]
table = "category"
columns = ["label", "json"]
keys = "select product.id from product where category_id = row_.id"
"#;
    let world = World::with(&shop, &source).await;
    world.sync().await;
    world.install().await;
    world.in_shop("update category set label = 'Clothing' where id = 1").await;
    world.hear().await;
    assert_eq!(world.contents().await.iter().filter(|content| content.contains("Clothing")).count(), 2);
}

#[tokio::test]
async fn a_temporary_view_of_whoever_writes_to_a_table_is_not_run_as_the_installer() {
    let shop = SHOP.to_owned()
        + "create table category (id int primary key, label text); insert into category values (1, 'Clothes');
           alter table product add category_id int default 1;";
    let source = SOURCE.replace("table = \"product\"", "query = \"select * from product\"")
        + "[[source.related]]\ntable = \"category\"\nkeys = \"select id from product where category_id = row_.id\"\n";
    let world = World::with(&shop, &source).await;
    // Also where the installer named them first.
    for path in ["\"$user\", public", "pg_temp, public"] {
        let name = world.shop.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        world.in_shop(&format!("alter database {name} set search_path = {path}")).await;
        let parts = shopkeeper::daemon::prepare(&world.config, &world.store).await.unwrap();
        let (_, source) = parts.postgres_sources().next().unwrap();
        source.install_triggers().await.unwrap();
        assert_eq!(source.trigger_status().await.unwrap()[0].state, "installed");
        world
            .in_shop(
                "do $$ begin create role clerk; exception when duplicate_object then null; end $$;
                 grant select, update on category to clerk;
                 set role clerk;
                 create function pg_temp.caught() returns int language plpgsql as
                     $$ begin raise exception 'it ran as %', current_user; end $$;
                 create temporary view product as select pg_temp.caught() as id, 1 as category_id;
                 update category set label = label || '!';
                 drop view pg_temp.product",
            )
            .await;
    }
    let notes: i64 = sqlx::query_scalar("select count(distinct key) from shopkeeper_change.note")
        .fetch_one(&mut PgConnection::connect(&world.shop).await.unwrap())
        .await
        .unwrap();
    assert_eq!(notes, 3, "the shop's own table was read");
}

#[tokio::test]
async fn a_truncated_table_is_compared_in_full_and_the_guard_holds() {
    let world = World::new().await;
    world.sync().await;
    world.install().await;
    world.in_shop("truncate product").await;
    world.hear().await;
    // Three documents are too few for the guard.
    assert_eq!(world.count("document").await, 0);
}

#[tokio::test]
async fn an_open_transaction_of_the_shop_holds_nobody_up() {
    let world = World::new().await;
    world.sync().await;
    world.install().await;
    let mut open = PgConnection::connect(&world.shop).await.unwrap();
    sqlx::raw_sql("begin; update product set description = 'Open.' where id = 1")
        .execute(&mut open)
        .await
        .unwrap();
    world.in_shop("update product set description = 'Done.' where id = 2").await;
    world.hear().await;
    assert!(world.has("Done.").await && !world.has("Open.").await);
    // Nor we the shop: the same row's notes are read while its transaction goes on.
    sqlx::raw_sql("update product set description = 'Open still.' where id = 1; commit")
        .execute(&mut open)
        .await
        .unwrap();
    world.hear().await;
    assert!(world.has("Open still.").await);
}

#[tokio::test]
async fn triggers_are_shown_outdated_when_the_settings_changed_and_gone_when_removed() {
    let world = World::new().await;
    let states = async |world: &World| -> Vec<&'static str> {
        let status: Vec<TriggerStatus> = world.source().trigger_status().await.unwrap();
        status.into_iter().map(|status| status.state).collect()
    };
    assert_eq!(states(&world).await, ["missing"]);
    world.install().await;
    world.install().await;
    assert_eq!(states(&world).await, ["installed"]);
    world.in_shop("comment on trigger shopkeeper_product_0_truncate on product is 'shopkeeper of old'").await;
    assert_eq!(states(&world).await, ["outdated"]);
    world.source().remove_triggers().await.unwrap();
    assert_eq!(states(&world).await, ["missing"]);
    world.in_shop("update product set description = 'No one notes it.'").await;
}

#[tokio::test]
async fn keys_are_noted_as_they_are_listed_whatever_their_type() {
    for (key_type, keys) in [
        ("char(5)", ["a", "b"]),
        ("padded", ["a", "b"]),
        ("boolean", ["true", "false"]),
        ("numeric(4, 2)", ["1.50", "2.00"]),
    ] {
        let shop = format!(
            "create domain padded as char(5);
             create table product (id {key_type}, name text, description text, price numeric, stock int);
             insert into product select key, 'Name', 'Text ' || key, 1, 1
             from unnest(array['{}', '{}']::{key_type}[]) as key",
            keys[0], keys[1]
        );
        let world = World::with(&shop, SOURCE).await;
        world.sync().await;
        world.install().await;
        world.in_shop(&format!("delete from product where id = '{}'", keys[0])).await;
        world.in_shop(&format!("update product set description = 'Heard.' where id = '{}'", keys[1])).await;
        world.hear().await;
        let indexed = world.contents().await;
        assert!(indexed[0].contains("Heard."), "{key_type}: {indexed:?}");
        let gone = world.count(&format!("document where key = '{}'", keys[0])).await;
        assert_eq!(gone, 0, "{key_type}");
    }
}

#[tokio::test]
async fn a_partitioned_table_notes_what_changes_in_its_partitions() {
    let shop = SHOP.replace("id integer primary key", "id integer").replace(
        ");\ninsert",
        ") partition by range (id);
         create table low partition of product for values from (0) to (2);
         create table high partition of product for values from (2) to (100) partition by range (id);
         create table high_of_high partition of high for values from (2) to (100);
         insert",
    );
    let world = World::with(&shop, SOURCE).await;
    world.sync().await;
    world.install().await;
    world
        .in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1); delete from product where id = 3")
        .await;
    world.in_shop("update product set description = 'Low.' where id = 1").await;
    world.in_shop("update product set description = 'High.' where id = 2").await;
    world.in_shop("update product set id = 20 where id = 2").await;
    world.hear().await;
    let expected = ["Shirt. Low.", "Shirt XL. High.", "Lamp. Shines."];
    assert_eq!(world.contents().await, expected);
}

#[tokio::test]
async fn a_table_that_is_renamed_or_restored_from_a_dump_goes_on_noting() {
    let world = World::new().await;
    world.install().await;
    let notes = async |world: &World| -> i64 {
        let mut shop = PgConnection::connect(&world.shop).await.unwrap();
        sqlx::query_scalar("select count(*) from shopkeeper_change.note").fetch_one(&mut shop).await.unwrap()
    };
    world
        .in_shop(
            "alter table product rename to item; update item set description = 'Renamed.' where id = 1;
             alter table item rename to product",
        )
        .await;
    assert_eq!(notes(&world).await, 1);
    // A restore makes the table with another OID, and the functions as they were.
    world
        .in_shop(
            "do $$ declare definitions text[] := array(
                 select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'product'::regclass and not tgisinternal
             ); definition text;
             begin
                 create table restored (like product including all);
                 insert into restored select * from product;
                 drop table product;
                 alter table restored rename to product;
                 foreach definition in array definitions loop execute definition; end loop;
             end $$",
        )
        .await;
    world.in_shop("update product set description = 'Restored.' where id = 1").await;
    world.in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1); truncate product").await;
    assert_eq!(notes(&world).await, 4);
}

#[tokio::test]
async fn one_daemon_watches_a_source_and_another_takes_over_when_it_is_gone() {
    let world = World::new().await;
    world.sync().await;
    let minute = std::time::Duration::from_mins(1);
    assert!(world.store.watch("product", "one", minute).await.unwrap().is_some());
    assert!(world.store.watch("product", "other", minute).await.unwrap().is_none());
    execute(&world.url(), "update shopkeeper.source set watch_until = now()").await;
    assert!(world.store.watch("product", "other", minute).await.unwrap().is_some());
    assert!(world.store.watch("product", "one", minute).await.unwrap().is_none());
}

#[tokio::test]
async fn one_document_is_refreshed_by_sql_also_one_that_is_new_or_gone() {
    let world = World::new().await;
    world.sync().await;
    world
        .in_shop("update product set description = 'Told.' where id = 1; delete from product where id = 2")
        .await;
    world.in_shop("insert into product values (9, 'Lamp', 'Shines.', 9, 1)").await;
    let ours = "select shopkeeper.refresh('product', key) from unnest(array['1', '2', '9', 'never']) as key";
    execute(&world.url(), ours).await;
    world.drain().await;
    let expected = ["Shirt. Told.", "Kettle. Steel kettle that holds two litres.", "Lamp. Shines."];
    assert_eq!(world.contents().await, expected);
    assert_eq!(world.sync().await.removed, 0);
    let wrong = sqlx::query("select shopkeeper.refresh('nothing', '1')").execute(&world.ours).await;
    assert!(wrong.unwrap_err().to_string().contains("there is no source \"nothing\""));
}

#[tokio::test]
async fn nothing_is_open_in_the_shop_while_what_it_listed_is_written() {
    let world = World::new().await;
    let open = async || -> i64 {
        let open = "select count(*) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null";
        sqlx::query_scalar(open)
            .fetch_one(&mut PgConnection::connect(&world.shop).await.unwrap())
            .await
            .unwrap()
    };
    let source = world.source();
    let mut listing = source.list();
    assert_eq!(listing.next().await.unwrap().unwrap().key, "1");
    assert_eq!(open().await, 0, "a listing");
    let now = source.mark().await.unwrap().unwrap();
    let mut changed = source.changed(&Mark { at: MarkAt::Transaction(3), ..now });
    assert_eq!(changed.next().await.unwrap().unwrap().key, "1");
    assert_eq!(open().await, 0, "a poll");
    assert_eq!((listing.count().await, changed.count().await), (2, 2), "and nothing of it is lost");
}

/// A connection that keeps everybody from noting documents, and a world with these many notes to be drained.
async fn held_up(notes: u32) -> (World, PgConnection) {
    let world = World::new().await;
    world.sync().await;
    world.install().await;
    world.in_shop("update product set description = 'Noted.'").await;
    world
        .in_shop(&format!(
            "insert into shopkeeper_change.note (source, key)
             select 'product', (n % 3 + 1)::text from generate_series(1, {notes}) as n"
        ))
        .await;
    let mut lock = PgConnection::connect(&world.url()).await.unwrap();
    sqlx::raw_sql("begin; lock table shopkeeper.document in exclusive mode")
        .execute(&mut lock)
        .await
        .unwrap();
    (world, lock)
}

async fn notes(world: &World) -> i64 {
    let mut shop = PgConnection::connect(&world.shop).await.unwrap();
    sqlx::query_scalar("select count(*) from shopkeeper_change.note").fetch_one(&mut shop).await.unwrap()
}

const WAITS: &str =
    "exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";

#[tokio::test]
async fn a_stop_ends_the_draining_of_notes_at_once_and_the_next_daemon_goes_on() {
    let (world, mut lock) = held_up(5000).await;
    let (stop, watch) =
        (tokio_util::sync::CancellationToken::new(), watch(&world, std::time::Duration::ZERO));
    let (stopped, stopping) = (stop.clone(), async {
        world.until("the first batch waits", WAITS).await;
        stop.cancel();
    });
    let ended = async { tokio::join!(watch.run(&stopped), stopping) };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("it goes on");
    assert_eq!(notes(&world).await, 5003, "what was not noted is not forgotten");
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    world.hear().await;
    assert_eq!(notes(&world).await, 0);
    assert_eq!(world.contents().await.iter().filter(|content| content.contains("Noted.")).count(), 3);
}

#[tokio::test]
async fn a_daemon_that_drains_for_long_keeps_its_watch_and_leaves_when_it_is_lost() {
    let (world, mut lock) = held_up(5000).await;
    let one = watch(&world, std::time::Duration::ZERO);
    let other = WatchCatalogue { watcher: "other".to_owned(), ..watch(&world, std::time::Duration::ZERO) };
    let watching = async {
        world.until("the first batch waits", WAITS).await;
        execute(&world.url(), "create table watched as select watch_until from shopkeeper.source").await;
        let is_renewed = "(select watch_until from shopkeeper.source) > (select watch_until from watched)";
        world.until("the watch is renewed", is_renewed).await;
        other.look().await.unwrap();
        assert_eq!(notes(&world).await, 5003, "it is not its turn");
        // As after a pause of the process that was longer than the watch.
        let to_other =
            "update shopkeeper.source set watcher = 'other', watch_until = now() + interval '1 hour'";
        execute(&world.url(), to_other).await;
    };
    let ended = async { tokio::join!(one.look(), watching).0 };
    tokio::time::timeout(std::time::Duration::from_secs(25), ended).await.expect("it goes on").unwrap();
    assert_eq!(notes(&world).await, 5003);
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    one.look().await.unwrap();
    assert_eq!(notes(&world).await, 5003, "it is not its turn any more");
    other.look().await.unwrap();
    assert_eq!(notes(&world).await, 0);
}
