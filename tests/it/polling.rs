//! Polling a source between two listings. Each case breaks a naive implementation.

use crate::{nets::watch, prelude::*};

impl World {
    /// Polls once, then lists.
    async fn poll_and_sync(&self) {
        self.poll().await;
        self.sync().await;
    }
}

#[tokio::test]
async fn a_poll_finds_what_was_committed_since_also_when_it_began_long_before() {
    let world = World::new().await;
    world.poll_and_sync().await;
    let mut late = PgConnection::connect(&world.shop).await.unwrap();
    let begin = "begin; update product set description = 'Late.' where id = 1; savepoint s;
         update product set description = 'Later.' where id = 2; release s";
    sqlx::raw_sql(begin).execute(&mut late).await.unwrap();
    // Bulk SQL that touches no column of time.
    world.poll_after(world.describe(3, "Bulk.")).await;
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
    world.poll_and_sync().await;
    // Equal times, and a clock that is five minutes behind.
    let equal = "description = 'Equal.', updated_at = now() - interval '5 min'";
    world.poll_after(world.in_shop(&format!("update product set {equal} where id < 3"))).await;
    assert_eq!(world.chunks_with("Equal.").await, 2);
}

/// A shop whose products have a column of this type with the time of their last change; all changed long ago. Its
/// database has this time zone.
async fn with_updated_at(column_type: &str, zone: &str, long_ago: &str) -> World {
    let shop = format!("{SHOP} alter table product add changed {column_type} default {long_ago};");
    let world = World::with(&shop, &(SOURCE.to_owned() + "updated_at = \"changed\"\n")).await;
    world.in_shop(&format!("alter database {} set timezone = '{zone}'", database_name(&world.shop))).await;
    world
}

impl World {
    /// Changes the description of a product and its time of change, then polls.
    async fn poll_after_change(&self, id: u32, text: &str, changed: &str) {
        let change = format!("description = '{text}', changed = {changed} where id = {id}");
        self.poll_after(self.in_shop(&format!("update product set {change}"))).await;
    }
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
        let in_zone = async |changes: &str| {
            world.in_shop(&format!("set timezone = '{zone}'; update product set {changes}")).await;
        };
        in_zone(&format!("changed = {now} where id = 1")).await;
        world.poll_and_sync().await;
        // The first change of a product that was the last to change, and one of another.
        for (id, text) in [(1, "Once."), (2, "Twice.")] {
            let change = format!("description = '{text}', changed = {now} where id = {id}");
            world.poll_after(in_zone(&change)).await;
            assert!(world.has(text).await, "{column_type} in {zone}: {text}");
        }
        world.poll_after(world.describe(3, "Unseen.")).await;
        assert!(!world.has("Unseen.").await, "{column_type} in {zone}");
    }
}

#[tokio::test]
async fn a_change_of_the_hour_that_a_local_clock_repeats_is_seen() {
    let world = with_updated_at("timestamp", LOS_ANGELES, "'2026-10-01'").await;
    world.in_shop("update product set changed = '2026-11-01 01:59' where id = 1").await;
    world.poll_and_sync().await;
    // A minute later the clock shows an hour less.
    world.poll_after_change(2, "Later.", "'2026-11-01 01:00'").await;
    assert!(world.has("Later.").await);
    world.poll_after_change(3, "Unseen.", "'2026-11-01 00:40'").await;
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
            world.poll_and_sync().await;
            let text = format!("After {}.", wrong.replace('\'', ""));
            world.poll_after_change(2, &text, now).await;
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
        world.poll_and_sync().await;
        world.poll_after_change(2, "First.", now).await;
        assert!(world.has("First.").await, "{column_type}");
    }
}

#[tokio::test]
async fn a_column_whose_type_changed_is_polled_after_a_full_comparison() {
    let world = with_updated_at("timestamp", TOKYO, "now()").await;
    world.poll_and_sync().await;
    let to_number = "alter table product alter changed drop default,
         alter changed type bigint using extract(epoch from changed)";
    world.in_shop(to_number).await;
    world.poll_after(world.describe(3, "Missed.")).await;
    assert!(world.has("Missed.").await, "a listing saw it");
    world.poll_after_change(2, "Seen.", "extract(epoch from now())").await;
    assert!(world.has("Seen.").await);
}

#[tokio::test]
async fn a_column_that_tells_no_time_is_named_and_the_source_is_listed_all_the_same() {
    let world = with_updated_at("text", TOKYO, "'yesterday'").await;
    let expected = "it cannot be polled by updated_at: `changed` is of the type text";
    assert_contains(stdout(&world.run_line("doctor").await), expected);
    assert_contains(watch(&world, Duration::from_secs(1)).look().await.unwrap_err().to_string(), expected);
    assert_eq!(world.sync().await.added, 3);
}

#[tokio::test]
async fn a_shop_that_was_restored_is_compared_in_full() {
    let world = World::new().await;
    world.poll_and_sync().await;
    let mark = async |path: &str, value: &str| {
        let marked = format!("jsonb_set(poll_mark, '{{{path}}}', '{value}')");
        world.execute(&format!("update shopkeeper.source set poll_mark = {marked}")).await;
    };
    mark("server", "\"another\"").await;
    world.poll_after(world.in_shop("delete from product where id = 1")).await;
    assert_eq!(world.count("document").await, 2, "a listing sees what is gone, a poll does not");
    mark("at,transaction", "99999999999").await;
    world.poll_after(world.in_shop("delete from product where id = 2")).await;
    assert_eq!(world.count("document").await, 1, "transactions that run backwards");
}

#[tokio::test]
async fn a_table_that_was_swapped_or_restored_under_its_name_is_compared_in_full() {
    for restore in [
        "create table new as select * from product where id <> 1; drop table product; alter table new rename to product",
        "alter table product rename to old; create table product (like old including all);
         insert into product select * from old where id <> 1",
    ] {
        let world = World::new().await;
        world.poll_and_sync().await;
        world.poll_after(world.in_shop(restore)).await;
        assert_eq!(world.count("document").await, 2, "{restore}");
    }
}
