//! The server as its clients see it: over HTTP on loopback.

use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use async_openai::types::embeddings::{CreateEmbeddingRequestArgs, EncodingFormat};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;
use serde_json::{Value, json};

use crate::demo::models::{Operation::*, *};

struct Caller {
    server: OfflineServer,
    http: reqwest::Client,
}

impl Caller {
    async fn start() -> Self {
        Self::with(Models::new(Embedder::hash(8), Completer::Echo)).await
    }

    async fn with(models: Models) -> Self {
        crate::http_client::prepare();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { server: OfflineServer::start(models).await.unwrap(), http }
    }

    async fn with_fault(operation: Operation, fault: Fault) -> Self {
        let caller = Self::start().await;
        caller.server.script().queue(operation, [fault]);
        caller
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.server.base_url())).bearer_auth("any").json(body)
    }

    async fn embed(&self, input: Value, more: Value) -> Response {
        let body = merged(json!({"model": "text-embedding-3-small", "input": input}), more);
        self.post("/embeddings", &body).send().await.unwrap()
    }

    async fn embed_two(&self) -> Response {
        self.embed(json!(["one", "two"]), json!({})).await
    }

    /// Asks the completer to echo.
    async fn chat(&self, more: Value) -> Response {
        let messages = json!([{"role": "user", "content": "Three blue lamps are here."}]);
        let body = merged(json!({"model": "gpt-5", "messages": messages}), more);
        self.post("/chat/completions", &body).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.server.base_url())).send().await.unwrap()
    }

    fn openai(&self) -> Client<OpenAIConfig> {
        Client::with_config(OpenAIConfig::new().with_api_base(self.server.base_url()).with_api_key("any"))
    }
}

fn merged(body: Value, more: Value) -> Value {
    let (Value::Object(mut body), Value::Object(more)) = (body, more) else { panic!("not two objects") };
    body.extend(more);
    Value::Object(body)
}

async fn error_of(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    let mut body: Value = response.json().await.unwrap();
    let fields: Vec<_> = body["error"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["message", "type", "param", "code"]);
    body["error"].take()
}

async fn json_of(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// The rows of an answer with vectors.
async fn rows_of(response: Response) -> Vec<Value> {
    json_of(response).await["data"].as_array().unwrap().clone()
}

fn floats(row: &Value) -> Vec<f32> {
    serde_json::from_value(row["embedding"].clone()).unwrap()
}

fn decoded(row: &Value) -> Vec<f32> {
    embeddings::floats(&STANDARD.decode(row["embedding"].as_str().unwrap()).unwrap()).collect()
}

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
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!("input"), &json!("invalid_request_error")),
            "{input}"
        );
    }
    let too_many = caller.embed(json!(vec!["a"; 2049]), json!({})).await;
    assert_eq!(error_of(too_many, 400).await["code"], "array_above_max_length");
    let not_json = caller.post("/embeddings", &json!({})).body("{").send().await.unwrap();
    error_of(not_json, 400).await;
}

#[tokio::test]
async fn a_completion_has_the_wire_format_of_openai() {
    let caller = Caller::start().await;
    let body = json_of(caller.chat(json!({"temperature": 0.2})).await).await;
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("gpt-5")));
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["content"], "Three blue lamps are here.");
    assert_eq!((&choice["message"]["role"], &choice["finish_reason"]), (&json!("assistant"), &json!("stop")));
    assert_eq!(body["usage"], json!({"prompt_tokens": 7, "completion_tokens": 7, "total_tokens": 14}));
    assert_eq!(error_of(caller.chat(json!({"temperature": 2.5})).await, 400).await["param"], "temperature");
    for field in ["max_tokens", "max_completion_tokens"] {
        let choice = json_of(caller.chat(json!({field: 2})).await).await["choices"][0].take();
        let (text, reason) = (&choice["message"]["content"], &choice["finish_reason"]);
        assert_eq!((text, reason), (&json!("Three bl"), &json!("length")));
    }
}

#[tokio::test]
async fn a_streamed_completion_comes_in_chunks_and_ends_with_done() {
    let caller = Caller::start().await;
    let response = caller.chat(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    let mut events: Vec<_> = events.collect();
    assert_eq!(events.pop(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    for chunk in &chunks {
        assert_eq!((&chunk["object"], &chunk["id"]), (&json!("chat.completion.chunk"), &chunks[0]["id"]));
    }
    let choices = chunks.iter().map(|chunk| &chunk["choices"][0]);
    let words: Vec<_> = choices.filter_map(|choice| choice["delta"]["content"].as_str()).collect();
    assert_eq!(words.concat(), "Three blue lamps are here.");
    assert!(words.len() > 2);
    let [first, .., before_last, last] = &chunks[..] else { panic!("{text}") };
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(before_last["choices"][0]["finish_reason"], "stop");
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(14)));
}

#[tokio::test]
async fn models_are_listed_and_unknown_routes_are_refused() {
    let caller = Caller::start().await;
    let models = json_of(caller.get("/models").await).await["data"].take();
    assert_eq!((&models[0]["id"], &models[1]["id"]), (&json!("hash"), &json!("scripted")));
    for path in ["/nothing", "/embeddings"] {
        assert_eq!(error_of(caller.get(path).await, 404).await["code"], "unknown_url");
    }
}

#[tokio::test]
async fn the_client_of_production_understands_the_answers() {
    let caller = Caller::with(Models::new(Embedder::hash(1536), Completer::Echo)).await;
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
    let caller = Caller::with_fault(Embeddings, Fault::InsufficientQuota).await;
    let request = CreateEmbeddingRequestArgs::default().model("m").input("text").build().unwrap();
    let Err(OpenAIError::ApiError(error)) = caller.openai().embeddings().create(request).await else {
        panic!("expected an error of the API");
    };
    assert_eq!(error.status_code, 429);
    assert_eq!(error.api_error.code.as_deref(), Some("insufficient_quota"));
    assert_eq!(caller.server.script().requests(Embeddings), 1);
}

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
async fn a_slow_answer_is_late_but_whole() {
    let delay = Duration::from_millis(30);
    for fault in [Fault::Slow(delay), Fault::SlowBody(delay)] {
        let caller = Caller::with_fault(Embeddings, fault).await;
        let began = Instant::now();
        assert_eq!(rows_of(caller.embed_two().await).await.len(), 2);
        assert!(began.elapsed() >= delay);
    }
}

#[tokio::test]
async fn a_slow_answer_runs_into_the_time_limit_of_the_client() {
    let hour = Duration::from_hours(1);
    let caller = Caller::with_fault(Embeddings, Fault::Slow(hour)).await;
    caller.server.script().queue(Embeddings, [Fault::SlowBody(hour)]);
    let ask = |limit| {
        let request = caller.post("/embeddings", &json!({"model": "m", "input": "text"}));
        request.timeout(Duration::from_millis(limit)).send()
    };
    assert!(ask(50).await.unwrap_err().is_timeout());
    assert!(ask(500).await.unwrap().bytes().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_held_request_waits_until_it_is_released() {
    let caller = Caller::with_fault(Embeddings, Fault::Held).await;
    let script = caller.server.script();
    let release = async {
        script.arrived(Embeddings, 1).await;
        // The held request does not hold the next one.
        assert_eq!(caller.embed_two().await.status(), 200);
        script.release();
    };
    let (held, ()) = tokio::join!(caller.embed_two(), release);
    assert_eq!(held.status(), 200);
}

#[tokio::test]
async fn latency_is_added_to_every_answer() {
    let latency = Duration::from_millis(20);
    let caller = Caller::with(Models::new(Embedder::hash(8), Completer::Echo).with_latency(latency)).await;
    let began = Instant::now();
    caller.embed_two().await;
    caller.chat(json!({})).await;
    assert!(began.elapsed() >= 2 * latency);
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
    assert_eq!(
        (&nan[0]["embedding"], &nan[1]),
        (&json!([null, null, null, null, null, null, null, null]), &right[1])
    );
    caller.server.script().queue(Embeddings, [Fault::NotFinite]);
    let encoded = caller.embed(json!(["one", "two"]), json!({"encoding_format": "base64"})).await;
    let encoded = rows_of(encoded).await;
    assert!(decoded(&encoded[0])[0].is_nan());
    assert!(decoded(&encoded[1]).iter().all(|number| number.is_finite()));
    caller.server.script().queue(Completions, [Fault::WrongCount]);
    assert_eq!(json_of(caller.chat(json!({})).await).await["choices"], json!([]));
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
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/html".parse().unwrap())
    );
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

#[tokio::test]
async fn a_stopping_server_ends_the_answers_under_way_and_takes_no_more() {
    let Caller { server, http } = Caller::with_fault(Embeddings, Fault::Held).await;
    let url = format!("{}/embeddings", server.base_url());
    let ask = || http.post(&url).json(&json!({"model": "m", "input": "text"})).send();
    let script = server.script().clone();
    let stop = async {
        script.arrived(Embeddings, 1).await;
        server.stop().await;
    };
    let (held, ()) = tokio::join!(ask(), stop);
    assert_eq!(held.unwrap().status(), 200);
    assert!(ask().await.unwrap_err().is_connect());
}
