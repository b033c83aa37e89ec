//! Shops that people have, rebuilt small from the public documentation of their systems: looked at, synced and asked.

use crate::{mariadb, prelude::*};

/// Name, description and price of what each of them sells.
const PRODUCTS: [(&str, &str, &str); 10] = [
    ("Clay teapot", "Pours without a drip and keeps oolong warm.", "34.50"),
    ("Linen apron", "Crossed straps for long hours of baking bread.", "28.00"),
    ("Copper kettle", "Whistles when two litres of water boil.", "89.00"),
    ("Bamboo steamer", "Three baskets for dumplings and vegetables.", "19.90"),
    ("Cast iron pan", "Sears steak evenly on induction hobs.", "54.00"),
    ("Walnut board", "Carving grooves catch the juice of a roast.", "42.00"),
    ("Porcelain mug", "Dishwasher safe, holds 350 millilitres of coffee.", "9.90"),
    ("Rolling pin", "Tapered beech wood for pastry and pizza.", "12.50"),
    ("Spice grinder", "Ceramic burr crushes pepper and cardamom.", "22.00"),
    ("Honey jar", "Screw lid with a dipper of olive wood.", "14.20"),
];
/// A question about each.
const QUESTIONS: [&str; 10] = [
    "keeps oolong warm",
    "straps for baking bread",
    "whistles when water boils",
    "baskets for dumplings",
    "sears steak on induction",
    "carving grooves for a roast",
    "holds 350 millilitres of coffee",
    "tapered beech for pastry",
    "crushes pepper and cardamom",
    "dipper of olive wood",
];

/// SQL for each product, in place of its number, name, description and price.
fn each(sql: &str) -> String {
    let row = |(number, (name, text, price)): (usize, &(&str, &str, &str))| {
        sql.replace("{n}", &number.to_string())
            .replace("{name}", name)
            .replace("{text}", text)
            .replace("{price}", price)
    };
    (1..).zip(&PRODUCTS).map(row).collect::<Vec<_>>().join("; ")
}

/// Describes the shop at an address, and asks ten questions of what was proposed.
async fn is_described(world: &World, url: &str, place: &str) -> String {
    let proposed = world.run_ok(&format!("source discover '{url}'")).await;
    world.run_ok(&format!("source discover '{url}' --write")).await;
    let settings = fs::read_to_string(world.settings()).unwrap();
    world.write("jobs.toml", &settings.replace("{ env = \"SHOP_DATABASE_URL\" }", place));
    assert_contains(world.run_ok("config check").await, "is fine: 1 sources");
    let preview = world.run_ok("source preview product --rows 10").await;
    assert!(
        !preview.contains("warning") && !preview.contains("error") && !preview.contains("<p>"),
        "{preview}"
    );
    assert_contains(&preview, "Clay teapot");
    assert_fields(&world.run_json("sync --wait").await, json!({ "listed": 10, "failed": 0, "set_aside": 0 }));
    for (question, (name, _, price)) in QUESTIONS.iter().zip(PRODUCTS) {
        let found = world.run_json(&format!("search '{question}' --top-k 1")).await;
        assert_eq!(found["results"][0]["title"], name, "{question}: {proposed}");
        let passage = found["results"][0].to_string();
        assert!(
            passage.contains(price.trim_end_matches('0').trim_end_matches('.')),
            "{name} costs {price}: {passage}"
        );
    }
    proposed
}

/// A world without a source.
async fn empty(shop: &str) -> World {
    World::with(shop, "").await
}

const IN_POSTGRES: &str = "{ file = \"shop.url\" }";
const IN_MYSQL: &str = "{ file = \"mysql.url\" }";

#[tokio::test]
async fn a_django_shop_is_described_and_answers() {
    let shop = "create table shop_category (id bigint generated always as identity primary key, name varchar(100) not null,
            slug varchar(50) not null);
        create table shop_product (id bigint generated always as identity primary key, name varchar(200) not null,
            slug varchar(50) not null, description text not null, price numeric(10, 2) not null, stock integer not null,
            sku varchar(32) not null, colour varchar(20), is_active boolean not null,
            category_id bigint not null references shop_category (id), created_at timestamptz not null default now(),
            updated_at timestamptz not null default now());
        create table shop_productimage (id bigint primary key, image varchar(100), product_id bigint references shop_product (id));
        create table auth_user (id int primary key, username varchar(150), password varchar(128));
        create table django_flatpage (id int primary key, url varchar(100), title varchar(200), content text);
        insert into django_flatpage values (1, '/returns/', 'Returns', '<p>Send it back within 30 days.</p>');
        insert into shop_category (name, slug) values ('Kitchen', 'kitchen');"
        .to_owned()
        + &each("insert into shop_product (name, slug, description, price, stock, sku, colour, is_active, category_id)
            values ('{name}', 'p-{n}', '<p>{text}</p>', {price}, 3, 'SKU-{n}', 'red', true, 1)")
        + "; insert into shop_product (name, slug, description, price, stock, sku, is_active, category_id)
            values ('Hidden', 'h', 'Not sold.', 1, 0, 'H', false, 1)";
    let world = empty(&shop).await;
    let both = "sources";
    let proposed = world.run_ok(&format!("source discover '{}'", world.shop)).await;
    assert_contains(&proposed, "name = \"policy\"");
    world.run_ok(&format!("source discover '{}' --write", world.shop)).await;
    world.edit_settings("{ env = \"SHOP_DATABASE_URL\" }", IN_POSTGRES);
    assert_contains(world.run_ok("config check").await, both);
    let preview = world.run_json("source preview product 1").await;
    assert_fields(&preview, json!({ "title": "Clay teapot", "sku": "SKU-1", "warnings": [] }));
    assert_contains(preview["text"].to_string(), "Category: Kitchen");
    world.run_ok("sync --wait").await;
    for (question, (name, ..)) in QUESTIONS.iter().zip(PRODUCTS) {
        let found = world.run_json(&format!("search '{question}' --source product --top-k 1")).await;
        assert_eq!(found["results"][0]["title"], name, "{question}");
    }
    let returns = world.run_json("search 'send it back within 30 days' --top-k 1").await;
    assert_fields(&returns["results"][0], json!({ "source": "policy", "title": "Returns" }));
    world.run_ok("trigger install").await;
    assert_contains(world.run_ok("trigger status").await, "shop_category");
}

#[tokio::test]
async fn a_medusa_shop_is_described_and_answers() {
    let shop = "create table product (id text primary key, title text not null, handle text not null, subtitle text,
            description text, status text not null, thumbnail text, updated_at timestamptz not null default now(),
            deleted_at timestamptz);
        create table product_variant (id text primary key, product_id text, title text, sku text, variant_rank int,
            deleted_at timestamptz);
        create table product_variant_price_set (variant_id text, price_set_id text, id text primary key, deleted_at timestamptz);
        create table price (id text primary key, price_set_id text, amount numeric, currency_code text, price_list_id text,
            deleted_at timestamptz);"
        .to_owned()
        + &each("insert into product values ('prod_{n}', '{name}', 'p-{n}', null, '{text}', 'published');
            insert into product_variant values ('v_{n}', 'prod_{n}', 'Default', 'S-{n}', 0);
            insert into product_variant_price_set values ('v_{n}', 'ps_{n}', 'x_{n}');
            insert into price values ('pr_{n}', 'ps_{n}', {price}, 'eur')")
        + "; insert into product values ('d', 'Draft', 'd', null, 'Not sold.', 'draft')";
    let world = empty(&shop).await;
    let proposed = is_described(&world, &world.shop, IN_POSTGRES).await;
    assert_contains(&proposed, "preset = \"medusa\"");
    assert_contains(world.contents().await.join(" "), "Default: 89.00 EUR");
}

#[tokio::test]
async fn a_woocommerce_shop_is_described_and_answers() {
    let shop = "create table shop1_posts (ID bigint unsigned auto_increment primary key, post_title text not null,
            post_content longtext not null, post_excerpt text not null, post_status varchar(20), post_type varchar(20),
            post_name varchar(200), post_modified_gmt datetime not null default '2024-01-01');
        create table shop1_postmeta (meta_id bigint primary key, post_id bigint, meta_key varchar(255), meta_value longtext);
        create table shop1_terms (term_id bigint primary key, name varchar(200), slug varchar(200));
        create table shop1_term_taxonomy (term_taxonomy_id bigint primary key, term_id bigint, taxonomy varchar(32));
        create table shop1_term_relationships (object_id bigint, term_taxonomy_id bigint, primary key (object_id, term_taxonomy_id));
        create table shop1_wc_product_meta_lookup (product_id bigint primary key, sku varchar(100), min_price decimal(19,4),
            max_price decimal(19,4), stock_quantity double, stock_status varchar(100));
        insert into shop1_terms values (1, 'Kitchen', 'kitchen'), (2, 'simple', 'simple');
        insert into shop1_term_taxonomy values (10, 1, 'product_cat'), (11, 2, 'product_type');"
        .to_owned()
        + &each("insert into shop1_posts (ID, post_title, post_content, post_excerpt, post_status, post_type, post_name)
                values ({n}, '{name}', '<p>{text}</p>', '<ul><li>Handmade</li></ul>', 'publish', 'product', 'p-{n}');
            insert into shop1_wc_product_meta_lookup values ({n}, 'W-{n}', {price}, {price}, 5, 'instock');
            insert into shop1_term_relationships values ({n}, 10), ({n}, 11)")
        + "; insert into shop1_posts (post_title, post_content, post_excerpt, post_status, post_type)
            values ('Draft', '', '', 'draft', 'product'), ('About', 'Us', '', 'publish', 'page')";
    let Some((world, url)) = mariadb::world(&shop, "").await else { return };
    let proposed = is_described(&world, &url, IN_MYSQL).await;
    assert_contains(&proposed, "table_prefix = \"shop1_\"");
    assert_contains(
        world.contents().await.join(" "),
        "- Handmade\n\nPours without a drip and keeps oolong warm.\n\nCategory: Kitchen",
    );
    // The preset polls by the time that WordPress keeps.
    mariadb::run(
        &url,
        "update shop1_posts set post_content = 'New.', post_modified_gmt = utc_timestamp() where ID = 3",
    )
    .await;
    assert_fields(&world.run_json("sync --wait").await, json!({ "changed": 1, "unchanged": 9 }));
}

#[tokio::test]
async fn a_magento_shop_is_described_and_answers() {
    let values = |kind: &str, column: &str| {
        format!(
            "create table catalog_product_entity_{kind} (value_id int auto_increment primary key, attribute_id int, store_id int,
                entity_id int, value {column}, unique key (entity_id, attribute_id, store_id));"
        )
    };
    let shop = "create table eav_entity_type (entity_type_id int primary key, entity_type_code varchar(50));
        create table eav_attribute (attribute_id int primary key, entity_type_id int, attribute_code varchar(255));
        create table catalog_product_entity (entity_id int primary key, sku varchar(64), type_id varchar(32),
            created_at timestamp default current_timestamp, updated_at timestamp default current_timestamp);
        create table cataloginventory_stock_item (item_id int auto_increment primary key, product_id int, stock_id int,
            qty decimal(12,4), is_in_stock smallint);
        insert into eav_entity_type values (3, 'catalog_category'), (4, 'catalog_product');
        insert into eav_attribute values (1, 3, 'name'), (73, 4, 'name'), (75, 4, 'description'), (76, 4, 'short_description'),
            (77, 4, 'price'), (97, 4, 'status'), (120, 4, 'url_key');"
        .to_owned()
        + &values("int", "int") + &values("varchar", "varchar(255)") + &values("text", "mediumtext") + &values("decimal", "decimal(20,6)")
        + &each("insert into catalog_product_entity (entity_id, sku, type_id) values ({n}, 'M-{n}', 'simple');
            insert into catalog_product_entity_int (attribute_id, store_id, entity_id, value) values (97, 0, {n}, 1);
            insert into catalog_product_entity_varchar (attribute_id, store_id, entity_id, value)
                values (73, 0, {n}, '{name}'), (73, 2, {n}, 'Anders'), (120, 0, {n}, 'p-{n}');
            insert into catalog_product_entity_text (attribute_id, store_id, entity_id, value) values (75, 0, {n}, '<p>{text}</p>');
            insert into catalog_product_entity_decimal (attribute_id, store_id, entity_id, value) values (77, 0, {n}, {price});
            insert into cataloginventory_stock_item (product_id, stock_id, qty, is_in_stock) values ({n}, 1, 7, 1)")
        + "; insert into catalog_product_entity (entity_id, sku) values (99, 'off');
            insert into catalog_product_entity_int (attribute_id, store_id, entity_id, value) values (97, 0, 99, 2)";
    let Some((world, url)) = mariadb::world(&shop, "").await else { return };
    let proposed = is_described(&world, &url, IN_MYSQL).await;
    assert_contains(&proposed, "preset = \"magento\"");
}

#[tokio::test]
async fn a_shopify_export_is_described_and_answers() {
    let header = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,\
                  Option3 Name,Option3 Value,Variant SKU,Variant Price,Image Src\n";
    let rows = (1..).zip(PRODUCTS).map(|(n, (name, text, price))| {
        format!("p-{n},{name},\"<p>{text}</p>\",House,Kitchen,,TRUE,Size,Small,,,,,S-{n},{price},\np-{n},,,,,,,,Large,,,,,S-{n}b,199.00,\n")
    });
    let world = World::with_files(
        "select 1",
        "",
        &[("export.csv", &(header.to_owned() + &rows.collect::<String>()))],
    )
    .await;
    let proposed = is_described(&world, &world.path("export.csv"), "").await;
    assert_contains(&proposed, "preset = \"shopify-csv\"");
    assert_contains(world.contents().await.join(" "), "Small: 34.50\nLarge: 199.00");
}

#[tokio::test]
async fn feeds_that_no_preset_knows_are_described_by_their_rows() {
    let csv = PRODUCTS
        .iter()
        .enumerate()
        .map(|(n, (name, text, price))| format!("{n};{name};<p>{text}</p>;{price}\n"));
    let csv = "id;name;description;price\n".to_owned() + &csv.collect::<String>();
    let lines = PRODUCTS.iter().enumerate().map(|(n, (name, text, price))| {
        json!({ "id": n, "title": name, "body": text, "price": price }).to_string() + "\n"
    });
    let lines: String = lines.collect();
    for (file, feed) in [("feed.csv", &csv), ("feed.jsonl", &lines)] {
        let world = World::with_files("select 1", "", &[(file, feed)]).await;
        let proposed = is_described(&world, &world.path(file), "").await;
        assert_contains(&proposed, "kind = \"feed\"");
    }
    let world = empty("create table nothing (x int)").await;
    world.run_failing(&format!("source discover '{}'", world.shop), 1, "nothing there looks like").await;
    world.run_failing("source discover ftp://x", 2, "URL must be a database").await;
}

#[tokio::test]
async fn a_preview_says_what_does_not_reach_the_document() {
    let row = r#"{"id": 1, "name": "Mug", "body": "<p>Of <b>clay</b>.</p><script>let a = '<p>';</script>", "care": null}"#;
    let source = r#"
        [[source]]
        name = "product"
        kind = "feed"
        path = "feed.jsonl"
        format = "jsonl"
        key = "id"
        title = "{{ name }}"
        text = "{{ body|text }} {{ care }}"
    "#;
    let world = World::with_files("select 1", source, &[("feed.jsonl", row)]).await;
    let mug = world.run_json("source preview product 1").await;
    let left_out = json!({ "empty": ["care"], "elements": { "b": 1, "p": 1, "script": 1 } });
    assert_fields(&mug, json!({ "text": "Of clay.", "left_out": left_out, "warnings": [] }));
    let shown = world.run_ok("source preview product 1").await;
    assert_contains(&shown, "  empty     care\n  HTML      b 1, p 1, script 1 with all in it\n");
}

/// Finds the preset of a shop with one product, a mug for 9.90, and renders it.
async fn is_known(world: &World, url: &str, place: &str, preset: &str) {
    let proposed = world.run_ok(&format!("source discover '{url}' --write")).await;
    assert_contains(proposed, "appended");
    let settings = fs::read_to_string(world.settings()).unwrap();
    assert_contains(&settings, &format!("preset = \"{preset}\""));
    world.write("jobs.toml", &settings.replace("{ env = \"SHOP_DATABASE_URL\" }", place));
    assert_contains(world.run_ok("config check").await, "is fine: 1 sources");
    let mug = world.run_json("source preview product").await;
    assert_fields(&mug, json!({ "title": "Mug", "warnings": [] }));
    let all = mug.to_string();
    assert!(all.contains("Of clay.") && all.contains("9.9"), "{preset}: {all}");
    assert_fields(&world.run_json("sync --wait").await, json!({ "listed": 1, "failed": 0 }));
}

#[tokio::test]
async fn shops_on_postgresql_are_known_by_their_tables() {
    for (preset, shop) in [
        (
            "oscar",
            "create table catalogue_productclass (id int primary key, name text);
            create table catalogue_product (id int primary key, title text, slug text, description text, upc text,
                is_public boolean, structure text, date_updated timestamptz default now());
            create table partner_stockrecord (id int primary key, product_id int, price numeric(12, 2), price_currency text,
                num_in_stock int);
            insert into catalogue_product values (1, 'Mug', 'mug', '<p>Of clay.</p>', '42', true, 'standalone'),
                (2, 'Hidden', 'h', '', null, false, 'standalone'), (3, 'Size', 's', '', null, true, 'child');
            insert into partner_stockrecord values (1, 1, 9.90, 'EUR', 3)",
        ),
        (
            "spree",
            "create table spree_products (id int primary key, name text, description text, slug text, available_on timestamp,
                deleted_at timestamp, updated_at timestamp not null default now());
            create table spree_variants (id int primary key, product_id int, sku text, is_master boolean, deleted_at timestamp);
            create table spree_prices (id int primary key, variant_id int, amount numeric(10, 2), currency text, deleted_at timestamp);
            insert into spree_products values (1, 'Mug', 'Of clay.', 'mug', '2020-01-01', null), (2, 'Gone', '', 'g', '2020-01-01', now());
            insert into spree_variants values (1, 1, 'm', true), (2, 1, 'm-2', false);
            insert into spree_prices values (1, 1, 9.90, 'USD')",
        ),
        (
            "vendure",
            "create table product (id int primary key, enabled boolean, \"deletedAt\" timestamp, \"updatedAt\" timestamp default now());
            create table product_translation (id int primary key, \"baseId\" int, \"languageCode\" text, name text, slug text,
                description text);
            create table product_variant (id int primary key, sku text, \"productId\" int, \"deletedAt\" timestamp);
            create table product_variant_translation (id int primary key, \"baseId\" int, \"languageCode\" text, name text);
            create table product_variant_price (id int primary key, \"variantId\" int, price int, \"currencyCode\" text);
            insert into product values (1, true), (2, false);
            insert into product_translation values (1, 1, 'en', 'Mug', 'mug', '<p>Of clay.</p>'), (2, 1, 'de', 'Tasse', 't', ''),
                (3, 2, 'en', 'Off', 'o', '');
            insert into product_variant values (1, 'm', 1); insert into product_variant_translation values (1, 1, 'en', 'Mug, red');
            insert into product_variant_price values (1, 1, 990, 'USD')",
        ),
        (
            "saleor",
            "create table product_category (id int primary key, name text);
            create table product_product (id int primary key, name text, description_plaintext text, slug text, category_id int,
                updated_at timestamptz default now());
            create table product_productvariant (id int primary key, name text, sku text, product_id int, sort_order int);
            create table product_productvariantchannellisting (id int primary key, variant_id int, price_amount numeric(20, 3),
                currency text);
            create table product_productchannellisting (id int primary key, product_id int, is_published boolean);
            insert into product_category values (1, 'Kitchen');
            insert into product_product values (1, 'Mug', 'Of clay.', 'mug', 1), (2, 'Draft', '', 'd', null);
            insert into product_productvariant values (1, 'Red', 'm', 1, 0);
            insert into product_productvariantchannellisting values (1, 1, 9.900, 'USD');
            insert into product_productchannellisting values (1, 1, true), (2, 2, false)",
        ),
        (
            "odoo",
            "create table ir_model_fields (id int primary key, name text);
            create table product_template (id int primary key, name jsonb, description_sale jsonb, list_price numeric, active boolean,
                sale_ok boolean, write_date timestamp default now());
            create table product_product (id int primary key, product_tmpl_id int, default_code text, active boolean);
            insert into product_template values (1, '{\"en_US\": \"Mug\"}', '{\"en_US\": \"Of clay.\"}', 9.90, true, true),
                (2, '{\"en_US\": \"Part\"}', null, 1, true, false);
            insert into product_product values (1, 1, 'm', true)",
        ),
    ] {
        let world = empty(shop).await;
        is_known(&world, &world.shop, IN_POSTGRES, preset).await;
    }
}

#[tokio::test]
async fn shops_on_mysql_are_known_by_their_tables() {
    for (preset, shop) in [
        (
            "prestashop",
            "create table ps_product (id_product int primary key, reference varchar(64));
            create table ps_product_shop (id_product int, id_shop int, price decimal(20, 6), active tinyint(1), date_upd datetime);
            create table ps_product_lang (id_product int, id_shop int, id_lang int, name varchar(128), description text,
                description_short text, link_rewrite varchar(128));
            create table ps_stock_available (id_product int, id_product_attribute int, id_shop int, quantity int);
            insert into ps_product values (1, 'm'), (2, 'off');
            insert into ps_product_shop values (1, 1, 9.90, 1, now()), (2, 1, 1, 0, now());
            insert into ps_product_lang values (1, 1, 1, 'Mug', '<p>Of clay.</p>', '', 'mug'), (1, 1, 2, 'Tasse', '', '', 't');
            insert into ps_stock_available values (1, 0, 1, 3)",
        ),
        (
            "opencart",
            "create table oc_product (product_id int primary key, model varchar(64), sku varchar(64), price decimal(15, 4),
                quantity int, status tinyint(1), date_modified datetime);
            create table oc_product_description (product_id int, language_id int, name varchar(255), description text);
            create table oc_product_to_store (product_id int, store_id int);
            insert into oc_product values (1, 'M', 'm', 9.90, 3, 1, now()), (2, 'O', 'o', 1, 0, 0, now());
            insert into oc_product_description values (1, 1, 'Mug', '&lt;p&gt;Of clay.&lt;/p&gt;'), (2, 1, 'Off', '')",
        ),
        (
            "shopware",
            "create table sales_channel (id binary(16) primary key); create table product_visibility (id binary(16) primary key);
            create table product (id binary(16), version_id binary(16), parent_id binary(16), product_number varchar(64),
                active tinyint(1), available_stock int, price json, created_at datetime(3), updated_at datetime(3),
                primary key (id, version_id));
            create table product_translation (product_id binary(16), product_version_id binary(16), language_id binary(16),
                name varchar(255), description mediumtext);
            insert into product values (x'0123456789abcdef0123456789abcdef', x'0fa91ce3e96a4bc2be4bd9ce752c3425', null, 'SW1', 1, 3,
                '{\"cb7d2554b0ce847cd82f3ac9bd1c0dfca\": {\"net\": 8.32, \"gross\": 9.90}}', now(), null);
            insert into product_translation values (x'0123456789abcdef0123456789abcdef', x'0fa91ce3e96a4bc2be4bd9ce752c3425',
                x'2fbb5fe2e29a4d70aa5854ce7ce3e20b', 'Mug', '<p>Of clay.</p>')",
        ),
    ] {
        let Some((world, url)) = mariadb::world(shop, "").await else { return };
        is_known(&world, &url, IN_MYSQL, preset).await;
    }
}
