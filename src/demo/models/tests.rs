//! The server as its clients see it: over HTTP on loopback.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use async_openai::types::embeddings::{CreateEmbeddingRequestArgs, EncodingFormat};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::demo::models::*;

struct Caller {
    server: OfflineServer,
    http: reqwest::Client,
}

impl Caller {
    async fn of(models: Models) -> Self {
        crate::http_client::prepare();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { server: OfflineServer::start(models).await.unwrap(), http }
    }

    async fn start() -> Self {
        Self::of(Models::new(Embedder::hash(8), Completer::Fixed("Three blue lamps are here.".into()))).await
    }

    async fn with_fault(operation: Operation, fault: Fault) -> Self {
        let caller = Self::start().await;
        caller.server.script().queue(operation, [fault]);
        caller
    }

    fn request(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.server.base_url())).bearer_auth("any").json(body)
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.request(path, &body).send().await.unwrap()
    }

    async fn embed(&self, input: Value) -> Response {
        self.post("/embeddings", json!({"model": "text-embedding-3-small", "input": input})).await
    }

    async fn embed_two(&self) -> Response {
        self.embed(json!(["one", "two"])).await
    }

    async fn chat(&self, mut more: Value) -> Response {
        more["model"] = json!("gpt-5");
        more["messages"] = json!([{"role": "user", "content": "Which lamps?"}]);
        self.post("/chat/completions", more).await
    }

    fn openai(&self) -> Client<OpenAIConfig> {
        Client::with_config(OpenAIConfig::new().with_api_base(self.server.base_url()).with_api_key("any"))
    }
}

async fn error_of(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    let fields: Vec<_> = body["error"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["message", "type", "param", "code"]);
    (status, body["error"].clone())
}

async fn json_of(response: Response) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

fn floats(embedding: &Value) -> Vec<f32> {
    serde_json::from_value(embedding.clone()).unwrap()
}

fn decoded(embedding: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(embedding.as_str().unwrap()).unwrap();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[tokio::test]
async fn embeddings_have_the_wire_format_of_openai() {
    let caller = Caller::start().await;
    let body = json_of(caller.embed(json!(["a red chair", "a blue chair"])).await).await;
    assert_eq!(body["object"], "list");
    assert_eq!(body["model"], "text-embedding-3-small");
    assert_eq!(body["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
    let indices: Vec<_> = body["data"].as_array().unwrap().iter().map(|row| row["index"].clone()).collect();
    assert_eq!(indices, [json!(0), json!(1)]);
    assert_eq!(floats(&body["data"][1]["embedding"]).len(), 8);
    let alone = json_of(caller.embed(json!("a blue chair")).await).await;
    assert_eq!(alone["data"][0]["embedding"], body["data"][1]["embedding"]);
}

#[tokio::test]
async fn base64_holds_the_same_numbers_as_float() {
    let caller = Caller::start().await;
    let ask = |format| {
        caller.post("/embeddings", json!({"model": "m", "input": "a chair", "encoding_format": format}))
    };
    let (as_float, as_base64) = (json_of(ask("float").await).await, json_of(ask("base64").await).await);
    assert_eq!(decoded(&as_base64["data"][0]["embedding"]), floats(&as_float["data"][0]["embedding"]));
    let (status, error) = error_of(ask("hex").await).await;
    assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("encoding_format")));
}

#[tokio::test]
async fn the_hash_embedder_takes_tokens_and_any_dimensions() {
    let caller = Caller::start().await;
    let ask = |input, dimensions| {
        caller.post("/embeddings", json!({"model": "m", "input": input, "dimensions": dimensions}))
    };
    let body = json_of(ask(json!([[1, 2], [3]]), json!(100)).await).await;
    assert_eq!(body["data"].as_array().unwrap().len(), 2);
    assert_eq!(floats(&body["data"][0]["embedding"]).len(), 100);
    assert_eq!(body["usage"]["total_tokens"], 3);
    assert_eq!(json_of(ask(json!([1, 2]), json!(1)).await).await["data"].as_array().unwrap().len(), 1);
    for dimensions in [json!(0), json!(-1), json!(70_000)] {
        let (status, error) = error_of(ask(json!("text"), dimensions).await).await;
        assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("dimensions")));
    }
}

#[tokio::test]
async fn wrong_inputs_are_refused_with_the_field() {
    let caller = Caller::start().await;
    for input in [
        json!([]),
        json!(""),
        json!(["a", ""]),
        json!(["a", 1]),
        json!({}),
        json!(null),
        json!([[1, -1]]),
        json!([[]]),
    ] {
        let (status, error) = error_of(caller.embed(input.clone()).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{input}");
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!("input"), &json!("invalid_request_error")),
            "{input}"
        );
    }
    let (_, error) = error_of(caller.embed(json!(vec!["a"; 2049])).await).await;
    assert_eq!(error["code"], "array_above_max_length");
    let not_json =
        caller.http.post(format!("{}/embeddings", caller.server.base_url())).body("{").send().await.unwrap();
    assert_eq!(error_of(not_json).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_completion_has_the_wire_format_of_openai() {
    let caller = Caller::start().await;
    let body = json_of(caller.chat(json!({"temperature": 0.2})).await).await;
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("gpt-5")));
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["content"], "Three blue lamps are here.");
    assert_eq!((&choice["message"]["role"], &choice["finish_reason"]), (&json!("assistant"), &json!("stop")));
    assert_eq!(body["usage"], json!({"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}));
    let (status, error) = error_of(caller.chat(json!({"temperature": 2.5})).await).await;
    assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("temperature")));
}

#[tokio::test]
async fn max_tokens_cut_a_completion() {
    let caller = Caller::start().await;
    for field in ["max_tokens", "max_completion_tokens"] {
        let choice = json_of(caller.chat(json!({field: 2})).await).await["choices"][0].take();
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!("Three bl"), &json!("length"))
        );
    }
}

#[tokio::test]
async fn a_streamed_completion_comes_in_chunks_and_ends_with_done() {
    let caller = Caller::start().await;
    let response = caller.chat(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let mut events: Vec<_> =
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    assert_eq!(events.pop(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"])
    );
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let words: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(words.concat(), "Three blue lamps are here.");
    let last = &chunks[chunks.len() - 1];
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(10)));
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn models_are_listed_and_unknown_routes_are_refused() {
    let caller = Caller::start().await;
    let get = |path: &str| caller.http.get(format!("{}{path}", caller.server.base_url())).send();
    let ids: Vec<_> = json_of(get("/models").await.unwrap()).await["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(ids, ["hash", "scripted"]);
    for path in ["/nothing", "/embeddings"] {
        let (status, error) = error_of(get(path).await.unwrap()).await;
        assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!("unknown_url")));
    }
}

#[tokio::test]
async fn the_client_of_production_understands_the_answers() {
    let caller = Caller::of(Models::new(Embedder::hash(1536), Completer::Echo)).await;
    let openai = caller.openai();
    let mut request = CreateEmbeddingRequestArgs::default();
    request.model("text-embedding-3-small").input(["a red chair", "a blue chair"]);
    let floats = openai.embeddings().create(request.build().unwrap()).await.unwrap();
    let request = request.encoding_format(EncodingFormat::Base64).build().unwrap();
    let encoded = openai.embeddings().create_base64(request).await.unwrap();
    let second: Vec<f32> = encoded.data[1].embedding.clone().into();
    assert_eq!(second.len(), 1536);
    assert_eq!(second, floats.data[1].embedding);

    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-5")
        .messages([ChatCompletionRequestUserMessage::from("Which lamps?").into()])
        .build()
        .unwrap();
    let answer = openai.chat().create(request).await.unwrap();
    assert_eq!(answer.choices[0].message.content.as_deref(), Some("Which lamps?"));
}

#[tokio::test]
async fn the_client_of_production_understands_the_errors() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::InsufficientQuota).await;
    let request = CreateEmbeddingRequestArgs::default().model("m").input("text").build().unwrap();
    let Err(OpenAIError::ApiError(error)) = caller.openai().embeddings().create(request).await else {
        panic!("expected an error of the API");
    };
    assert_eq!(error.status_code, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(error.api_error.code.as_deref(), Some("insufficient_quota"));
    assert_eq!(caller.server.script().requests(Operation::Embeddings), 1);
}

#[tokio::test]
async fn a_status_fault_answers_with_its_status_and_retry_after() {
    for (code, retry_after, kind) in [
        (429, Some(1500), "requests"),
        (429, None, "requests"),
        (500, None, "server_error"),
        (503, Some(0), "server_error"),
    ] {
        let retry_after = retry_after.map(Duration::from_millis);
        let caller = Caller::with_fault(Operation::Completions, Fault::Status { code, retry_after }).await;
        let response = caller.chat(json!({})).await;
        let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header, retry_after.map(|wait| wait.as_secs_f64().ceil().to_string()));
        let (status, error) = error_of(response).await;
        assert_eq!((status.as_u16(), error["type"].as_str()), (code, Some(kind)));
        assert_eq!(caller.chat(json!({})).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn insufficient_quota_is_a_429_of_its_own() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::InsufficientQuota).await;
    let (status, error) = error_of(caller.embed_two().await).await;
    assert_eq!((status, &error["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("insufficient_quota")));
}

#[tokio::test]
async fn a_cut_connection_breaks_within_the_body() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::CutConnection).await;
    let mut response = caller.embed_two().await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.chunk().await.unwrap().unwrap().starts_with(b"{\"object\":\"list\""));
    assert!(response.chunk().await.is_err());

    caller.server.script().queue(Operation::Completions, [Fault::CutConnection]);
    let mut response = caller.chat(json!({"stream": true})).await;
    assert!(response.chunk().await.unwrap().unwrap().starts_with(b"data: {"));
    let error = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(error.is_some(), "the stream ended as if it were whole");
}

#[tokio::test]
async fn a_slow_answer_is_late_but_whole() {
    let delay = Duration::from_millis(30);
    for fault in [Fault::Slow(delay), Fault::SlowBody(delay)] {
        let caller = Caller::with_fault(Operation::Embeddings, fault).await;
        let began = std::time::Instant::now();
        assert_eq!(json_of(caller.embed_two().await).await["data"].as_array().unwrap().len(), 2);
        assert!(began.elapsed() >= delay);
    }
}

#[tokio::test]
async fn a_slow_answer_runs_into_the_time_limit_of_the_client() {
    let hour = Duration::from_hours(1);
    let caller = Caller::with_fault(Operation::Embeddings, Fault::Slow(hour)).await;
    let request = caller.request("/embeddings", &json!({"model": "m", "input": "text"}));
    let error = request.timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(error.is_timeout());
    caller.server.script().queue(Operation::Embeddings, [Fault::SlowBody(hour)]);
    let request = caller.request("/embeddings", &json!({"model": "m", "input": "text"}));
    let response = request.timeout(Duration::from_millis(500)).send().await.unwrap();
    assert!(response.bytes().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_held_request_waits_until_it_is_released() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::Held).await;
    let script = caller.server.script();
    let release = async {
        script.arrived(Operation::Embeddings, 1).await;
        // The held request does not hold the next one.
        assert_eq!(caller.embed_two().await.status(), StatusCode::OK);
        script.release();
    };
    let (held, ()) = tokio::join!(caller.embed_two(), release);
    assert_eq!(held.status(), StatusCode::OK);
}

#[tokio::test]
async fn latency_is_added_to_every_answer() {
    let latency = Duration::from_millis(20);
    let caller = Caller::of(Models::new(Embedder::hash(8), Completer::Echo).with_latency(latency)).await;
    let began = std::time::Instant::now();
    caller.embed_two().await;
    caller.chat(json!({})).await;
    assert!(began.elapsed() >= 2 * latency);
}

#[tokio::test]
async fn wrong_count_leaves_out_the_last_vector_or_the_choice() {
    let caller = Caller::start().await;
    caller.server.script().always(Operation::Embeddings, Fault::WrongCount);
    caller.server.script().always(Operation::Completions, Fault::WrongCount);
    assert_eq!(json_of(caller.embed_two().await).await["data"].as_array().unwrap().len(), 1);
    assert_eq!(json_of(caller.embed(json!("one")).await).await["data"], json!([]));
    assert_eq!(json_of(caller.chat(json!({})).await).await["choices"], json!([]));
}

#[tokio::test]
async fn wrong_dimension_shortens_every_vector() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::WrongDimension).await;
    let body = json_of(caller.embed_two().await).await;
    for row in body["data"].as_array().unwrap() {
        assert_eq!(floats(&row["embedding"]).len(), 7);
    }
}

#[tokio::test]
async fn wrong_order_reverses_the_vectors_and_keeps_their_indices() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::WrongOrder).await;
    let reversed = json_of(caller.embed_two().await).await;
    let right = json_of(caller.embed_two().await).await;
    assert_eq!(reversed["data"][0]["index"], 1);
    assert_eq!(reversed["data"][0], right["data"][1]);
    assert_eq!(reversed["data"][1], right["data"][0]);
}

#[tokio::test]
async fn bad_json_ends_too_early() {
    let caller = Caller::with_fault(Operation::Embeddings, Fault::BadJson).await;
    let text = caller.embed_two().await.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).unwrap_err().is_eof());
    caller.server.script().queue(Operation::Completions, [Fault::BadJson]);
    let text = caller.chat(json!({"stream": true})).await.text().await.unwrap();
    let data = text.strip_prefix("data: ").unwrap();
    assert!(serde_json::from_str::<Value>(data).unwrap_err().is_eof());
}

#[tokio::test]
async fn nonsense_is_a_page_with_status_200() {
    let caller = Caller::with_fault(Operation::Completions, Fault::Nonsense).await;
    let response = caller.chat(json!({})).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert!(response.text().await.unwrap().starts_with("<!doctype html>"));
}

#[tokio::test]
async fn not_finite_puts_a_nan_into_the_first_vector() {
    let caller = Caller::start().await;
    caller.server.script().always(Operation::Embeddings, Fault::NotFinite);
    assert_eq!(json_of(caller.embed_two().await).await["data"][0]["embedding"][0], Value::Null);
    let body = json!({"model": "m", "input": ["one", "two"], "encoding_format": "base64"});
    let body = json_of(caller.post("/embeddings", body).await).await;
    assert!(decoded(&body["data"][0]["embedding"])[0].is_nan());
    assert!(decoded(&body["data"][1]["embedding"]).iter().all(|number| number.is_finite()));
}

#[tokio::test]
async fn an_input_cap_refuses_only_what_is_above_it() {
    let caller = Caller::start().await;
    caller.server.script().always(Operation::Embeddings, Fault::InputCap(2));
    assert_eq!(caller.embed_two().await.status(), StatusCode::OK);
    let (status, error) = error_of(caller.embed(json!(["one", "two", "three"])).await).await;
    assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("array_above_max_length")));
    assert!(error["message"].as_str().unwrap().contains("maximum length 2"));
}

#[tokio::test]
async fn a_script_counts_and_keeps_what_was_asked() {
    let caller = Caller::start().await;
    caller.embed_two().await;
    caller.embed(json!("three")).await;
    caller.chat(json!({"seed": 7})).await;
    let script = caller.server.script();
    assert_eq!(script.counts(), Counts { requests: Requests { embeddings: 2, completions: 1 }, inputs: 3 });
    assert_eq!(script.bodies(Operation::Embeddings)[0]["input"], json!(["one", "two"]));
    assert_eq!(script.bodies(Operation::Completions)[0]["seed"], 7);
}

#[tokio::test]
async fn another_process_can_drive_the_script() {
    let caller = Caller::start().await;
    let url = caller.server.base_url().replace("/v1", "/_script");
    let lines = json!([
        {"operation": "embeddings", "fault": {"status": {"code": 503}}},
        {"operation": "embeddings", "fault": {"status": {"code": 500}}, "standing": true},
    ]);
    assert_eq!(caller.http.post(&url).json(&lines).send().await.unwrap().status(), StatusCode::OK);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(caller.embed_two().await.status().as_u16());
    }
    assert_eq!(statuses, [503, 500, 500]);
    let counts = json_of(caller.http.get(&url).send().await.unwrap()).await;
    assert_eq!(counts, json!({"requests": {"embeddings": 3, "completions": 0}, "inputs": 6}));
    assert_eq!(caller.http.delete(&url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(caller.embed_two().await.status(), StatusCode::OK);
    assert_eq!(caller.server.script().requests(Operation::Embeddings), 1);
    let unknown = caller.http.post(&url).json(&json!([{"operation": "embeddings", "fault": "flood"}])).send();
    assert_eq!(error_of(unknown.await.unwrap()).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_stopping_server_ends_the_answers_under_way_and_takes_no_more() {
    let Caller { server, http } = Caller::with_fault(Operation::Embeddings, Fault::Held).await;
    let url = format!("{}/embeddings", server.base_url());
    let ask = || http.post(&url).json(&json!({"model": "m", "input": "text"})).send();
    let script = server.script().clone();
    let stop = async {
        script.arrived(Operation::Embeddings, 1).await;
        server.stop().await;
    };
    let (held, ()) = tokio::join!(ask(), stop);
    assert_eq!(held.unwrap().status(), StatusCode::OK);
    assert!(ask().await.unwrap_err().is_connect());
}
