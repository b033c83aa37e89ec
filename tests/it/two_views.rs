//! A second model whose vectors are searched beside those of the first.

use crate::prelude::*;
use shopkeeper::{
    answering::Passage,
    demo::models::{Completer, Embedder, Models, OfflineServer},
    store::search::SearchFilter,
};

const NEXT: &str = "
[embedding.next]
model = \"text-embedding-3-large\"
dimensions = 128
";

/// The server of the second model, and the settings that name it.
async fn second_server() -> (OfflineServer, String) {
    let models = Models::new(Embedder::hash(32), Completer::Extractive);
    let server = OfflineServer::start(models).await.unwrap();
    let settings = format!(
        "[embedding.second]\nmodel = \"other\"\ndimensions = 32\nusd_per_million_tokens = 500\nbase_url = \"{}\"\n",
        server.base_url()
    );
    (server, settings)
}

/// The small shop, indexed and searched by two models.
async fn shop() -> (World, OfflineServer) {
    let (server, second) = second_server().await;
    let world = World::synced_with(SHOP, &(SOURCE.to_owned() + &second)).await;
    until_searched(&world, 1, Some(2)).await;
    (world, server)
}

/// Waits until these versions are searched.
async fn until_searched(world: &World, first: i32, second: Option<i32>) {
    let are_searched = async || {
        let searched = world.parts.versions.searched().await.unwrap();
        (searched.first.index.id, searched.second.map(|second| second.index.id)) == (first, second)
    };
    wait_until("other versions are searched", are_searched).await;
}

async fn passages(world: &World, question: &str) -> Vec<Passage> {
    world.parts.retriever.look_up(question, SearchFilter::default(), 5).await.unwrap()
}

/// The chunks of each version, by key and text; all versions must have the same.
async fn chunks(world: &World) -> Vec<(String, String)> {
    let of = async |version: i32| {
        let chunks = format!(
            "select key, content from shopkeeper.chunk where version = {version} order by key, ordinal"
        );
        world.rows::<(String, String)>(&chunks).await
    };
    let first = of(1).await;
    assert_eq!(first, of(2).await);
    first
}

#[tokio::test]
async fn a_new_index_is_made_by_both_models_and_follows_the_shop_in_both() {
    let (world, _server) = shop().await;
    assert_eq!(chunks(&world).await.len(), 3);
    let lengths = "select array_agg(distinct vector_dims(embedding) order by vector_dims(embedding)) from shopkeeper.chunk";
    assert_eq!(world.value::<Vec<i32>>(lengths).await, [32, 64]);

    world.describe(3, "Glass kettle.").await;
    world.sync().await;
    assert!(chunks(&world).await.contains(&("3".to_owned(), "Kettle. Glass kettle.".to_owned())));
    world.sync_after(world.in_shop("delete from product where id = 3")).await;
    assert_eq!(chunks(&world).await.len(), 2);
    let index = world.run_json("index list").await;
    assert_eq!(index["index"][1]["state"], "ready");
}

#[tokio::test]
async fn what_only_one_model_finds_is_found() {
    let (world, _server) = shop().await;
    let kettle = async |world: &World| {
        let found = passages(world, KETTLE).await;
        let place = found.iter().position(|passage| passage.key == "3").unwrap();
        (place, found[place].rank, found[place].second_rank)
    };
    assert_eq!(kettle(&world).await, (0, Some(1), Some(1)));
    // As if the first model took the kettle for another shirt.
    let mistake = "update shopkeeper.chunk set embedding = (
             select embedding from shopkeeper.chunk where version = 1 and key = '2'
         ) where version = 1 and key = '3'";
    world.execute(mistake).await;
    assert_eq!(kettle(&world).await, (0, Some(2), Some(1)));
}

#[tokio::test]
async fn a_model_that_is_away_costs_quality_and_no_answer() {
    let (world, server) = shop().await;
    let answer = async |world: &World| -> Value {
        let id = world.ask_by_sql(KETTLE).await;
        world.with_workers(world.until_settled(&id.to_string())).await;
        let object =
            format!("select shopkeeper.answer_object(a)::text from shopkeeper.answer as a where id = '{id}'");
        serde_json::from_str(&world.text(&object).await).unwrap()
    };
    server.script().always(Operation::Embeddings, AWAY);
    let by_the_first = answer(&world).await;
    assert_contains(as_text(&by_the_first["answer"]["text"]), "two litres");
    assert_eq!(by_the_first["needs_escalation"], false);

    server.script().clear();
    world.script().always(Operation::Embeddings, AWAY);
    let by_the_second = answer(&world).await;
    assert_contains(as_text(&by_the_second["answer"]["text"]), "two litres");
    assert_eq!(by_the_second["needs_escalation"], true, "how near it is, is unknown");

    server.script().always(Operation::Embeddings, AWAY);
    let id = world.ask_by_sql(KETTLE).await;
    let waits = world.until_some("job where kind = 'answer_question' and last_error like '%503%'");
    world.with_workers(waits).await;
    world.script().clear();
    world.hurry().await;
    world.with_workers(world.until_completed(id)).await;
}

#[tokio::test]
async fn documents_wait_for_the_second_model_alone_while_it_is_away() {
    let (world, server) = shop().await;
    server.script().always(Operation::Embeddings, AWAY);
    world.describe(3, "Glass kettle.").await;
    world.try_sync().await.unwrap();
    let changed = |version| format!("chunk where version = {version} and content = 'Kettle. Glass kettle.'");
    world.with_workers(world.until_some(&changed(1))).await;
    assert_eq!(world.count(&changed(2)).await, 0);
    // It has no vector of its own text in the second version, and is found by the first.
    assert_eq!(world.keys("Glass kettle").await[0], "3");
    server.script().clear();
    world.hurry().await;
    world.drain().await;
    assert_eq!(chunks(&world).await.len(), 3);
}

#[tokio::test]
async fn a_second_model_is_added_to_an_index_by_a_command_that_shows_its_cost() {
    let mut world = World::synced().await;
    let (_server, second) = second_server().await;
    world.run_failing("index create --second", 2, "[embedding.second]").await;
    world.change_settings("[answers]", &format!("{second}[answers]")).await;
    assert_eq!(world.count("index_version").await, 1, "an index that is searched gets no other by itself");
    assert_eq!(passages(&world, KETTLE).await[0].second_rank, None);

    let plan = world.run_ok("plan --json").await;
    let plans: Vec<Value> = plan.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let figures =
        |plan: &Value| (plan["model"].clone(), plan["chunks"].clone(), plan["cost_usd"].as_f64() > Some(0.0));
    assert_eq!(
        plans.iter().map(figures).collect::<Vec<_>>(),
        [(json!("hash"), json!(0), false), (json!("other"), json!(3), true)]
    );

    world.run_ok("index create --second --yes --wait").await;
    world.parts = daemon::prepare(&world.config, &world.store).await.unwrap();
    assert_eq!(chunks(&world).await.len(), 3);
    assert_eq!(passages(&world, KETTLE).await[0].second_rank, Some(1));
    world.run_ok("index create --second --yes").await;
    assert_eq!(world.count("index_version").await, 2, "it exists");
}

#[tokio::test]
async fn the_next_model_is_promoted_and_taken_back_beside_the_second() {
    let (_server, second) = second_server().await;
    let world = World::synced_with(SHOP, &(SOURCE.to_owned() + &second + NEXT)).await;
    world.run_ok("index create --yes --wait").await;
    for (command, first) in [("index promote 3", 3), ("index rollback", 1)] {
        world.run_ok(command).await;
        until_searched(&world, first, Some(2)).await;
        let found = passages(&world, KETTLE).await;
        assert_eq!((&*found[0].key, found[0].rank, found[0].second_rank), ("3", Some(1), Some(1)));
    }
    // Without it, the first is searched alone.
    world.run_ok("index drop 2").await;
    until_searched(&world, 1, None).await;
    assert_eq!(passages(&world, KETTLE).await[0].second_rank, None);
}
