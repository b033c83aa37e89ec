use serde_json::{Value, json};

use super::*;
use crate::demo::{
    models::{
        Completer, Embedder, Models, OfflineServer,
        transformer::BATCH,
        vector::{cosine, floats},
    },
    packages,
};

async fn model() -> Minilm {
    Minilm::load(&packages::minilm_weights().await.unwrap()).unwrap()
}

async fn embed(model: &Minilm, texts: &[&str]) -> (Vec<Vec<f32>>, usize) {
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    let (vectors, tokens) = model.0.embed(texts.into()).await.unwrap();
    (vectors.iter().map(|vector| floats(vector).collect()).collect(), tokens)
}

#[tokio::test]
async fn texts_with_similar_meanings_are_close() {
    let texts = ["How do I send a product back?", "Our return policy", "A lamp made of brass"];
    let (vectors, tokens) = embed(&model().await, &texts).await;
    assert_eq!(tokens, 10 + 5 + 7);
    let [question, returns, lamp] = &vectors[..] else { panic!("{} vectors", vectors.len()) };
    assert!((cosine(question, question) - 1.0).abs() < 1e-5);
    let (near, far) = (cosine(question, returns), cosine(question, lamp));
    assert!(near > far + 0.2, "{near} and {far}");
}

#[tokio::test]
async fn the_vectors_are_those_of_the_published_model() {
    let (vectors, _) = embed(&model().await, &["This is an example sentence"]).await;
    // From the model card.
    for (ours, published) in vectors[0].iter().zip([0.0677, 0.0635, 0.0487, 0.0793, 0.0374, 0.0027]) {
        assert!((ours - published).abs() < 6e-4, "{ours} instead of {published}");
    }
}

#[tokio::test]
async fn a_text_has_the_same_vector_alone_and_in_a_batch() {
    let model = model().await;
    let long = "A long text about a chair of oak and what can be done with it. ".repeat(30);
    let many: Vec<String> = (0..BATCH + 3).map(|n| format!("chair {n} {}", &long[..n * 8])).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (together, _) = embed(&model, &many).await;
    for index in [0, 1, BATCH - 1, BATCH + 2] {
        let (alone, _) = embed(&model, &[many[index]]).await;
        assert!(cosine(&alone[0], &together[index]) > 0.9999, "text {index}");
    }
}

#[tokio::test]
async fn what_follows_256_tokens_is_cut_off() {
    let texts = [&*"chair ".repeat(254), &*"chair ".repeat(900)];
    let (vectors, tokens) = embed(&model().await, &texts).await;
    assert_eq!(tokens, 2 * MAX_TOKENS);
    assert!(cosine(&vectors[0], &vectors[1]) > 0.9999);
}

#[test]
fn a_missing_file_is_named() {
    let error = Minilm::load(Path::new("/nonexistent")).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/config.json"), "{error}");
}

#[tokio::test]
async fn the_server_refuses_tokens_and_other_dimensions() {
    let models = Models::new(Embedder::Minilm(model().await), Completer::Echo);
    let server = OfflineServer::start(models).await.unwrap();
    crate::http_client::prepare();
    let (http, url) = (reqwest::Client::new(), format!("{}/embeddings", server.base_url()));
    let ask = async |body: Value| {
        let response = http.post(&url).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (status, body) = ask(json!({"model": "m", "input": [1, 2]})).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("input")));
    let (status, body) = ask(json!({"model": "m", "input": "text", "dimensions": 385})).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("dimensions")));
    let (_, body) = ask(json!({"model": "m", "input": ["one", "two"], "dimensions": 384})).await;
    assert_eq!(body["data"][1]["embedding"].as_array().unwrap().len(), DIMENSIONS);
}
