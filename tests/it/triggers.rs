//! Triggers that note changes between two listings. Each trap is one that a naive way falls into.

use crate::prelude::*;
use shopkeeper::source::postgres::triggers::{TriggerState, TriggerStatus};

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
        let parts = daemon::prepare(&world.config, &world.store).await.unwrap();
        let (_, source) = parts.postgres_sources().next().unwrap();
        source.install_triggers().await.unwrap();
        assert_eq!(source.trigger_status().await.unwrap()[0].state, TriggerState::Installed);
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
    world.describe(2, "Done.").await;
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
    let states = async |world: &World| -> Vec<TriggerState> {
        let status: Vec<TriggerStatus> = world.source().trigger_status().await.unwrap();
        status.into_iter().map(|status| status.state).collect()
    };
    assert_eq!(states(&world).await, [TriggerState::Missing]);
    world.install().await;
    world.install().await;
    assert_eq!(states(&world).await, [TriggerState::Installed]);
    world.in_shop("comment on trigger shopkeeper_product_0_truncate on product is 'shopkeeper of old'").await;
    assert_eq!(states(&world).await, [TriggerState::Outdated]);
    world.source().remove_triggers().await.unwrap();
    assert_eq!(states(&world).await, [TriggerState::Missing]);
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
    world.describe(1, "Low.").await;
    world.describe(2, "High.").await;
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
    world.describe(1, "Restored.").await;
    world.in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1); truncate product").await;
    assert_eq!(notes(&world).await, 4);
    // Renamed after that, it cannot be told from another table; the shop's writes go on.
    world
        .in_shop("alter table product rename to item; insert into item values (5, 'Mug', 'Holds.', 9, 1)")
        .await;
    assert_eq!(notes(&world).await, 4);
}
