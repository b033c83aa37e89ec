//! The routes: every request passes the script, then a model, then the script's fault.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Router, body::Bytes, http::HeaderMap, http::Uri, response::Response};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::endpoint::{Endpoint, stand_in};
use super::fault::{Line, Operation};
use super::quirk::Request;
use super::reply::{Reply, parse};
use super::script::Scene;
use super::{Models, embeddings::Question};

/// About the size of 2048 inputs with 8 000 tokens each.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Where redirects lead.
const ELSEWHERE: &str = "/v1/elsewhere";

/// The routes of these models. Cancelling `stop` ends pauses.
pub(super) fn router(models: Models, stop: CancellationToken) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/chat/completions", post(completions))
        .route(&format!("{ELSEWHERE}/chat/completions"), post(completions))
        .route("/v1/rerank", post(rerank))
        .route("/v1/models", get(list_models))
        .route("/_script", post(add_to_script).get(count).delete(reset))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(Endpoint { models, stop }))
}

async fn embeddings(
    State(endpoint): State<Arc<Endpoint>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let question = Question::parse(&body);
    let inputs = question.as_ref().map_or(0, |question| question.inputs.len());
    let scene = endpoint.models.script.enter(Operation::Embeddings, headers.clone(), &body, inputs);
    let fault = scene.fault.as_ref();
    let reply = match stand_in(fault, &body) {
        Some(reply) => reply,
        None => endpoint.embed(question, fault).await.unwrap_or_else(|refusal| refusal),
    };
    let reply = change(Operation::Embeddings, &scene, &uri, &headers, &body, reply);
    endpoint.deliver(reply, scene).await
}

async fn completions(
    State(endpoint): State<Arc<Endpoint>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let scene = endpoint.models.script.enter(Operation::Completions, headers.clone(), &body, 0);
    let fault = scene.fault.as_ref();
    let reply = stand_in(fault, &body)
        .unwrap_or_else(|| endpoint.complete(&body, fault).unwrap_or_else(|refusal| refusal));
    let reply = change(Operation::Completions, &scene, &uri, &headers, &body, reply);
    endpoint.deliver(reply, scene).await
}

async fn rerank(body: Bytes) -> Response {
    super::rerank::rerank(&body).unwrap_or_else(|refusal| refusal).send()
}

/// Applies the quirks of the server.
fn change(
    operation: Operation,
    scene: &Scene,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    reply: Reply,
) -> Reply {
    if scene.quirks.is_empty() {
        return reply;
    }
    let body = serde_json::from_slice(body).unwrap_or_default();
    let request = Request {
        body: &body,
        headers,
        query: uri.query().unwrap_or_default(),
        is_redirected: uri.path().starts_with(ELSEWHERE),
    };
    scene.quirks.iter().fold(reply, |reply, quirk| quirk.change(operation, &request, reply))
}

async fn list_models(State(endpoint): State<Arc<Endpoint>>) -> Response {
    let ids = endpoint.models.embedder.ids().into_iter().chain([endpoint.models.completer.id()]);
    let model = |id| json!({"id": id, "object": "model", "created": 0, "owned_by": "shopkeeper"});
    let data: Vec<_> = ids.map(model).collect();
    Reply::json(json!({"object": "list", "data": data}).to_string()).send()
}

async fn add_to_script(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> Response {
    let added = parse::<Vec<Line>>(&body).map(|lines| endpoint.models.script.add(lines));
    added.map_or_else(Reply::send, |()| Reply::json("{}".to_owned()).send())
}

async fn count(State(endpoint): State<Arc<Endpoint>>) -> Response {
    Reply::json(endpoint.models.script.counts().to_string()).send()
}

async fn reset(State(endpoint): State<Arc<Endpoint>>) -> Response {
    endpoint.models.script.reset();
    Reply::json("{}".to_owned()).send()
}

async fn unknown(request: axum::extract::Request) -> Response {
    Reply::unknown_url(request.method().as_str(), request.uri().path()).send()
}
