//! Rows become documents: rows that cannot, rows that are one document, keys of several columns, any column's name.

use crate::{
    feed::{with_file, write},
    prelude::*,
};

/// A feed of many good rows, and these.
fn among_good(rows: &str) -> String {
    let good: String = (100..200).map(|n| format!("k{n},Mug {n},A mug.,1.00\n")).collect();
    format!("sku,name,description,price\n{good}{rows}")
}

#[tokio::test]
async fn bad_rows_of_a_feed_are_set_aside_and_told_and_their_documents_stay() {
    let world =
        with_file("csv", &among_good("m1,Mug,A mug of clay.,9.90\nm2,Kettle,Of steel.,45.00\n")).await;
    world.sync().await;
    let bad = format!(
        "m1,Mug\nm2,Kettle,Of glass.,45.00\nm2,Kettle,Again.,1\n,No key,x,1\nk\0ey,NUL,x,1\n{},Long key,x,1\n",
        "k".repeat(6000)
    );
    write(&world, &among_good(&bad));
    let synced = world.run_json("sync --wait").await;
    assert_fields(&synced, json!({ "set_aside": 5, "failed": 0, "removed": 0, "changed": 1, "listed": 101 }));
    let reasons: Vec<_> = synced["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["reason"].as_str().unwrap())
        .collect();
    let expected = [
        "it has 2 values, and the header has 4",
        "it has no key: its `sku` is empty",
        "its key contains a NUL or another character that cannot be read",
        "its key is 6000 bytes long, more than 512",
        "a row before it has the same key; with rows = \"group\", such rows are one document",
    ];
    assert_eq!(reasons, expected);
    assert_fields(&synced["reasons"][0], json!({ "row": 102, "key": "m1" }));
    assert_eq!(world.count("document").await, 102, "the mug stays, and so does the kettle");
    assert_eq!(world.content("m1").await, "A mug of clay.");
    assert_eq!(world.content("m2").await, "Of glass.");
    let status = world.run_json("status").await;
    assert_fields(&status["sources"][0], json!({ "set_aside": 5, "failed": 0 }));
    assert_eq!(status["sources"][0]["set_aside_rows"].as_array().unwrap().len(), 5);
    assert_contains(
        world.run_ok("status").await,
        "5 rows of product were set aside:\n  row 102 (key \"m1\"): it has 2",
    );
    // A full sync reads the documents whose rows were set aside, too, and keeps them.
    world.sync_with(FULL).await;
    world.drain().await;
    assert_eq!(world.content("m1").await, "A mug of clay.");

    write(&world, &among_good("m1,Mug,A mug of clay.,9.90\nm2,Kettle,Of glass.,45.00\n"));
    assert_fields(&world.run_json("sync --wait").await, json!({ "set_aside": 0, "failed": 0, "removed": 0 }));
    assert!(world.run_json("status").await["sources"][0].get("set_aside").is_none());
    assert_eq!(world.fresh().await, 102);
}

#[tokio::test]
async fn too_many_bad_rows_refuse_a_listing_and_remove_nothing() {
    let world = with_file("csv", &among_good("")).await;
    world.sync().await;
    let before = world.index().await;
    write(&world, &among_good(&"short\n".repeat(6)));
    let error = world.try_sync().await.unwrap_err().to_string();
    assert_contains(
        error,
        "6 of its 106 rows cannot be read, more than `set_aside_limit` allows; the first is row 102",
    );
    world.drain().await;
    assert_eq!(world.index().await, before);
    world.edit_settings("key = \"sku\"", "key = \"sku\"\nset_aside_limit = 0.1");
    assert_fields(&world.run_json("sync --wait").await, json!({ "set_aside": 6, "unchanged": 100 }));
}

#[tokio::test]
async fn a_row_that_cannot_become_a_document_is_not_tried_again_until_it_changes() {
    let world = World::synced().await;
    world.in_shop("alter table product alter name drop not null; update product set name = null, description = '' where id = 3").await;
    world.edit_settings("{{ name }}. {{ description }}", "{{ description }}");
    world.run_failing("sync --wait", 1, "title and text are both empty").await;
    assert_fields(&world.run_json("sync").await, json!({ "enqueued": 0, "unchanged": 3 }));
    assert_eq!(world.count("document_index where state = 'failed'").await, 1);
    world.in_shop("update product set name = 'Kettle' where id = 3").await;
    assert_fields(&world.run_json("sync --wait").await, json!({ "changed": 1, "failed": 0 }));
    assert_eq!(world.fresh().await, 3);
}

#[tokio::test]
async fn rows_of_a_database_without_a_usable_key_are_set_aside() {
    let shop = "create table product (id text, name text, description text, price numeric, stock int);
        insert into product select n, 'Mug ' || n, 'A mug.', 1, 1 from generate_series(1, 100) as n;
        insert into product values (null, 'No key', '', 1, 1), (repeat('k', 6000), 'Long', '', 1, 1), ('7', 'Twice', '', 1, 1)";
    let world = World::with(shop, SOURCE).await;
    let report = world.try_sync().await.unwrap();
    assert_eq!((report.listed, report.set_aside), (100, 3));
    let mut reasons: Vec<_> =
        report.set_aside_rows.iter().map(|row| row.reason.split(';').next().unwrap()).collect();
    reasons.sort_unstable();
    let expected =
        ["a row before it has the same key", "its key is 6000 bytes long, more than 512", "its key is null"];
    assert_eq!(reasons, expected);
    world.drain().await;
    assert_eq!(world.fresh().await, 99, "two rows have the key 7");
    assert_eq!(world.try_sync().await.unwrap().changed, 0, "whatever the order of the two");
}

#[tokio::test]
async fn what_json_columns_hold_is_read_whatever_it_is() {
    let shop = r#"create table product (id int, name json, description text, price json, stock int);
        insert into product values
            (1, '{"de": "Tasse\u0000", "en": "Mug"}', 'Clay.', '89.00', 1),
            (2, '{"en": "Half \ud83d"}', 'Steel.', '1e400000', 1),
            (3, null, 'Wood.', '12345678901234567890123', 1)"#;
    let source = SOURCE.replace("{{ name }}", "{{ name.de_DE or name.de or name.en or 'x' }}");
    let world = World::synced_with(shop, &source).await;
    let titles = world
        .text("select string_agg(title || metadata::text, ' ' order by key) from shopkeeper.document")
        .await;
    let expected = "Tasse\u{fffd}{\"price\": 89.00, \"stock\": 1} Half \u{fffd}{\"price\": \"1e400000\", \"stock\": 1} \
                    x{\"price\": 12345678901234567890123, \"stock\": 1}";
    assert_eq!(titles, expected);
}

#[tokio::test]
async fn a_row_whose_reading_fails_is_its_own_fault() {
    // The listing does not compute it, the reading does.
    let shop = "create function half(n int) returns int language sql as 'select 100 / n';
        create table t (id int primary key, n int not null); insert into t select n, n from generate_series(1, 9) as n;
        create view product as select id, 'Mug ' || id as name, 'A mug.' as description, n as price, n as stock from t";
    let world = World::synced_with(shop, SOURCE).await;
    assert_eq!(world.fresh().await, 9);
    let broken = "create or replace view product as
        select id, 'Mug ' || id as name, 'A mug.' as description, half(n) as price, n as stock from t; update t set n = 0 where id = 4";
    world.in_shop(broken).await;
    let error = world.try_sync().await.unwrap_err();
    assert_contains(error.to_string(), "division by zero");
    assert_eq!(world.count("document").await, 9);
}

/// Variants in rows, as two columns tell them apart.
const VARIANTS: &str = "create table product (handle text, title text, body text, sku text, size text, price numeric(10, 2));
    insert into product values ('shirt', 'Shirt', '<p>Cotton</p>', 's-1', 'S', 10), ('shirt', '', '', 's-2', 'XL', 12.5),
        ('mug', 'Mug', '<b>Clay</b>', 'm-1', null, 9.9)";
const GROUPED: &str = r#"
[[source]]
name = "product"
kind = "postgres"
url = { file = "shop.url" }
table = "product"
key = "handle"
rows = "group"
title = "{{ title }}"
text = "{{ body|text }}{% for variant in variants if variant.size %} {{ variant.size }}: {{ variant.price|money('EUR') }}.{% endfor %}"
sku = "sku"
metadata = ["price"]
"#;

#[tokio::test]
async fn rows_of_a_table_with_one_key_are_one_document() {
    let world = World::synced_with(VARIANTS, GROUPED).await;
    assert_eq!(world.contents().await, ["Clay", "Cotton S: 10.00 EUR. XL: 12.50 EUR."]);
    let sku = "select sku || (metadata ->> 'price') from shopkeeper.document where key = 'shirt'";
    assert_eq!(world.text(sku).await, "s-110.00");
    assert_eq!(world.try_sync().await.unwrap().unchanged, 2);
    world.run_ok("trigger install").await;
    world.sync().await;
    world.in_shop("update product set size = 'L' where sku = 's-2'").await;
    world.hear().await;
    world.drain().await;
    assert_eq!(world.content("shirt").await, "Cotton S: 10.00 EUR. L: 12.50 EUR.");
    world.in_shop("update product set size = 'M' where sku = 's-1'").await;
    assert_eq!(world.sync().await.changed, 1);
    assert_eq!(world.sync().await.changed, 0);
}

#[tokio::test]
async fn a_shopify_export_is_one_document_for_each_handle() {
    let feed = "Handle,Title,Body (HTML),Variant SKU,Option1 Value,Variant Price\n\
        shirt,Shirt,\"<p>F&uuml;r <b>Sommer</b></p>\",s-1,S,10.00\n\
        mug,Mug,<p>Clay</p>,m-1,Default Title,9.90\n\
        shirt,,,s-2,XL,12.50\n";
    let world = with_file("csv", feed).await;
    let mut settings = fs::read_to_string(world.settings()).unwrap();
    for (from, to) in [
        ("key = \"sku\"\n", "key = \"Handle\"\nrows = \"group\"\n"),
        ("sku = \"sku\"", "sku = \"Variant SKU\""),
        ("{{ name }}", "{{ Title }}"),
        (
            "\"{{ description }}\"",
            "'{{ row[\"Body (HTML)\"]|text }}{% for v in variants %} {{ v[\"Option1 Value\"] }} {{ v[\"Variant Price\"] }}{% endfor %}'",
        ),
        ("[\"price\"]", "[\"Variant Price\"]"),
    ] {
        assert!(settings.contains(from), "{from}");
        settings = settings.replace(from, to);
    }
    fs::write(world.settings(), settings).unwrap();
    assert_fields(&world.run_json("sync --wait").await, json!({ "listed": 2, "set_aside": 0, "failed": 0 }));
    assert_eq!(world.contents().await, ["Clay Default Title 9.90", "Für Sommer S 10.00 XL 12.50"]);
    write(&world, &feed.replace("12.50", "13.00"));
    assert_fields(&world.run_json("sync --wait").await, json!({ "changed": 1, "unchanged": 1 }));
    assert_contains(world.contents().await.join(" "), "XL 13.00");
}

#[tokio::test]
async fn keys_of_several_columns_are_listed_read_noted_and_polled() {
    let shop = "create table product (store bool, sku char(5), name text, description text, price numeric, stock int,
            primary key (store, sku));
        insert into product values (true, 'a/1', 'Mug', 'Clay.', 1, 1), (false, 'a/1', 'Tasse', 'Ton.', 1, 1),
            (false, '50%', 'Half', 'Off.', 1, 1)";
    let source =
        SOURCE.replace("key = \"id\"", "key = [\"store\", \"sku\"]").replace("{{ id }}", "{{ sku }}");
    let world = World::synced_with(shop, &source).await;
    let keys = "select string_agg(key, ' ' order by key) from shopkeeper.document";
    assert_eq!(world.text(keys).await, "false/50%25 false/a%2F1 true/a%2F1");
    world.run_ok("trigger install").await;
    world.hear().await;
    world.drain().await;
    world
        .in_shop(
            "update product set description = 'Glass.' where store; delete from product where sku = '50%'",
        )
        .await;
    world.hear().await;
    world.drain().await;
    assert_eq!(world.text(keys).await, "false/a%2F1 true/a%2F1");
    assert_eq!(world.content("true/a%2F1").await, "Mug. Glass.");
    for nobody in ["true", "maybe/a%2F1", "true/a/1", "true/b"] {
        world.run_ok(&format!("refresh product {nobody}")).await;
    }
    world.drain().await;
    assert_eq!(world.count("document").await, 2);
    assert_eq!(world.sync().await.unchanged, 2);
}
