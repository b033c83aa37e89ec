//! Faults, and the script that causes them.

use super::*;

#[tokio::test]
async fn a_status_fault_answers_with_its_status_and_retry_after() {
    let caller = Caller::start().await;
    for (code, retry_after_ms, header, kind) in [
        (429, Some(1500), Some("2"), "requests"),
        (429, None, None, "requests"),
        (500, None, None, "server_error"),
        (503, Some(0), Some("0"), "server_error"),
    ] {
        let retry_after = retry_after_ms.map(Duration::from_millis);
        caller.server.script().queue(Completions, [Fault::Status { code, retry_after }]);
        let response = caller.chat(json!({})).await;
        assert_eq!(response.headers().get("retry-after").map(|value| value.to_str().unwrap()), header);
        assert_eq!(error_of(response, code).await["type"], kind);
        assert_eq!(caller.chat(json!({})).await.status(), 200);
    }
}

#[tokio::test]
async fn a_cut_connection_breaks_within_the_body() {
    let caller = Caller::with_fault(Embeddings, Fault::CutConnection).await;
    caller.server.script().queue(Completions, [Fault::CutConnection]);
    let (vectors, stream) = (caller.embed_two().await, caller.chat(json!({"stream": true})).await);
    for (mut response, beginning) in [(vectors, "{\"object\":\"list\""), (stream, "data: {")] {
        assert_eq!(response.status(), 200);
        assert!(response.chunk().await.unwrap().unwrap().starts_with(beginning.as_bytes()));
        assert!(response.bytes().await.is_err(), "the body ended as if it were whole");
    }
}

#[tokio::test]
async fn bad_json_ends_too_early() {
    let caller = Caller::with_fault(Embeddings, Fault::BadJson).await;
    caller.server.script().queue(Completions, [Fault::BadJson]);
    let vectors = caller.embed_two().await.text().await.unwrap();
    let stream = caller.chat(json!({"stream": true})).await.text().await.unwrap();
    for text in [&*vectors, stream.strip_prefix("data: ").unwrap()] {
        assert!(serde_json::from_str::<Value>(text).unwrap_err().is_eof(), "{text}");
    }
}

#[tokio::test]
async fn nonsense_is_a_page_with_status_200() {
    let caller = Caller::with_fault(Completions, Fault::Nonsense).await;
    let response = caller.chat(json!({})).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert!(response.text().await.unwrap().starts_with("<!doctype html>"));
}

#[tokio::test]
async fn an_input_cap_refuses_only_what_is_above_it() {
    let caller = Caller::start().await;
    caller.server.script().always(Embeddings, Fault::InputCap(2));
    assert_eq!(caller.embed_two().await.status(), 200);
    let error = error_of(caller.embed(json!(["one", "two", "three"]), json!({})).await, 400).await;
    assert_eq!(error["code"], "array_above_max_length");
    assert!(error["message"].as_str().unwrap().contains("maximum length 2"));
}

#[tokio::test]
async fn a_script_counts_and_keeps_what_was_asked() {
    let caller = Caller::start().await;
    caller.embed_two().await;
    caller.embed(json!("three"), json!({})).await;
    caller.chat(json!({"seed": 7})).await;
    let script = caller.server.script();
    assert_eq!((script.requests(Embeddings), script.requests(Completions), script.inputs()), (2, 1, 3));
    assert_eq!(script.bodies(Embeddings)[0]["input"], json!(["one", "two"]));
    assert_eq!(script.bodies(Completions)[0]["seed"], 7);
}

#[tokio::test]
async fn another_process_can_drive_the_script() {
    let caller = Caller::start().await;
    let url = caller.server.base_url().replace("/v1", "/_script");
    let add = |lines: Value| caller.http.post(&url).json(&lines).send();
    let lines = json!([
        {"operation": "embeddings", "fault": {"status": {"code": 503}}},
        {"operation": "embeddings", "fault": {"status": {"code": 500}}, "standing": true},
    ]);
    assert_eq!(add(lines).await.unwrap().status(), 200);
    for status in [503, 500, 500] {
        assert_eq!(caller.embed_two().await.status(), status);
    }
    let counts = json_of(caller.http.get(&url).send().await.unwrap()).await;
    assert_eq!(counts, json!({"requests": {"embeddings": 3, "completions": 0}, "inputs": 6}));
    assert_eq!(caller.http.delete(&url).send().await.unwrap().status(), 200);
    assert_eq!(caller.embed_two().await.status(), 200);
    assert_eq!(caller.server.script().requests(Embeddings), 1);
    let unknown = add(json!([{"operation": "embeddings", "fault": "flood"}])).await.unwrap();
    error_of(unknown, 400).await;
}
