//! Limits of requests to a model: requests and tokens a minute for all daemons together, and dollars a day.
//!
//! Every request of a job goes through [`Budget::embed`] or [`Budget::complete`]: they take it out of the budget, send it,
//! and apply what the server says about its limits. Answers go first: the budget for refreshing documents keeps a share in
//! reserve for them. If a server asks clients to wait, or refuses all requests, no daemon sends to it for that time.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use futures::FutureExt;
use tracing::{Instrument, info_span};

use crate::{
    model::{
        Completer, Completion, Embedder, Embeddings, InputRole, OnDelta, Prompt, Reranker, Reranking,
        learned::Learned,
    },
    store::{
        Store,
        budgets::{ModelAddress, Rates},
        usage::Operation,
    },
    telemetry,
};

mod allotment;
mod daily_limit;
mod local;
mod request;
mod slice;
mod waiting;

pub use daily_limit::note;
use local::LocalLimit;
pub use request::AskError;
use request::BudgetedRequest;
use slice::Slice;
pub use waiting::{JobRef, Waiting};

/// A share of the budget of one model.
#[derive(Clone)]
pub struct Budget {
    store: Store,
    model: ModelAddress,
    /// Of all daemons together.
    rates: Rates,
    /// The share of the full budget that is left to others, from 0 to 1.
    reserve: f64,
    /// An operation and the dollars that it may cost a day (UTC).
    daily: Option<(Operation, f64)>,
    /// What was taken and not used yet.
    slice: Arc<Mutex<Slice>>,
    /// One request draws a slice for all that need one at the same time.
    drawing: Arc<tokio::sync::Mutex<()>>,
    /// Replaces the shared budget if the database role may not write it.
    local: Arc<OnceLock<LocalLimit>>,
    waiting: Waiting,
}

impl Budget {
    /// The whole budget of a model; jobs waiting for it are recorded in `waiting`.
    pub fn new(store: Store, model: ModelAddress, rates: Rates, waiting: Waiting) -> Self {
        let (slice, drawing, local) = Default::default();
        Self { store, model, rates, reserve: 0.0, daily: None, slice, drawing, local, waiting }
    }

    /// The same budget with a share reserved for other callers and a daily limit in dollars (UTC).
    #[must_use]
    pub fn after_others(&self, reserve: f64, daily: Option<(Operation, f64)>) -> Self {
        Self { reserve, daily, slice: Arc::default(), drawing: Arc::default(), ..self.clone() }
    }

    /// Requests and tokens a minute.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// The operation and the dollars that it may cost a day (UTC).
    pub fn daily(&self) -> Option<(Operation, f64)> {
        self.daily
    }

    /// Embeds texts as soon as the budget has room for about `tokens`; `jobs` wait for it.
    pub async fn embed(
        &self,
        embedder: &dyn Embedder,
        role: InputRole,
        inputs: &[String],
        tokens: u64,
        jobs: &[JobRef],
    ) -> Result<Embeddings, AskError> {
        let asking = self.begin(tokens, inputs.len() > 1, jobs).await?;
        let span = info_span!(
            "embeddings",
            gen_ai.operation.name = "embeddings",
            gen_ai.request.model = self.model.model
        );
        let again = || asking.again().boxed();
        let reply = embedder.embed(role, inputs, &again).instrument(span).await;
        self.keep(embedder.learned()).await;
        let reply = asking.end("embedding", reply, |embedded| (embedded.tokens, embedded.left)).await?;
        telemetry::model_charged(&self.model.model, "input", reply.tokens.unwrap_or(tokens));
        Ok(reply)
    }

    /// Completes a prompt; `tokens` is about the most that it and its answer have. Otherwise like [`Budget::embed`].
    pub async fn complete(
        &self,
        completer: &dyn Completer,
        prompt: &Prompt,
        on_delta: Option<&OnDelta<'_>>,
        tokens: u64,
        jobs: &[JobRef],
    ) -> Result<Completion, AskError> {
        let asking = self.begin(tokens, false, jobs).await?;
        let span =
            info_span!("chat", gen_ai.operation.name = "chat", gen_ai.request.model = self.model.model);
        let again = || asking.again().boxed();
        let reply = completer.complete(prompt, on_delta, &again).instrument(span).await;
        self.keep(completer.learned()).await;
        let charged = |Completion { usage, left, .. }: &Completion| {
            ((!usage.is_estimated).then(|| usage.input.saturating_add(usage.output)), *left)
        };
        let usage = reply.as_ref().map_or_else(|error| error.spent, |reply| reply.usage);
        telemetry::model_charged(&self.model.model, "input", usage.input);
        telemetry::model_charged(&self.model.model, "output", usage.output);
        asking.end("chat", reply, charged).await
    }

    /// Orders texts by how well they answer a question; `tokens` is about what they have. Otherwise like
    /// [`Budget::embed`].
    pub async fn rerank(
        &self,
        reranker: &dyn Reranker,
        question: &str,
        texts: &[String],
        tokens: u64,
        jobs: &[JobRef],
    ) -> Result<Reranking, AskError> {
        let asking = self.begin(tokens, false, jobs).await?;
        let span =
            info_span!("rerank", gen_ai.operation.name = "rerank", gen_ai.request.model = self.model.model);
        let reply = reranker.rerank(question, texts).instrument(span).await;
        let reply = asking.end("rerank", reply, |reranked| (reranked.tokens, reranked.left)).await?;
        telemetry::model_charged(&self.model.model, "input", reply.tokens.unwrap_or(tokens));
        Ok(reply)
    }

    /// Stores what the server taught, for all daemons, and says it once.
    pub async fn keep(&self, learned: &Learned) {
        let Some((lessons, new)) = learned.unstored() else { return };
        let ModelAddress { server, model } = &self.model;
        for lesson in new.values() {
            tracing::info!(server, model, "{model} at {server} wants another form: {lesson}");
        }
        if let Err(error) = self.store.keep_lessons(&self.model, &lessons).await {
            tracing::debug!(%error, "what a model server taught could not be stored: {error}");
        }
    }

    async fn begin<'a>(
        &'a self,
        tokens: u64,
        is_batch: bool,
        jobs: &'a [JobRef],
    ) -> Result<BudgetedRequest<'a>, AskError> {
        self.take(tokens, jobs).instrument(info_span!("budget")).await.map_err(AskError::Withheld)?;
        Ok(BudgetedRequest::new(self, tokens, is_batch, jobs))
    }

    fn slice(&self) -> MutexGuard<'_, Slice> {
        slice::lock(&self.slice)
    }
}
