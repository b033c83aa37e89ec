//! Variants of one product.

use crate::prelude::*;

const VARIANTS: &str = "
create table product (
    id integer primary key, model text, name text not null, description text not null, size integer,
    price numeric(10, 2) not null, stock integer not null
);
insert into product values
    (1, 'boot', 'Boot Fjell 40', 'Leather boot for wet paths.', 40, 119.00, 3),
    (2, 'boot', 'Boot Fjell 42', 'Leather boot for wet paths.', 42, 119.00, 0),
    (3, 'boot', 'Boot Fjell 44', 'Leather boot for wet paths.', 44, 129.00, 7),
    (4, 'boot', 'Boot Fjell 46', 'Leather boot for wet paths.', 46, 129.00, 1),
    (5, null, 'Boot wax', 'Wax for a leather boot on wet paths.', null, 9.50, 20),
    (6, null, 'Kettle', 'Steel kettle that holds two litres.', null, 45.00, 9);
";

fn source() -> String {
    SOURCE.replace(
        "metadata = [\"price\", \"stock\"]",
        "metadata = [\"price\", \"stock\", \"size\"]\ngroup = \"model\"",
    )
}

#[tokio::test]
async fn a_family_counts_once_and_the_variant_that_is_asked_for_brings_the_others() {
    let (world, daemon) = World::synced_with(VARIANTS, &source()).await.with_daemon().await;
    let asked = "Is there a leather boot for wet paths in size 44?";
    let found = world.keys(asked).await;
    assert_eq!(found[0], "3", "{found:?}");
    let boots = |keys: &[String]| keys.iter().filter(|key| "1234".contains(key.as_str())).count();
    assert_eq!(boots(&found[..3]), 1, "{found:?}");
    // The price of another variant is founded.
    world.script().always(Operation::Completions, says("The Boot Fjell 40 costs 119.00 [1]."));
    let answer = daemon.ask_for(&world, question(asked)).await;
    assert_eq!(answer["outcome"], "answered", "{answer}");
    assert_eq!(answer["sources"][0]["key"], "3", "{answer}");
    // What other variants cost is no part of what the answer is watched for.
    assert_eq!(world.parts.outdated.mark("product").await.unwrap(), 0);
    world.in_shop("update product set model = null where id in (1, 2, 4)").await;
    world.sync_full().await;
    let apart = world.keys("leather boot for wet paths").await;
    assert!(boots(&apart) == 4, "{apart:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_column_that_a_group_names_must_be_there() {
    let world = World::with(VARIANTS, &source().replace("\"model\"", "\"modell\"")).await;
    world.run_failing("config check", 2, "group names the column `modell`").await;
}
