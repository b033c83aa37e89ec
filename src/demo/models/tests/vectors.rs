//! `/v1/embeddings`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{future, sync::Arc};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn embeddings_have_the_wire_format_of_openai() {
    let caller = Caller::start().await;
    let body = json_of(caller.embed(json!(["a red chair", "a blue chair"]), json!({})).await).await;
    assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!("text-embedding-3-small")));
    assert_eq!(body["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
    assert_eq!((&body["data"][0]["index"], &body["data"][1]["index"]), (&json!(0), &json!(1)));
    assert_eq!(floats(&body["data"][1]).len(), 8);
    let alone = rows_of(caller.embed(json!("a blue chair"), json!({})).await).await;
    assert_eq!(alone[0]["embedding"], body["data"][1]["embedding"]);
}

#[tokio::test]
async fn base64_holds_the_same_numbers_as_float() {
    let caller = Caller::start().await;
    let ask = |format| caller.embed(json!("a chair"), json!({ "encoding_format": format }));
    let (as_float, as_base64) = (rows_of(ask("float").await).await, rows_of(ask("base64").await).await);
    assert_eq!(decoded(&as_base64[0]), floats(&as_float[0]));
    assert_eq!(error_of(ask("hex").await, 400).await["param"], "encoding_format");
}

#[tokio::test]
async fn the_hash_embedder_takes_tokens_and_any_dimensions() {
    let caller = Caller::start().await;
    let body = json_of(caller.embed(json!([[1, 2], [3]]), json!({"dimensions": 100})).await).await;
    assert_eq!(body["data"].as_array().unwrap().len(), 2);
    assert_eq!(floats(&body["data"][0]).len(), 100);
    assert_eq!(body["usage"]["total_tokens"], 3);
    assert_eq!(rows_of(caller.embed(json!([1, 2]), json!({"dimensions": 1})).await).await.len(), 1);
    for dimensions in [0, -1, 70_000] {
        let refused = caller.embed(json!("text"), json!({ "dimensions": dimensions })).await;
        assert_eq!(error_of(refused, 400).await["param"], "dimensions");
    }
}

#[tokio::test]
async fn wrong_inputs_are_refused_with_the_field() {
    let caller = Caller::start().await;
    let wrong = json!([[], "", ["a", ""], ["a", 1], {}, null, [[1, -1]], [[]]]);
    for input in wrong.as_array().unwrap() {
        let error = error_of(caller.embed(input.clone(), json!({})).await, 400).await;
        assert_eq!(error["param"], "input", "{input}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let too_many = caller.embed(json!(vec!["a"; 2049]), json!({})).await;
    assert_eq!(error_of(too_many, 400).await["code"], "array_above_max_length");
    let not_json = caller.post("/embeddings", &json!({})).body("{").send().await.unwrap();
    error_of(not_json, 400).await;
}

#[tokio::test]
async fn faults_of_vectors_change_their_number_length_order_or_values() {
    let caller = Caller::start().await;
    let right = rows_of(caller.embed_two().await).await;
    let faulty = async |fault| {
        caller.server.script().queue(Embeddings, [fault]);
        rows_of(caller.embed_two().await).await
    };
    assert_eq!(faulty(Fault::WrongCount).await, right[..1]);
    caller.server.script().queue(Embeddings, [Fault::WrongCount]);
    assert_eq!(json_of(caller.embed(json!("one"), json!({})).await).await["data"], json!([]));
    let [zeros, shorter] = [faulty(Fault::Zeros("one".into())).await, faulty(Fault::WrongDimension).await];
    assert!(shorter.iter().all(|row| floats(row).len() == 7));
    assert_eq!((floats(&zeros[0]), &zeros[1]), (vec![0.0; 8], &right[1]));
    // Each keeps its index.
    assert_eq!(faulty(Fault::WrongOrder).await, [right[1].clone(), right[0].clone()]);
    let not_finite = faulty(Fault::NotFinite).await;
    assert_eq!((&not_finite[0]["embedding"][0], &not_finite[1]), (&Value::Null, &right[1]));
    let nan = faulty(Fault::Nan("one".into())).await;
    assert_eq!((&nan[0]["embedding"], &nan[1]), (&json!(vec![Value::Null; 8]), &right[1]));
    caller.server.script().queue(Embeddings, [Fault::NotFinite]);
    let encoded =
        rows_of(caller.embed(json!(["one", "two"]), json!({"encoding_format": "base64"})).await).await;
    assert!(decoded(&encoded[0])[0].is_nan());
    assert!(decoded(&encoded[1]).iter().all(|number| number.is_finite()));
    caller.server.script().queue(Completions, [Fault::WrongCount]);
    assert_eq!(json_of(caller.chat(json!({})).await).await["choices"], json!([]));
}

/// Serves a model of 4 dimensions and one that cannot be loaded, and counts what is loaded.
async fn several() -> (Caller, Arc<AtomicUsize>) {
    let loads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&loads);
    let small = Offer::new("small", move || {
        count.fetch_add(1, Ordering::Relaxed);
        future::ready(Ok(Embedder::hash(4)))
    });
    let lost = Offer::new("lost", || future::ready(Err(anyhow::anyhow!("no network"))));
    let embedder = Embedder::ByName(ByName::new([small, lost]));
    (Caller::with(Models::new(embedder, Completer::Echo)).await, loads)
}

#[tokio::test]
async fn of_several_models_a_request_chooses_and_the_first_one_loads() {
    let (caller, loads) = several().await;
    let models = json_of(caller.get("/models").await).await["data"].take();
    let ids: Vec<_> = models.as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["small", "lost", "scripted"]);
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    for name in ["small", "vendor/Small:latest"] {
        let rows = rows_of(caller.embed(json!("text"), json!({ "model": name })).await).await;
        assert_eq!(floats(&rows[0]).len(), 4);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn of_several_models_unknown_and_unavailable_ones_are_refused_with_the_reason() {
    let (caller, _) = several().await;
    let unknown = error_of(caller.embed(json!("text"), json!({})).await, 404).await;
    assert_eq!((&unknown["code"], &unknown["param"]), (&json!("model_not_found"), &json!("model")));
    assert!(unknown["message"].as_str().unwrap().contains("small, lost"), "{unknown}");
    let lost = error_of(caller.embed(json!("text"), json!({"model": "lost"})).await, 500).await;
    assert!(lost["message"].as_str().unwrap().contains("no network"), "{lost}");
}

#[tokio::test]
async fn a_model_goes_on_loading_when_its_client_goes_away() {
    let network = Arc::new(Notify::new());
    let slow = Offer::new("slow", {
        let (network, loads) = (Arc::clone(&network), AtomicUsize::new(0));
        move || {
            assert_eq!(loads.fetch_add(1, Ordering::Relaxed), 0, "it began again");
            let network = Arc::clone(&network);
            async move {
                network.notified().await;
                Ok(Embedder::hash(4))
            }
        }
    });
    let embedders = ByName::new([slow]);
    assert!(embedders.prepare("slow").now_or_never().is_none());
    network.notify_one();
    embedders.prepare("slow").await.unwrap();
}
