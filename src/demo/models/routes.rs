//! The routes: every request passes the script, then a model, then the script's fault.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::demo::models::{
    Embedder, Models,
    completions::{Prompt, count_tokens},
    embeddings::{Question, Vector},
    fault::{Fault, Line, Operation},
    hash::Hash,
    minilm,
    reply::{Reply, parse},
    script::Scene,
};

/// 2048 inputs of 8 000 tokens each have about this size.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

struct Endpoint {
    models: Models,
    stop: CancellationToken,
}

/// The routes of these models. Pauses end when `stop` comes.
pub(super) fn router(models: Models, stop: CancellationToken) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/chat/completions", post(completions))
        .route("/v1/models", get(list_models))
        .route("/_script", post(add_to_script).get(count).delete(reset))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(Endpoint { models, stop }))
}

async fn embeddings(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    let question = Question::parse(&body);
    let inputs = question.as_ref().map_or(0, |question| question.inputs.len());
    let scene = endpoint.models.script.enter(Operation::Embeddings, headers, &body, inputs);
    let fault = scene.fault.as_ref();
    let reply = match stand_in(fault, &body) {
        Some(reply) => reply,
        None => endpoint.embed(question, fault).await.unwrap_or_else(|refusal| refusal),
    };
    endpoint.deliver(reply, scene).await
}

async fn completions(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    let scene = endpoint.models.script.enter(Operation::Completions, headers, &body, 0);
    let fault = scene.fault.as_ref();
    let reply = stand_in(fault, &body)
        .unwrap_or_else(|| endpoint.complete(&body, fault).unwrap_or_else(|refusal| refusal));
    endpoint.deliver(reply, scene).await
}

async fn list_models(State(endpoint): State<Arc<Endpoint>>) -> Response {
    let ids = [endpoint.models.embedder.id(), endpoint.models.completer.id()];
    let data = ids.map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "shopkeeper"}));
    Reply::json(json!({"object": "list", "data": data}).to_string()).send()
}

async fn add_to_script(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> Response {
    match parse::<Vec<Line>>(&body) {
        Ok(lines) => {
            endpoint.models.script.add(lines);
            Reply::json("{}".to_owned()).send()
        }
        Err(refusal) => refusal.send(),
    }
}

async fn count(State(endpoint): State<Arc<Endpoint>>) -> Response {
    Reply::json(endpoint.models.script.counts().to_string()).send()
}

async fn reset(State(endpoint): State<Arc<Endpoint>>) -> Response {
    endpoint.models.script.reset();
    Reply::json("{}".to_owned()).send()
}

async fn unknown(request: Request) -> Response {
    Reply::unknown_url(request.method().as_str(), request.uri().path()).send()
}

/// The reply of a fault that needs no model.
fn stand_in(fault: Option<&Fault>, body: &[u8]) -> Option<Reply> {
    match fault? {
        Fault::Refuses(text) if body.windows(text.len()).any(|part| part == text.as_bytes()) => {
            Some(Reply::invalid(None, format!("{text} is not supported.")))
        }
        Fault::Status { code, retry_after } => Some(Reply::status(*code, *retry_after)),
        Fault::InsufficientQuota => Some(Reply::insufficient_quota()),
        Fault::Nonsense => Some(Reply::nonsense()),
        _ => None,
    }
}

impl Endpoint {
    async fn embed(&self, question: Result<Question, Reply>, fault: Option<&Fault>) -> Result<Reply, Reply> {
        let question = question?;
        match fault {
            Some(Fault::InputCap(cap)) if question.inputs.len() > *cap => {
                return Err(Reply::too_many_inputs(*cap, question.inputs.len()));
            }
            Some(Fault::Rejected(text)) if question.inputs.iter().any(|input| input.contains(text)) => {
                let message = format!("Invalid 'input': {text:?} cannot be embedded.");
                return Err(Reply::invalid("input", message));
            }
            _ => {}
        }
        let embedded = match &self.models.embedder {
            Embedder::Hash { dimensions } => {
                hash(&question, Hash::new(question.dimensions.unwrap_or(*dimensions))).await
            }
            Embedder::Minilm(minilm) => {
                let own = minilm::DIMENSIONS;
                if question.dimensions.is_some_and(|asked| usize::from(asked.get()) != own) {
                    let message = format!("This model has {own} dimensions and cannot give another number.");
                    return Err(Reply::invalid("dimensions", message));
                }
                if question.tokens.is_some() {
                    return Err(Reply::invalid("input", "This model takes texts only, not tokens."));
                }
                minilm.embed(Arc::clone(&question.inputs)).await
            }
        };
        let (vectors, tokens) = embedded.map_err(|error| Reply::model_failure(&error))?;
        Ok(question.answer(vectors, tokens, fault))
    }

    fn complete(&self, body: &[u8], fault: Option<&Fault>) -> Result<Reply, Reply> {
        let prompt = Prompt::parse(body)?;
        let text = match fault {
            Some(Fault::Says(text)) => text.clone(),
            _ => self.models.completer.complete(&prompt.messages),
        };
        Ok(prompt.answer(&text, fault != Some(&Fault::WrongCount)))
    }

    /// Sends the reply as the scene wants it.
    async fn deliver(&self, mut reply: Reply, mut scene: Scene) -> Response {
        self.pause(self.models.latency).await;
        match scene.fault.take() {
            Some(Fault::CutConnection) => return reply.send_in_halves(None, self.stop.clone()),
            Some(Fault::SlowBody(pause)) => return reply.send_in_halves(Some(pause), self.stop.clone()),
            Some(Fault::BadJson) => reply.break_json(),
            Some(Fault::Left { requests, tokens }) => reply.headers.extend([
                ("x-ratelimit-remaining-requests", requests),
                ("x-ratelimit-remaining-tokens", tokens),
            ]),
            Some(Fault::Slow(pause)) => self.pause(pause).await,
            Some(Fault::Held) => drop(self.stop.run_until_cancelled(scene.released()).await),
            _ => {}
        }
        reply.send()
    }

    async fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }
}

/// Hashes the inputs, and counts their tokens.
async fn hash(question: &Question, hash: Hash) -> anyhow::Result<(Vec<Vector>, usize)> {
    let inputs = Arc::clone(&question.inputs);
    let tokens = question.tokens.unwrap_or_else(|| inputs.iter().map(|text| count_tokens(text)).sum());
    let embed = move || inputs.iter().map(|text| hash.embed(text)).collect();
    Ok((tokio::task::spawn_blocking(embed).await?, tokens))
}
