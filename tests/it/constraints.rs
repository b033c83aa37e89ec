//! What a question states of products, and what a client filters by.

use crate::prelude::*;

/// Forty lamps, the dearest first; every third is red, and the last ten are sold out.
fn shop() -> String {
    let lamps = (1..=40).map(|n| {
        let (colour, stock) = (["blue", "green", "red"][n % 3], if n > 30 { 0 } else { 3 });
        format!("({n}, 'Lamp {n}', 'A lamp for the desk.', {}, {stock}, '{colour}')", 205 - 5 * n)
    });
    format!(
        "create table product (id integer primary key, name text not null, description text not null,
             price numeric(10, 2) not null, stock integer not null, colour text);
         insert into product values {}",
        lamps.collect::<Vec<_>>().join(", ")
    )
}

fn source() -> String {
    SOURCE.replace("[\"price\", \"stock\"]", "[\"price\", \"stock\", \"colour\"]")
}

#[tokio::test]
async fn documents_that_meet_what_a_question_states_come_first() {
    let mut world = World::synced_with(&shop(), &source()).await;
    let metadata = async |world: &World, question: &str| -> Vec<Value> {
        let found = world.parts.retriever.look_up(question, SearchFilter::default(), 5).await.unwrap();
        assert_eq!(found.len(), 5);
        found.iter().map(|passage| serde_json::from_str(passage.metadata.get()).unwrap()).collect()
    };
    let question = "Which lamp for the desk is there in red under 90 euros and in stock?";
    // Two are: 26 and 29.
    let fits =
        |lamp: &Value| lamp["price"].as_f64() < Some(90.0) && lamp["colour"] == "red" && lamp["stock"] != 0;
    let found = metadata(&world, question).await;
    assert!(found[..2].iter().all(fits), "{found:?}");
    let words: Vec<_> = world.parts.retriever.constraints(question).await;
    let words: BTreeSet<_> = words.iter().map(|stated| stated.field.as_str()).collect();
    assert_eq!(words, BTreeSet::from(["colour", "price", "stock"]));

    world.change_settings("[answers]", "[answers]\nconstraints = false").await;
    let found = metadata(&world, question).await;
    assert!(!found[..2].iter().all(fits), "{found:?}");
}

#[tokio::test]
async fn a_filter_of_conditions_is_met_by_http_and_sql_and_a_wrong_one_is_refused() {
    let (world, daemon) = World::synced_with(&shop(), &source()).await.with_daemon().await;
    let search = async |filter: Value| {
        daemon
            .send(Method::POST, "/v1/search", json!({ "query": "a lamp", "top_k": 50, "filter": filter }))
            .await
    };
    let keys = async |filter: Value| -> Vec<u32> {
        let results = assert_reply(search(filter).await, 200, json!({}))["results"].take();
        let mut keys: Vec<_> =
            as_list(&results).iter().map(|found| as_text(&found["key"]).parse().unwrap()).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(json!({ "price": { "gte": 190, "lt": 200 } })).await, [2, 3]);
    assert_eq!(keys(json!({ "price": { "lte": 20 }, "colour": { "not": ["red", "blue"] } })).await, [37, 40]);
    assert_eq!(keys(json!({ "colour": "red", "stock": { "in": [0] } })).await, [32, 35, 38]);
    let problem = assert_problem(search(json!({ "price": { "lt": "cheap" } })).await, 400, "invalid_request");
    assert_contains(&problem, "\"price\"");
    assert_contains(&problem, "\"cheap\"");

    let ask = |filter: &str| format!("select shopkeeper.ask('Which lamp?', filter => '{filter}')");
    let id: Uuid = world.value(&ask(r#"{"price": {"gt": 195}}"#)).await;
    world.until_settled(&id.to_string()).await;
    let sources = format!(
        "select string_agg(source ->> 'key', ' ') from shopkeeper.answer, jsonb_array_elements(sources) as source where id = '{id}'"
    );
    assert_eq!(world.text(&sources).await, "1");
    let id: Uuid = world.value(&ask(r#"{"price": {"gt": true}}"#)).await;
    world.until_settled(&id.to_string()).await;
    let error = world.text(&format!("select error from shopkeeper.answer where id = '{id}'")).await;
    assert_contains(error, "\"price\"");
    daemon.stop().await;
}
