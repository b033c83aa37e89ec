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
    Embedder, Models, blocking,
    completions::{Prompt, count_tokens},
    embeddings::{Inputs, Question, Vectors},
    fault::{Fault, Line, Operation},
    hash::Hash,
    refusal::{Refusal, parse},
    reply::{Delivery, Reply},
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
    let endpoint = Endpoint { models, stop };
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/chat/completions", post(completions))
        .route("/v1/models", get(models_list))
        .route("/_script", post(add_to_script).get(script_counts).delete(reset_script))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(endpoint))
}

async fn embeddings(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    let question = Question::parse(&body);
    let inputs = question.as_ref().map_or(0, |question| question.inputs.len());
    let scene = endpoint.models.script.enter(Operation::Embeddings, headers, &body, inputs);
    let reply = match stand_in(scene.fault.as_ref(), &body) {
        Some(reply) => reply,
        None => endpoint.embed(question, scene.fault.as_ref()).await.unwrap_or_else(Reply::from),
    };
    endpoint.deliver(reply, scene).await
}

async fn completions(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    let scene = endpoint.models.script.enter(Operation::Completions, headers, &body, 0);
    let reply = match stand_in(scene.fault.as_ref(), &body) {
        Some(reply) => reply,
        None => endpoint.complete(&body, scene.fault.as_ref()).unwrap_or_else(Reply::from),
    };
    endpoint.deliver(reply, scene).await
}

async fn models_list(State(endpoint): State<Arc<Endpoint>>) -> Response {
    let ids = [endpoint.models.embedder.id(), endpoint.models.completer.id()];
    let data = ids.map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "shopkeeper"}));
    endpoint.answer(Reply::json(json!({"object": "list", "data": data}).to_string()))
}

async fn add_to_script(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> Response {
    let reply = match parse::<Vec<Line>>(&body) {
        Ok(lines) => {
            endpoint.models.script.add(lines);
            Reply::json("{}")
        }
        Err(refusal) => refusal.into(),
    };
    endpoint.answer(reply)
}

async fn script_counts(State(endpoint): State<Arc<Endpoint>>) -> Response {
    endpoint.answer(Reply::json(json!(endpoint.models.script.counts()).to_string()))
}

async fn reset_script(State(endpoint): State<Arc<Endpoint>>) -> Response {
    endpoint.models.script.reset();
    endpoint.answer(Reply::json("{}"))
}

async fn unknown(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    endpoint.answer(Refusal::unknown_url(request.method().as_str(), request.uri().path()).into())
}

/// The reply of a fault that needs no model.
fn stand_in(fault: Option<&Fault>, body: &[u8]) -> Option<Reply> {
    match fault? {
        Fault::Refuses(text) if body.windows(text.len()).any(|part| part == text.as_bytes()) => {
            Some(Refusal::invalid(None, format!("{text} is not supported.")).into())
        }
        Fault::Status { code, retry_after } => Some(Refusal::of_status(*code, *retry_after).into()),
        Fault::InsufficientQuota => Some(Refusal::insufficient_quota().into()),
        Fault::Nonsense => Some(Reply::nonsense()),
        _ => None,
    }
}

impl Endpoint {
    async fn embed(
        &self,
        question: Result<Question, Refusal>,
        fault: Option<&Fault>,
    ) -> Result<Reply, Refusal> {
        let Question { inputs, dimensions, form } = question?;
        if let Some(Fault::InputCap(cap)) = fault
            && inputs.len() > *cap
        {
            return Err(Refusal::too_many_inputs(*cap, inputs.len()));
        }
        if let Some(Fault::Rejected(text)) = fault
            && !inputs.places_of(text).is_empty()
        {
            return Err(Refusal::invalid("input", format!("Invalid 'input': {text:?} cannot be embedded.")));
        }
        let spoiled = match fault {
            Some(Fault::Zeros(text)) => (inputs.places_of(text), 0.0),
            Some(Fault::Nan(text)) => (inputs.places_of(text), f32::NAN),
            _ => (Vec::new(), 0.0),
        };
        let (mut vectors, tokens) = match &self.models.embedder {
            Embedder::Hash { dimensions: own } => {
                let hash = Hash::new(dimensions.unwrap_or(*own));
                blocking(move || Ok(hash_inputs(&hash, &inputs))).await?
            }
            #[cfg(feature = "embedded")]
            Embedder::Minilm(minilm) => {
                let own = self.models.embedder.dimensions();
                if dimensions.is_some_and(|asked| usize::from(asked.get()) != own) {
                    let message = format!("This model has {own} dimensions and cannot give another number.");
                    return Err(Refusal::invalid("dimensions", message));
                }
                let Inputs::Texts(texts) = inputs else {
                    return Err(Refusal::invalid("input", "This model takes texts only, not tokens."));
                };
                minilm.embed(texts).await?
            }
        };
        let (places, number) = spoiled;
        for place in places {
            vectors.fill(place, number);
        }
        Ok(form.answer(&vectors, tokens, fault))
    }

    fn complete(&self, body: &[u8], fault: Option<&Fault>) -> Result<Reply, Refusal> {
        let prompt = Prompt::parse(body)?;
        let text = match fault {
            Some(Fault::Says(text)) => text.clone(),
            _ => self.models.completer.complete(&prompt.messages),
        };
        Ok(prompt.answer(&text, fault == Some(&Fault::WrongCount)))
    }

    /// Sends the reply as the scene wants it.
    async fn deliver(&self, reply: Reply, mut scene: Scene) -> Response {
        self.pause(self.models.latency).await;
        let (reply, delivery) = match scene.fault.take() {
            Some(Fault::CutConnection) => (reply, Delivery::Cut),
            Some(Fault::SlowBody(pause)) => (reply, Delivery::Paused(pause)),
            Some(Fault::BadJson) => (reply.with_bad_json(), Delivery::Whole),
            Some(Fault::Left { requests, tokens }) => {
                let mut reply = reply;
                reply.headers.insert("x-ratelimit-remaining-requests", requests.into());
                reply.headers.insert("x-ratelimit-remaining-tokens", tokens.into());
                (reply, Delivery::Whole)
            }
            Some(Fault::Slow(pause)) => {
                self.pause(pause).await;
                (reply, Delivery::Whole)
            }
            Some(Fault::Held) => {
                self.stop.run_until_cancelled(scene.released()).await;
                (reply, Delivery::Whole)
            }
            _ => (reply, Delivery::Whole),
        };
        reply.deliver(delivery, self.stop.clone())
    }

    fn answer(&self, reply: Reply) -> Response {
        reply.deliver(Delivery::Whole, self.stop.clone())
    }

    async fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }
}

fn hash_inputs(hash: &Hash, inputs: &Inputs) -> (Vectors, usize) {
    match inputs {
        Inputs::Texts(texts) => (hash.embed(texts), texts.iter().map(|text| count_tokens(text)).sum()),
        Inputs::Tokens(tokens) => {
            let as_text = |tokens: &Vec<u32>| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            let texts: Vec<_> = tokens.iter().map(as_text).collect();
            (hash.embed(&texts), tokens.iter().map(Vec::len).sum())
        }
    }
}
