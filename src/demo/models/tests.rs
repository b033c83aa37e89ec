//! The server as its clients see it: over HTTP on loopback.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Response;
use serde_json::{Value, json};

use super::{Operation::*, *};

mod answers;
mod faults;
mod timing;
mod vectors;

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

    async fn chat(&self, more: Value) -> Response {
        let messages = json!([{"role": "user", "content": "Three blue lamps are here."}]);
        let body = merged(json!({"model": "gpt-5", "messages": messages}), more);
        self.post("/chat/completions", &body).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.server.base_url())).send().await.unwrap()
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

async fn rows_of(response: Response) -> Vec<Value> {
    json_of(response).await["data"].as_array().unwrap().clone()
}

fn floats(row: &Value) -> Vec<f32> {
    serde_json::from_value(row["embedding"].clone()).unwrap()
}

fn decoded(row: &Value) -> Vec<f32> {
    vector::floats(&STANDARD.decode(row["embedding"].as_str().unwrap()).unwrap()).collect()
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
