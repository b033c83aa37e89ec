//! Triggers that note changes between two listings. Each case breaks a naive implementation.

use crate::prelude::*;
use shopkeeper::source::postgres::triggers::TriggerState;

#[tokio::test]
async fn triggers_tell_of_inserts_updates_deletes_and_changed_keys_at_once() {
    let world = World::noting().await;
    world.in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1), (5, 'Rug', 'Lies.', 9, 1)").await;
    world.describe(1, "Wool.").await;
    world.in_shop("delete from product where id = 3").await;
    world.hear_after(world.in_shop("update product set id = 20 where id = 2")).await;
    let expected =
        ["Shirt. Wool.", "Shirt XL. The same shirt for tall people.", "Lamp. Shines.", "Rug. Lies."];
    assert_eq!(world.contents().await, expected);
    assert_eq!(world.notes().await, 0, "what was read is forgotten");
}

#[tokio::test]
async fn a_change_of_price_is_not_noted_and_one_of_the_condition_is() {
    let world = World::synced_with(SHOP, &(SOURCE.to_owned() + "where = \"stock > 0\"\n")).await;
    world.install().await;
    world.in_shop("update product set price = price + 1").await;
    world.in_shop("update product set stock = stock where id = 1").await;
    assert_eq!(world.notes().await, 0);
    world.hear_after(world.in_shop("update product set stock = 0 where id = 1")).await;
    assert_eq!(world.count("document").await, 2, "what the condition no longer lets through is gone");
}

/// A shop whose products are in categories, and a query that joins the two by this condition.
pub(crate) fn with_categories(condition: &str) -> (String, String) {
    let shop = SHOP.to_owned()
        + "create table category (id int primary key, label text, json json);
           insert into category values (1, 'Clothes', '{}'), (2, 'Kitchen', '{}');
           alter table product add category_id int;
           update product set category_id = case when id = 3 then 2 else 1 end;";
    let query = format!(
        "query = \"select product.*, label from product join category on category.id = {condition}\""
    );
    let source = SOURCE
        .replace("table = \"product\"", &query)
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
    (shop, source)
}

#[tokio::test]
async fn a_renamed_category_refreshes_the_products_in_it() {
    let (shop, source) = with_categories("category_id");
    let world = World::synced_with(&shop, &source).await;
    world.install().await;
    world.hear_after(world.in_shop("update category set label = 'Clothing' where id = 1")).await;
    assert_eq!(world.chunks_with("Clothing").await, 2);
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
        let name = database_name(&world.shop);
        world.in_shop(&format!("alter database {name} set search_path = {path}")).await;
        let parts = daemon::prepare(&world.config, &world.store).await.unwrap();
        let (_, source) = parts.postgres_sources().next().unwrap();
        source.install_triggers().await.unwrap();
        assert_eq!(source.trigger_status().await.unwrap()[0].state, TriggerState::Installed);
        let write = "do $$ begin create role clerk; exception when duplicate_object then null; end $$;
             grant select, update on category to clerk;
             set role clerk;
             create function pg_temp.caught() returns int language plpgsql as
                 $$ begin raise exception 'it ran as %', current_user; end $$;
             create temporary view product as select pg_temp.caught() as id, 1 as category_id;
             update category set label = label || '!';
             drop view pg_temp.product";
        world.in_shop(write).await;
    }
    let noted: i64 = world.shop_value("select count(distinct key) from shopkeeper_change.note").await;
    assert_eq!(noted, 3, "the shop's own table was read");
}

#[tokio::test]
async fn a_truncated_table_is_compared_in_full_and_the_guard_holds() {
    let world = World::noting().await;
    world.hear_after(world.in_shop("truncate product")).await;
    // Three documents are too few for the guard.
    assert_eq!(world.count("document").await, 0);
}

#[tokio::test]
async fn an_open_transaction_of_the_shop_holds_nobody_up() {
    let world = World::noting().await;
    let mut open = PgConnection::connect(&world.shop).await.unwrap();
    let begin = "begin; update product set description = 'Open.' where id = 1";
    sqlx::raw_sql(begin).execute(&mut open).await.unwrap();
    world.hear_after(world.describe(2, "Done.")).await;
    assert!(world.has("Done.").await && !world.has("Open.").await);
    // Nor do we hold up the shop: the same row's notes are read while its transaction is open.
    let commit = "update product set description = 'Open still.' where id = 1; commit";
    sqlx::raw_sql(commit).execute(&mut open).await.unwrap();
    world.hear().await;
    assert!(world.has("Open still.").await);
}

#[tokio::test]
async fn triggers_are_shown_outdated_when_the_settings_changed_and_gone_when_removed() {
    let world = World::new().await;
    let states = async |world: &World| -> Vec<TriggerState> {
        world.source().trigger_status().await.unwrap().into_iter().map(|status| status.state).collect()
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
    for (key_type, [gone, changed]) in [
        ("char(5)", ["a", "b"]),
        ("padded", ["a", "b"]),
        ("boolean", ["true", "false"]),
        ("numeric(4, 2)", ["1.50", "2.00"]),
    ] {
        let shop = format!(
            "create domain padded as char(5);
             create table product (id {key_type}, name text, description text, price numeric, stock int);
             insert into product select key, 'Name', 'Text ' || key, 1, 1
             from unnest(array['{gone}', '{changed}']::{key_type}[]) as key"
        );
        let world = World::synced_with(&shop, SOURCE).await;
        world.install().await;
        world.in_shop(&format!("delete from product where id = '{gone}'")).await;
        let change = format!("update product set description = 'Heard.' where id = '{changed}'");
        world.hear_after(world.in_shop(&change)).await;
        assert!(world.has("Heard.").await, "{key_type}");
        assert_eq!(world.count(&format!("document where key = '{gone}'")).await, 0, "{key_type}");
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
    let world = World::synced_with(&shop, SOURCE).await;
    world.install().await;
    world.in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1)").await;
    world.in_shop("delete from product where id = 3").await;
    world.describe(1, "Low.").await;
    world.describe(2, "High.").await;
    world.hear_after(world.in_shop("update product set id = 20 where id = 2")).await;
    assert_eq!(world.contents().await, ["Shirt. Low.", "Shirt XL. High.", "Lamp. Shines."]);
}

#[tokio::test]
async fn a_table_that_is_renamed_or_restored_from_a_dump_goes_on_noting() {
    let world = World::new().await;
    world.install().await;
    let rename = "alter table product rename to item; update item set description = 'Renamed.' where id = 1;
         alter table item rename to product";
    world.in_shop(rename).await;
    assert_eq!(world.notes().await, 1);
    // A restore makes the table with another OID, and the functions as they were.
    let restore = "do $$ declare definitions text[] := array(
             select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'product'::regclass and not tgisinternal
         ); definition text;
         begin
             create table restored (like product including all);
             insert into restored select * from product;
             drop table product;
             alter table restored rename to product;
             foreach definition in array definitions loop execute definition; end loop;
         end $$";
    world.in_shop(restore).await;
    world.describe(1, "Restored.").await;
    world.in_shop("insert into product values (4, 'Lamp', 'Shines.', 9, 1); truncate product").await;
    assert_eq!(world.notes().await, 4);
    // Renamed after that, it cannot be told from another table; the shop's writes go on.
    world.in_shop("alter table product rename to item").await;
    world.in_shop("insert into item values (5, 'Mug', 'Holds.', 9, 1)").await;
    assert_eq!(world.notes().await, 4);
}
