//! How models are asked: by their settings, and by what their servers taught.

use std::sync::Mutex;

use crate::prelude::*;
use axum::{Router, http::HeaderMap, response::Redirect, routing::post};
use shopkeeper::{demo::models::Quirk, model::learned::Lessons, store::budgets::ModelAddress};

const SIDES: &str = "[embedding]\ndocument = { prefix = \"passage: \" }\nquestion = { prefix = \"query: \", extra_body = { input_type = \"query\" } }";

async fn with_sides() -> World {
    let mut world = World::new().await;
    world.change_settings("[embedding]", SIDES).await;
    world.sync().await;
    world
}

fn inputs(body: &Value) -> Vec<&str> {
    as_list(&body["input"]).iter().map(as_text).collect()
}

#[tokio::test]
async fn documents_and_questions_are_embedded_each_in_their_own_way() {
    let world = with_sides().await;
    let bodies = world.script().bodies(Operation::Embeddings);
    assert!(inputs(&bodies[0]).iter().all(|input| input.starts_with("passage: ")), "{bodies:?}");
    assert_eq!(world.found("kettle").await[0], "Kettle");
    let asked = world.script().bodies(Operation::Embeddings).pop().unwrap();
    assert_eq!((inputs(&asked), &asked["input_type"]), (vec!["query: kettle"], &json!("query")));
    // What is stored is without the prefix.
    assert!(!world.contents().await.iter().any(|content| content.contains("passage")));
}

#[tokio::test]
async fn another_side_of_documents_embeds_them_anew_and_another_side_of_questions_embeds_nothing() {
    let mut world = with_sides().await;
    let before = world.script().inputs();
    world.change_settings("query: ", "search: ").await;
    world.sync().await;
    assert_eq!(world.script().inputs(), before);
    world.change_settings("passage: ", "document: ").await;
    world.sync().await;
    assert_eq!((world.script().inputs() - before, world.fresh().await), (3, 3));
}

#[tokio::test]
async fn an_index_keeps_the_side_of_documents_that_it_was_made_with() {
    let mut world = with_sides().await;
    let before = world.script().inputs();
    // The settings say nothing any more: another card would, after an upgrade.
    world.change_settings("document = { prefix = \"passage: \" }\n", "").await;
    world.sync().await;
    assert_eq!(world.script().inputs(), before);
    world.describe(3, "New words.").await;
    world.sync().await;
    assert_eq!(
        inputs(&world.script().bodies(Operation::Embeddings).pop().unwrap()),
        ["passage: Kettle. New words."]
    );
    assert_contains(
        stderr(&world.run_line("plan").await),
        "are embedded with {\"prefix\":\"passage: \",\"extra_body\":{}}, as the index was made",
    );
    assert_contains(
        stdout(&world.run_line("doctor").await),
        "its model card says {\"prefix\":\"\",\"extra_body\":{}}",
    );
}

#[tokio::test]
async fn what_a_server_taught_is_kept_for_all_daemons() {
    let mut world = World::synced().await;
    world.script().add_quirk(Quirk::named("gpt5-both").unwrap());
    world.answer_by_sql(KETTLE).await;
    assert_eq!(world.script().requests(Operation::Completions), 3, "each parameter was refused once");
    assert_eq!(world.count("model_lesson").await, 1);
    world.change_settings("[http]", "[http]").await;
    world.answer_by_sql(KETTLE).await;
    let last = world.script().bodies(Operation::Completions).pop().unwrap();
    assert_eq!(world.script().requests(Operation::Completions), 4);
    assert!(last.get("temperature").is_none() && last.get("max_tokens").is_none(), "{last}");
    assert_contains(
        stdout(&world.run_line("doctor").await),
        "max_tokens_parameter = \"max_completion_tokens\"",
    );
}

#[tokio::test]
async fn a_reranker_orders_what_a_search_finds_and_one_that_is_late_changes_nothing() {
    let mut world = World::synced().await;
    let by_distance = world.keys("Which shirt is for tall people?").await;
    let rerank = format!("[rerank]\nbase_url = \"{}\"\nmodel = \"words\"\n[http]", world.models.base_url());
    world.change_settings("[http]", &rerank).await;
    assert_eq!(world.keys("Which shirt is for tall people?").await[0], "2");
    let checked = world.run_json("models check").await;
    let checks = as_list(&checked["checks"]);
    assert!(checks.iter().all(|check| check["ok"] == true), "{checked}");
    let names: Vec<_> = checks.iter().map(|check| as_text(&check["check"])).collect();
    assert_eq!(names, ["embedding", "order", "question", "chat", "stream", "follow-up", "rerank"]);
    world.change_settings("/v1\"\nmodel = \"words\"", "/v2\"\nmodel = \"words\"").await;
    assert_eq!(world.keys("Which shirt is for tall people?").await, by_distance);
    let slow =
        Router::new().route("/v2/rerank", post(async || tokio::time::sleep(Duration::from_mins(1)).await));
    let away = world.models.base_url().replace("/v1", "/v2");
    let late = format!("{}/v2\"\ntimeout = \"50ms\"", serve(slow).await);
    world.change_settings(&format!("{away}\""), &late).await;
    assert_eq!(world.keys("Which shirt is for tall people?").await, by_distance);
}

#[tokio::test]
async fn daemons_that_learn_at_once_keep_what_each_of_them_learnt() {
    let world = World::new().await;
    let (store, model) = (&world.parts.answer.store, ModelAddress { server: "s".into(), model: "m".into() });
    let one = Lessons { stream: Some(false), ..Lessons::default() };
    let other = Lessons { temperature: Some(false), ..Lessons::default() };
    tokio::try_join!(store.keep_lessons(&model, &one), store.keep_lessons(&model, &other)).unwrap();
    let kept = store.lessons().await.unwrap().remove(0).lessons.0;
    assert_eq!((kept.stream, kept.temperature), (Some(false), Some(false)));
}

#[tokio::test]
async fn a_server_of_another_origin_gets_no_key() {
    let other = World::synced().await;
    let target = format!("{}/chat/completions", other.models.base_url());
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let (headers, place) = (seen.clone(), target.clone());
    let redirect = post(move |sent: HeaderMap| {
        headers.lock().unwrap().push(sent);
        let redirect = Redirect::permanent(&place);
        async move { redirect }
    });
    let address = serve(Router::new().route("/v1/chat/completions", redirect)).await;
    let mut world = World::synced().await;
    world.write("key", "s3cret");
    let access = format!(
        "[answers]\nbase_url = \"{address}/v1\"\napi_key = {{ file = \"key\" }}\nheaders = {{ api-key = {{ file = \"key\" }} }}"
    );
    world.change_settings("[answers]", &access).await;
    world.answer_by_sql(KETTLE).await;
    assert_eq!(seen.lock().unwrap()[0]["api-key"], "s3cret");
    let arrived = other.script().headers(Operation::Completions).pop().unwrap();
    assert!(!arrived.contains_key("api-key") && !arrived.contains_key("authorization"), "{arrived:?}");
}
