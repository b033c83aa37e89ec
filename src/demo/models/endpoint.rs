//! The models behind the routes, and the faults applied to their answers.

use std::{sync::Arc, time::Duration};

use axum::response::Response;
use tokio_util::sync::CancellationToken;

use super::completions::{Prompt, count_tokens};
use super::{
    E5, Embedder, Minilm, Models, embeddings::Question, fault::Fault, hash::Hash, reply::Reply,
    script::Scene, transformer, vector::Vector,
};

pub(super) struct Endpoint {
    pub(super) models: Models,
    pub(super) stop: CancellationToken,
}

impl Endpoint {
    pub(super) async fn embed(
        &self,
        question: Result<Question, Reply>,
        fault: Option<&Fault>,
    ) -> Result<Reply, Reply> {
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
        let (vectors, tokens) = vectors(&self.models.embedder, &question).await?;
        Ok(question.answer(vectors, tokens, fault))
    }

    pub(super) fn complete(&self, body: &[u8], fault: Option<&Fault>) -> Result<Reply, Reply> {
        let prompt = Prompt::parse(body)?;
        let text = match fault {
            Some(Fault::Says(text)) => text.clone(),
            _ => self.models.completer.complete(&prompt.messages),
        };
        Ok(prompt.answer(&text, fault != Some(&Fault::WrongCount)))
    }

    pub(super) async fn deliver(&self, mut reply: Reply, mut scene: Scene) -> Response {
        self.pause(self.models.latency).await;
        match scene.fault.take() {
            Some(Fault::CutConnection) => return reply.send_in_halves(None, self.stop.clone()),
            Some(Fault::SlowBody(pause)) => return reply.send_in_halves(Some(pause), self.stop.clone()),
            Some(Fault::BadJson) => reply.break_json(),
            Some(Fault::Left { requests, tokens }) => reply.headers.extend([
                ("x-ratelimit-remaining-requests", requests.to_string()),
                ("x-ratelimit-remaining-tokens", tokens.to_string()),
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

async fn vectors(embedder: &Embedder, question: &Question) -> Result<(Vec<Vector>, usize), Reply> {
    let result = match embedder {
        Embedder::Hash { dimensions } => {
            hash(question, Hash::new(question.dimensions.unwrap_or(*dimensions))).await
        }
        Embedder::Minilm(Minilm(model)) | Embedder::E5(E5(model)) => {
            let own = transformer::DIMENSIONS;
            if question.dimensions.is_some_and(|asked| usize::from(asked.get()) != own) {
                let message = format!("This model has {own} dimensions and cannot give another number.");
                return Err(Reply::invalid("dimensions", message));
            }
            if question.tokens.is_some() {
                return Err(Reply::invalid("input", "This model takes texts only, not tokens."));
            }
            model.embed(Arc::clone(&question.inputs)).await
        }
        Embedder::ByName(several) => {
            let chosen = several.find(&question.model).await?;
            return Box::pin(vectors(&chosen, question)).await;
        }
    };
    result.map_err(|error| Reply::model_failure(&error))
}

async fn hash(question: &Question, hash: Hash) -> anyhow::Result<(Vec<Vector>, usize)> {
    let inputs = Arc::clone(&question.inputs);
    let tokens = question.tokens.unwrap_or_else(|| inputs.iter().map(|text| count_tokens(text)).sum());
    let embed = move || inputs.iter().map(|text| hash.embed(text)).collect();
    Ok((tokio::task::spawn_blocking(embed).await?, tokens))
}

/// The reply of a fault that replaces the model.
pub(super) fn stand_in(fault: Option<&Fault>, body: &[u8]) -> Option<Reply> {
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
