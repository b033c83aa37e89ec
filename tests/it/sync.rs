//! Syncing: what the index holds after the shop changed.

use crate::prelude::*;

#[tokio::test]
async fn a_new_shop_is_indexed_and_found() {
    let world = World::new().await;
    let report = world.sync().await;
    assert_eq!((report.listed, report.added, report.enqueued), (3, 3, 3));
    assert_eq!(world.found("Steel kettle that holds two litres").await[0], "Kettle");
    assert_eq!(world.fresh().await, 3);
    assert_eq!(world.count("job_history where outcome = 'done'").await, 3);
}

#[tokio::test]
async fn an_unchanged_shop_costs_nothing() {
    let world = World::synced().await;
    let before = world.embedding_requests();
    let report = world.sync().await;
    assert_eq!((report.unchanged, report.enqueued), (3, 0));
    assert_eq!(world.embedding_requests(), before);
}

#[tokio::test]
async fn a_change_is_found_and_leaves_nothing_old() {
    let glows = "update product set description = 'Glows in the dark.' where id = 3";
    for (change, [added, changed, removed], text, title) in [
        (glows, [0, 1, 0], "glows in the dark", "Kettle"),
        ("delete from product where name = 'Shirt'", [0, 0, 1], "shirt", "Shirt XL"),
        ("update product set id = 30 where id = 3", [1, 0, 1], "kettle", "Kettle"),
    ] {
        let world = World::synced().await;
        let report = world.sync_after(world.in_shop(change)).await;
        assert_eq!([report.added, report.changed, report.removed], [added, changed, removed], "{change}");
        assert_eq!(report.unchanged, 2, "{change}");
        let found = world.found(text).await;
        assert_eq!(found[0], title, "{change}");
        assert_eq!(found.iter().filter(|found| *found == title).count(), 1, "{change}");
        let left = i64::try_from(2 + added + changed).unwrap();
        assert_eq!((world.count("document").await, world.count("chunk").await), (left, left), "{change}");
        let before = world.count("chunk where content like '%litres%'").await;
        assert_eq!(before, i64::from(changed == 0), "{change}");
    }
}

#[tokio::test]
async fn a_price_change_updates_the_metadata_without_a_request_to_the_model() {
    let world = World::synced().await;
    let before = world.embedding_requests();
    let change = "update product set price = 19.50 where id = 3";
    assert_eq!(world.sync_after(world.in_shop(change)).await.changed, 1);
    assert_eq!(world.embedding_requests(), before);
    let price = world.text("select metadata ->> 'price' from shopkeeper.document where key = '3'").await;
    assert_eq!(price, "19.50", "as the shop's database writes it");
}

#[tokio::test]
async fn an_edited_template_changes_every_document() {
    let world = World::synced().await;
    world.edit_settings("{{ name }}. {{ description }}", "{{ description }} ({{ name }})");
    assert_fields(&world.run_json("sync").await, json!({ "changed": 3, "unchanged": 0 }));
}

#[tokio::test]
async fn a_full_sync_reads_every_document_again_and_embeds_none_that_is_equal() {
    let world = World::synced().await;
    let before = world.embedding_requests();
    let report = world.sync_with(FULL).await;
    assert_eq!((report.unchanged, report.enqueued), (3, 3));
    world.drain().await;
    assert_eq!(world.embedding_requests(), before);
}

#[tokio::test]
async fn a_shop_that_suddenly_lists_nothing_keeps_its_index() {
    let world = World::new().await;
    let mugs = "insert into product select n, 'Mug ' || n, 'A mug.', 1, 1 from generate_series(10, 109) n";
    world.sync_after(world.in_shop(mugs)).await;
    // Nor does it lose what could not be indexed, and would be tried again.
    world.execute("update shopkeeper.document_index set state = 'failed' where key > '5'").await;
    world.in_shop("delete from product").await;
    let error = world.try_sync().await.unwrap_err();
    assert!(matches!(error, SyncError::MassDelete { removed: 103, known: 103, .. }), "{error}");
    world.drain().await;
    assert_eq!(world.count("document where row_hash is not null").await, 103);
    assert_eq!(world.sync_with(MASS_DELETE).await.removed, 103);
    world.drain().await;
    assert_eq!((world.count("document").await, world.count("chunk").await), (0, 0));
}

#[tokio::test]
async fn a_long_text_becomes_several_chunks_in_one_request() {
    let world = World::with_kettle().await;
    let sentences: String = (0..40).map(|n| format!("Feature number {n} is good. ")).collect();
    world.sync_after(world.describe(3, &sentences)).await;
    assert!(world.count("chunk").await > 5);
    assert_eq!(world.embedding_requests(), 1);
    let most: i32 = world.value("select max(tokens) from shopkeeper.chunk").await;
    assert!(most <= 45, "{most} tokens in a chunk");
}

#[tokio::test]
async fn a_change_during_a_refresh_is_followed_by_another_refresh() {
    let world = World::synced().await;
    let workers = world.embedding("First.").await;
    world.describe(3, "Second.").await;
    world.try_sync().await.unwrap();
    world.script().release();
    world.until_none("job").await;
    workers.stop().await;
    assert_eq!(world.content("3").await, "Kettle. Second.");
    assert_eq!(world.count("document_index where key = '3' and indexed_revision = 3").await, 1);
}

#[tokio::test]
async fn what_comes_back_before_it_was_removed_can_be_removed_later() {
    let world = World::synced().await;
    world.in_shop("create table away as select * from product where id = 3").await;
    world.in_shop("delete from product where id = 3").await;
    world.try_sync().await.unwrap();
    world.in_shop("insert into product select * from away").await;
    world.drain().await;
    assert_eq!(world.count("chunk where key = '3'").await, 1);
    // It was not listed since.
    world.sync_after(world.in_shop("delete from product where id = 3")).await;
    assert_eq!(world.count("chunk where key = '3'").await, 0);

    // One that became known by a refresh alone, as well.
    world.in_shop("insert into product select * from away").await;
    world.run_ok("refresh product 3").await;
    world.drain().await;
    assert_eq!(world.count("chunk where key = '3'").await, 1);
    world.sync_after(world.in_shop("delete from product where id = 3")).await;
    assert_eq!(world.count("document where key = '3'").await, 0);
}

#[tokio::test]
async fn a_row_that_changes_there_and_back_while_its_job_waits_is_not_taken_for_unchanged() {
    let world = World::synced().await;
    world.describe(3, "Boils.").await;
    world.try_sync().await.unwrap();
    // The job reads what it finds, and the next listing finds what the last one found.
    world.describe(3, "Whistles.").await;
    world.drain().await;
    world.sync_after(world.describe(3, "Boils.")).await;
    assert_eq!(world.content("3").await, "Kettle. Boils.");
}

#[tokio::test]
async fn keys_of_a_fixed_length_and_keys_whose_type_changes_are_read_as_they_are() {
    let fixed = "update product set id = id * 10; alter table product alter id type char(4)";
    // One connection is enough, also for the first look.
    let source = SOURCE.to_owned() + "max_connections = 1\n";
    let world = World::synced_with(&(SHOP.to_owned() + fixed), &source).await;
    assert_eq!(world.count("chunk where key in ('10', '20', '30')").await, 3);

    let world = World::synced().await;
    let change = "alter table product alter id type bigint; update product set id = 3000000000 where id = 3";
    world.sync_after(world.in_shop(change)).await;
    assert_eq!(world.count("chunk where key = '3000000000'").await, 1);
}

#[tokio::test]
async fn a_column_that_becomes_the_sku_changes_every_document() {
    let shop = format!("{SHOP} alter table product add part text default 'A-1'");
    let world = World::synced_with(&shop, &SOURCE.replace("\"stock\"]", "\"stock\", \"part\"]")).await;
    world.edit_settings(", \"part\"]", "]\nsku = \"part\"");
    world.run_ok("sync --wait").await;
    assert_eq!(world.count("document where sku = 'A-1'").await, 3);
}

/// Nothing here is named as in the sample shop; keys are text, prices cents, times without a zone.
#[tokio::test]
async fn a_strangers_shop_works_by_the_file_alone() {
    let shop = r#"
        create schema "Lager";
        create domain "Lager".nummer as text check (value like 'A-%');
        create table "Lager"."Artikel" (
            "ArtNr" "Lager".nummer primary key, "Bezeichnung" varchar(80), "Cent" integer, "Geaendert" timestamp, "HerstellerId" int
        );
        create table "Lager"."Hersteller" (id int primary key, firma text);
        insert into "Lager"."Hersteller" values (7, 'Bürsten Groß');
        insert into "Lager"."Artikel" values
            ('A-1', 'Besen aus Rosshaar', 1250, '2026-01-01 10:00', 7),
            ('A-2', 'Eimer', 499, null, null);
    "#;
    let source = r#"
[[source]]
name = "artikel"
kind = "postgres"
url = { file = "shop.url" }
query = """
select a."ArtNr" as nr, a."Bezeichnung", a."Cent", a."Geaendert", h.firma
from "Lager"."Artikel" a left join "Lager"."Hersteller" h on h.id = a."HerstellerId"
;
"""
key = "nr"
updated_at = "Geaendert"
title = "{{ Bezeichnung }}"
text = "{{ Bezeichnung }}{% if firma %} von {{ firma }}{% endif %}. Preis: {{ '%.2f'|format(Cent / 100) }} EUR"
metadata = ["Cent", "Geaendert"]
sku = "nr"
"#;
    let world = World::with(shop, source).await;
    assert_eq!(world.parts.sync.sync("artikel", SyncOptions::default()).await.unwrap().added, 2);
    world.drain().await;
    let expected = ["Besen aus Rosshaar von Bürsten Groß. Preis: 12.50 EUR", "Eimer. Preis: 4.99 EUR"];
    assert_eq!(world.contents().await, expected);
    assert_eq!(world.text("select sku from shopkeeper.document where key = 'A-1'").await, "A-1");
    assert_eq!(world.found("Besen").await[0], "Besen aus Rosshaar");
}

#[tokio::test]
async fn of_a_changed_text_only_the_chunks_that_changed_are_embedded() {
    let world = World::new().await;
    // Some twenty chunks: sentences of one length, so that the others are cut as before.
    let describe = async |word: &str| {
        let said = |n| if n == 41 { word } else { "plain" };
        let text: String =
            (0..80).map(|n| format!("Sentence {n:02} says that it is {}. ", said(n))).collect();
        world.sync_after(world.describe(3, &text)).await;
    };
    describe("plain").await;
    let chunks = world.count("chunk where key = '3'").await;
    assert!(chunks >= 15, "{chunks}");
    let before = world.script().inputs();
    let untouched = "select max(ctid::text) || count(*) from shopkeeper.chunk
         where key = '3' and content not like '%Sentence 41%'";
    let rows = world.text(untouched).await;
    describe("quiet").await;
    let embedded = world.script().inputs() - before;
    assert!((1..=3).contains(&embedded), "{embedded} of {chunks}");
    assert_eq!(world.text(untouched).await, rows, "the others were not touched");
    assert_eq!(world.count("chunk where key = '3'").await, chunks);
    assert_eq!(world.count("chunk where content like '%quiet%'").await, i64::try_from(embedded).unwrap());
    let ordinals = "select ordinal::bigint from shopkeeper.chunk where key = '3' order by 1";
    assert_eq!(world.values::<i64>(ordinals).await, (1..=chunks).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_chunk_that_moves_is_kept_and_one_that_comes_twice_is_there_once() {
    let world = World::new().await;
    let paragraph = "Paragraph {n} is long enough to be a chunk of its own, because it goes on and on about {n}, \
                     and then about nothing at all for some more words.\n\n";
    let describe = async |order: &[u32]| {
        let text: String = order.iter().map(|n| paragraph.replace("{n}", &n.to_string())).collect();
        let change = format!("update product set name = 'P', description = '{text}' where id = 3");
        world.sync_after(world.in_shop(&change)).await;
    };
    describe(&[1, 2, 3, 4]).await;
    let before = world.script().inputs();
    describe(&[1, 4, 2, 3, 2]).await;
    let embedded = world.script().inputs() - before;
    assert!(embedded <= 2, "{embedded}");
    let contents = "select content from shopkeeper.chunk where key = '3' order by ordinal";
    let contents: Vec<String> = world.values(contents).await;
    assert_eq!(contents.iter().collect::<BTreeSet<_>>().len(), contents.len());
    let place =
        |n: u32| contents.iter().position(|content| content.contains(&format!("about {n},"))).unwrap();
    assert!(place(1) < place(4) && place(4) < place(2) && place(2) < place(3), "{contents:?}");
}

#[tokio::test]
async fn other_programs_search_by_sql_as_we_do() {
    let world = World::synced().await;
    let search = async |filter: &str| -> Vec<(String, String, f64, f64)> {
        let statement = format!(
            "select title, metadata ->> 'price', distance, score
             from shopkeeper.search((select embedding from shopkeeper.chunks where title = 'Kettle'), 2, {filter})"
        );
        world.rows(&statement).await
    };
    let found = search("null").await;
    assert_eq!((found.len(), found[0].0.as_str(), found[0].1.as_str()), (2, "Kettle", "45.00"));
    assert!(found[0].2 < 0.001 && found[0].2 <= found[1].2, "{found:?}");
    assert!((found[1].3 - (1.0 - found[1].2)).abs() < 1e-9, "{found:?}");
    assert!(search("'faq'").await.is_empty());
    let short = world.refusal("select * from shopkeeper.search('[1, 2]')").await;
    assert_contains(short, "the vector has 2 dimensions, those of the index have 64");
}

#[tokio::test]
async fn keys_whose_own_order_is_another_than_that_of_their_bytes_are_compared_right() {
    // The order of an enum is the one in which it was declared, that of numbers is by their value.
    for (kind, keys) in [
        ("size", ["zelt", "Ärmel", "_x", "apfel", "Zelt", "a-b", "aB", "10", "9"]),
        ("integer", ["-1", "2", "9", "10", "11", "99", "100", "1000", "20000"]),
    ] {
        let values = keys.map(|key| format!("('{key}', 'Product {key}', '', 1, 1)")).join(", ");
        let labels = keys.map(|key| format!("'{key}'")).join(", ");
        let table = product_table().replace("id integer", &format!("id {kind}"));
        let shop =
            format!("create type size as enum ({labels}); {table} insert into product values {values}");
        let world = World::with(&shop, SOURCE).await;
        assert_eq!(world.sync().await.added, 9);
        let again = world.sync().await;
        assert_eq!((again.unchanged, again.added, again.removed, again.changed), (9, 0, 0, 0));
        let change = format!("delete from product where id = '{}'", keys[3]);
        let last = world.sync_after(world.in_shop(&change)).await;
        assert_eq!((last.unchanged, last.removed), (8, 1));
        assert_eq!(world.count("chunk").await, 8);
    }
}

#[tokio::test]
async fn a_full_sync_that_waits_is_not_replaced_by_a_plain_one() {
    let (world, daemon) = shop_with_daemon().await;
    world.store.pause("sync_catalogue").await.unwrap();
    for full in [true, false] {
        let body = json!({ "source": "product", "full": full });
        assert_eq!(daemon.send(Method::POST, "/v1/sync", body).await.0, StatusCode::ACCEPTED);
    }
    assert_eq!(world.count("job where payload -> 'full' = 'true'").await, 1);
    assert_eq!(world.count("job where payload -> 'full' = 'false'").await, 1);
    daemon.stop().await;
}
