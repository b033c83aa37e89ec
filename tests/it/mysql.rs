//! Sources in MariaDB: what is read, and which changes are seen.

use sqlx::{Executor, MySqlConnection};

use crate::{mariadb, prelude::*};

const SHOP: &str = "create table product (
        id int primary key, name varchar(200), description text, price decimal(10, 2), stock int,
        updated_at timestamp(6) not null default current_timestamp(6) on update current_timestamp(6)
    );
    insert into product (id, name, description, price, stock) values
        (1, 'Shirt', 'Cotton shirt with long sleeves.', 29.90, 5), (2, 'Shirt XL', 'The same for tall people.', 31.90, 2),
        (10, 'Kettle', 'Steel kettle that holds two litres.', 45.00, 9)";
const SOURCE: &str = r#"
[[source]]
name = "product"
kind = "mysql"
url = { file = "mysql.url" }
table = "product"
key = "id"
title = "{{ name }}"
text = "{{ name }}. {{ description }}"
metadata = ["price", "stock"]
updated_at = "updated_at"
"#;

#[tokio::test]
async fn a_shop_is_listed_read_and_followed() {
    let Some((world, shop)) = mariadb::world(SHOP, SOURCE).await else { return };
    assert_eq!(world.sync().await.added, 3);
    assert_eq!(
        world.text("select string_agg(key, ' ' order by key) from shopkeeper.document").await,
        "1 10 2"
    );
    let price = "select metadata ->> 'price' from shopkeeper.document where key = '10'";
    assert_eq!(world.text(price).await, "45.00");
    assert_eq!(world.sync().await.unchanged, 3);
    let before = world.embedding_requests();
    mariadb::run(&shop, "update product set price = 39.00 where id = 10; delete from product where id = 2")
        .await;
    let report = world.sync().await;
    assert_eq!((report.changed, report.removed, report.unchanged), (1, 1, 1));
    assert_eq!((world.text(price).await.as_str(), world.embedding_requests()), ("39.00", before));
    for nobody in ["2", "1x", "'01'", "x"] {
        world.run_ok(&format!("refresh product {nobody}")).await;
    }
    world.drain().await;
    assert_eq!(world.count("document").await, 2);
}

#[tokio::test]
async fn a_poll_sees_late_commits_and_equal_times_and_a_listing_what_updated_at_hides() {
    let Some((world, shop)) = mariadb::world(SHOP, SOURCE).await else { return };
    mariadb::run(&shop, "update product set updated_at = '2020-01-01'").await;
    world.sync().await;
    world.poll().await;
    world.sync().await;
    let mut late = MySqlConnection::connect(&shop).await.unwrap();
    late.execute("start transaction").await.unwrap();
    late.execute("update product set description = 'Late.' where id = 1").await.unwrap();
    mariadb::run(&shop, "update product set description = 'Soon.' where id = 2").await;
    world.poll().await;
    assert!(world.has("Soon.").await && !world.has("Late.").await);
    late.execute("commit").await.unwrap();
    world.poll().await;
    assert!(world.has("Late.").await);
    mariadb::run(&shop, "update product set description = 'Hidden.', updated_at = updated_at where id = 10")
        .await;
    world.poll().await;
    assert!(!world.has("Hidden.").await);
    assert_eq!(world.sync().await.changed, 1);
    assert!(world.has("Hidden.").await);
}

#[tokio::test]
async fn updated_at_may_be_of_any_type_that_is_a_time() {
    for (column_type, now, is_time) in [
        ("timestamp null", "now()", true),
        ("datetime", "utc_timestamp() - interval 8 hour", true),
        ("date", "current_date", true),
        ("bigint", "unix_timestamp()", true),
        ("bigint unsigned", "unix_timestamp() * 1000", true),
        ("varchar(20)", "now()", false),
    ] {
        let table = SHOP.split("updated_at").next().unwrap().to_owned()
            + &format!("updated_at {column_type});")
            + SHOP.split(");").nth(1).unwrap();
        let Some((world, shop)) = mariadb::world(&table, SOURCE).await else { return };
        mariadb::run(&shop, &format!("update product set updated_at = {now}")).await;
        world.sync().await;
        if !is_time {
            world.run_failing("doctor", 1, "").await;
            continue;
        }
        world.poll().await;
        world.sync().await;
        let change = "update product set description = 'Changed.', updated_at = {now} where id = 1";
        mariadb::run(&shop, &change.replace("{now}", now)).await;
        world.poll().await;
        assert!(world.has("Changed.").await, "{column_type}");
    }
}

#[tokio::test]
async fn a_shop_that_suddenly_lists_nothing_keeps_its_index() {
    let many = format!(
        "{SHOP}; insert into product (id, name, description, price, stock)
         with recursive n (n) as (select 100 union all select n + 1 from n where n < 200)
         select n, concat('Mug ', n), 'A mug.', 1, 1 from n"
    );
    let Some((world, shop)) = mariadb::world(&many, SOURCE).await else { return };
    world.sync().await;
    mariadb::run(&shop, "truncate product").await;
    assert!(matches!(world.try_sync().await, Err(SyncError::MassDelete { .. })));
    mariadb::run(&shop, "drop table product").await;
    let error = world.try_sync().await.unwrap_err().to_string();
    assert_contains(error, "doesn't exist");
    world.drain().await;
    assert_eq!(world.count("document").await, 104);
}

#[tokio::test]
async fn values_of_every_type_are_read_as_the_shop_writes_them() {
    let shop = "create table product (
            id binary(2) primary key, name varchar(50) character set latin1, description mediumtext, price decimal(12, 4),
            stock bit(8), extra json, size enum('S', 'M'), born date, sku varchar(20) collate utf8mb4_bin, weight double
        ) character set utf8mb4;
        insert into product values
            (x'01ff', 'Tür', 'a\\0b', 89.0000, b'101', '{\"de\": {\"n\": 1.50}}', 'M', '2024-02-29', 'A1', 0.1),
            (x'00', null, '🫖', null, null, null, null, null, 'a1', null)";
    let source = r#"
[[source]]
name = "product"
kind = "mysql"
url = { file = "mysql.url" }
table = "product"
key = "id"
sku = "sku"
title = "{{ name or 'x' }}"
text = "{{ description }} {{ price }} {{ stock }} {{ extra.de.n }} {{ size }} {{ born }} {{ weight }}"
metadata = ["price", "extra"]
"#;
    let Some((world, _)) = mariadb::world(shop, source).await else { return };
    world.sync().await;
    let rows =
        "select string_agg(key || ' ' || sku || ' ' || title, ',' order by key) from shopkeeper.document";
    assert_eq!(world.text(rows).await, "0000 a1 x,01ff A1 Tür");
    assert_eq!(world.contents().await, ["🫖", "a\u{fffd}b 89.0000 5 1.50 M 2024-02-29 0.1"]);
    let metadata = "select metadata::text from shopkeeper.document where key = '01ff'";
    assert_eq!(world.text(metadata).await, r#"{"extra": {"de": {"n": 1.50}}, "price": 89.0000}"#);
    world.run_ok("refresh product 01ff").await;
    world.run_ok("refresh product 'no hex'").await;
    world.drain().await;
    assert_eq!(world.count("document").await, 2);
}

#[tokio::test]
async fn keys_are_compared_by_their_bytes_and_may_have_several_columns() {
    let shop = "create table product (store int, sku varchar(20), name text, description text, primary key (store, sku));
        insert into product values (1, 'a/1', 'Mug', 'Clay.'), (1, 'B', 'Pot', 'Steel.'), (1, 'b ', 'Pan', 'Iron.'),
            (10, 'ä', 'Tür', 'Holz.'), (2, 'Z', 'Zelt', 'Stoff.')"
        .replace("sku varchar(20)", "sku varchar(20) character set latin1 collate latin1_bin");
    let source = SOURCE
        .replace("key = \"id\"", "key = [\"store\", \"sku\"]")
        .replace("metadata = [\"price\", \"stock\"]\nupdated_at = \"updated_at\"\n", "");
    let Some((world, _)) = mariadb::world(&shop, &source).await else { return };
    assert_eq!(world.sync().await.added, 5);
    let keys =
        world.text("select string_agg(key, ',' order by key collate \"C\") from shopkeeper.document").await;
    assert_eq!(keys, "1/B,1/a%2F1,1/b ,10/ä,2/Z");
    assert_eq!(world.fresh().await, 5);
    world.run_ok("refresh product 1/茶").await;
    world.drain().await;
    assert_eq!(world.sync_with(FULL).await.unchanged, 5);
    world.drain().await;
    assert_eq!((world.count("document").await, world.fresh().await), (5, 5));
}

#[tokio::test]
async fn a_key_whose_type_changes_loses_no_document() {
    let Some((world, shop)) = mariadb::world(SHOP, SOURCE).await else { return };
    world.sync().await;
    mariadb::run(
        &shop,
        "alter table product modify id varchar(32); insert into product (id, name, description, price, stock)
        values ('abc-1', 'Pot', 'New.', 1, 1)",
    )
    .await;
    // This process has seen the old type alone.
    world.run_ok("refresh product abc-1").await;
    world.drain().await;
    assert!(world.has("New.").await);
    assert_eq!(world.sync().await.removed, 0);
    mariadb::run(&shop, "alter table product drop column stock").await;
    let error = world.try_sync().await.unwrap_err().to_string();
    assert_contains(
        error,
        "metadata names the column `stock`, but the source's columns are: id, name, description, price",
    );
    world.drain().await;
    assert_eq!(world.fresh().await, 4);
}

/// What a random shop does next.
fn change(random: u32) -> String {
    let id = random % 40;
    match random / 40 % 6 {
        0 => format!("delete from product where id = {id}"),
        1 => format!("update product set price = price + 1 where id = {id}"),
        2 => format!("update product set id = id + 100 where id = {id} and id < 100"),
        3 => "start transaction; update product set name = 'Gone'; rollback".to_owned(),
        4 => format!(
            "update product set description = concat(description, ' More {random}.'), updated_at = updated_at where id = {id}"
        ),
        _ => format!(
            "replace into product (id, name, description, price, stock) values ({id}, 'Thing {id}', 'It is {random}.', {id}, 1)"
        ),
    }
}

#[tokio::test]
async fn once_quiet_the_index_equals_a_fresh_build_whatever_happened() {
    let Some((world, shop)) = mariadb::world(SHOP, SOURCE).await else { return };
    for round in 0..10 * chaos_rounds() {
        for _ in 0..rand::random_range(1..8_u32) {
            mariadb::run(&shop, &change(rand::random_range(0..240))).await;
        }
        match round % 5 {
            0 => {
                // The shop's server ends every session of ours.
                let sessions = "select concat('kill ', id) from information_schema.processlist where id <> connection_id()
                    and db = database()";
                let mut killer = MySqlConnection::connect(&shop).await.unwrap();
                let kills: Vec<String> = sqlx::query_scalar(sessions).fetch_all(&mut killer).await.unwrap();
                let syncing = world.try_sync();
                let killing = async {
                    for kill in kills {
                        let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(kill)).execute(&mut killer).await;
                    }
                };
                let _ = tokio::join!(syncing, killing);
            }
            1 => world.script().queue(Operation::Embeddings, [Fault::CutConnection]),
            2 => {
                // A restart: another process reads the shop anew.
                world.run_ok("sync --wait --allow-mass-delete").await;
            }
            3 => world.poll().await,
            _ => _ = world.try_sync().await,
        }
    }
    world.script().reset();
    world.sync_with(MASS_DELETE).await;
    world.hurry().await;
    world.drain().await;
    let built = mariadb::world("select 1", SOURCE).await.unwrap().0;
    built.write("mysql.url", &shop);
    built.run_ok("sync --wait").await;
    assert_eq!(world.index().await, built.index().await);
}
