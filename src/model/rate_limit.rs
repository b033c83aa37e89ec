//! What may be asked of a model: so many requests and tokens a minute for all daemons together, and so many dollars a
//! day.
//!
//! Every request that a job sends goes through [`Budget::embed`] or [`Budget::complete`]: they take it out of the budget,
//! send it, and apply what the server says about its limits. Answers go first: the budget for refreshing documents keeps a
//! share in reserve for them. If a server asks clients to back off, or refuses all requests, no daemon sends to it for that time.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{NaiveTime, TimeDelta};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::{
    clock,
    job::JobError,
    model::{Completer, Completion, Embedder, Embeddings, ModelError, OnDelta, Prompt, RateLimitRemaining},
    store::{
        Store, StoreError,
        budgets::{ModelAddress, Rates},
        jobs::{WaitReason, WaitsFor},
        usage::{Cost, Operation},
    },
    telemetry,
};

mod local;
mod slice;
mod waiting;

use local::LocalLimit;
use slice::Slice;
pub use waiting::{JobRef, Waiting};

/// A share of the budget of one model.
#[derive(Clone)]
pub struct Budget {
    /// Where it is kept.
    store: Store,
    model: ModelAddress,
    /// For all daemons.
    rates: Rates,
    /// The share of the full budget that is left for others, 0 to 1.
    reserve: f64,
    /// Dollars that this operation may cost a day (UTC); none is no limit.
    daily: Option<(Operation, f64)>,
    /// What was taken out of the budget and not used yet.
    slice: Arc<Mutex<Slice>>,
    /// Where the database's role may not write the budget.
    local: Arc<OnceLock<LocalLimit>>,
    waiting: Waiting,
}

/// Why a request got no reply.
#[derive(Clone, Debug)]
pub enum AskError {
    /// It was not sent: the budget has no room for it, or our database could not say.
    Withheld(JobError),
    /// The model server returned an error.
    Model(ModelError),
}

impl From<AskError> for JobError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Withheld(error) => error,
            AskError::Model(error) => error.into(),
        }
    }
}

/// How often jobs that wait for tomorrow's budget are resumed if there is money today.
const RESUME_INTERVAL: Duration = Duration::from_mins(1);
/// Jobs resumed per statement.
const RESUME_BATCH: u32 = 1000;

/// How long a job waits before it looks again whether spending is still stopped, as in `shopkeeper.take_budget`.
const STOPPED_WAIT: Duration = Duration::from_mins(1);
/// Longer than this is not waited for in a slot: the job waits in the queue.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server is left alone that refuses the key or the account.
const REFUSED_WAIT: Duration = Duration::from_mins(1);

/// Adds to the day's sums. What was paid for is kept when that cannot be done: thrown away, it would be paid for again.
pub async fn note(store: &Store, cost: Cost) {
    match store.note_cost(cost).await {
        Ok(()) => {}
        Err(StoreError::Forbidden(_)) => {
            tracing::warn!(
                usd = cost.usd,
                "this cost is missing from the day's total: the database role may not write usage"
            );
        }
        Err(error) => {
            tracing::warn!(%error, usd = cost.usd, "could not record the cost of a model request: {error}");
        }
    }
}

impl Budget {
    /// The whole budget of a model; jobs waiting for it are recorded in `waiting`.
    pub fn new(store: Store, model: ModelAddress, rates: Rates, waiting: Waiting) -> Self {
        let (slice, local) = (Arc::default(), Arc::default());
        Self { store, model, rates, reserve: 0.0, daily: None, slice, local, waiting }
    }

    /// The same budget with a share reserved for other callers and a daily limit in dollars (UTC).
    #[must_use]
    pub fn after_others(&self, reserve: f64, daily: Option<(Operation, f64)>) -> Self {
        Self { reserve, daily, slice: Arc::default(), ..self.clone() }
    }

    /// What may be asked in a minute.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// What this may cost a day: the operation, and dollars.
    pub fn daily(&self) -> Option<(Operation, f64)> {
        self.daily
    }

    /// Embeds texts of about so many tokens, as soon as the budget has room for it; these jobs wait for it.
    pub async fn embed(
        &self,
        embedder: &dyn Embedder,
        inputs: &[String],
        tokens: u64,
        jobs: &[JobRef],
    ) -> Result<Embeddings, AskError> {
        let asking = self.begin(tokens, jobs).await?;
        let span = info_span!(
            "embeddings",
            gen_ai.operation.name = "embeddings",
            gen_ai.request.model = self.model.model
        );
        let again = || asking.again().boxed();
        let reply = embedder.embed(inputs, &again).instrument(span).await;
        let reply = asking.end("embedding", reply, |embedded| (embedded.tokens, embedded.left)).await?;
        telemetry::model_charged(&self.model.model, "input", reply.tokens);
        Ok(reply)
    }

    /// Completes a prompt; it and its answer are of about so many tokens at most. Otherwise like [`Budget::embed`].
    pub async fn complete(
        &self,
        completer: &dyn Completer,
        prompt: &Prompt,
        heard: Option<&OnDelta<'_>>,
        tokens: u64,
        jobs: &[JobRef],
    ) -> Result<Completion, AskError> {
        let asking = self.begin(tokens, jobs).await?;
        let span =
            info_span!("chat", gen_ai.operation.name = "chat", gen_ai.request.model = self.model.model);
        let again = || asking.again().boxed();
        let reply = completer.complete(prompt, heard, &again).instrument(span).await;
        let charged =
            |reply: &Completion| (reply.input_tokens.saturating_add(reply.output_tokens), reply.left);
        let reply = asking.end("chat", reply, charged).await?;
        telemetry::model_charged(&self.model.model, "input", reply.input_tokens);
        telemetry::model_charged(&self.model.model, "output", reply.output_tokens);
        Ok(reply)
    }

    async fn begin<'a>(&'a self, tokens: u64, jobs: &'a [JobRef]) -> Result<BudgetedRequest<'a>, AskError> {
        self.take(tokens, jobs).instrument(info_span!("budget")).await.map_err(AskError::Withheld)?;
        Ok(BudgetedRequest {
            budget: self,
            tokens,
            jobs,
            taken: AtomicU64::new(tokens),
            denied: OnceLock::new(),
        })
    }

    /// Waits until one request with so many tokens may be sent.
    async fn take(&self, tokens: u64, jobs: &[JobRef]) -> Result<(), JobError> {
        self.require_money().await?;
        if self.slice().take(tokens) {
            return Ok(());
        }
        // Use returned tokens first.
        let credit = Slice::borrow(&self.slice, tokens);
        let tokens = tokens - credit.tokens();
        let (mut requests, mut together) = Slice::size(self.rates);
        if requests < 2 || together < tokens {
            (requests, together) = (1, tokens);
        }
        let mut waiting = None;
        loop {
            let wait = self.draw(requests, together).await?;
            if wait.is_zero() {
                credit.spend();
                self.slice().refill(requests - 1, together - tokens);
                return Ok(());
            }
            if requests > 1 {
                // Little is left: no more than is needed.
                (requests, together) = (1, tokens);
                continue;
            }
            if wait > PATIENCE {
                return Err(self.put_off(wait).await?);
            }
            waiting.get_or_insert_with(|| self.waiting.enter(&self.model, jobs));
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes requests with so many tokens together out of the budget. Says how long to wait when nothing was taken.
    async fn draw(&self, requests: u32, tokens: u64) -> Result<Duration, StoreError> {
        if self.local.get().is_none() {
            match self.store.take_budget(&self.model, self.rates, requests, tokens, self.reserve).await {
                Err(StoreError::Forbidden(_)) => {}
                drawn => return drawn,
            }
        }
        if self.store.stopped_since().await?.is_some() {
            return Ok(STOPPED_WAIT);
        }
        Ok(self.local_limit().take(requests, tokens))
    }

    fn local_limit(&self) -> &LocalLimit {
        self.local.get_or_init(|| {
            tracing::warn!(
                "the database role may not write the budget that all daemons share: this process applies the limits by itself"
            );
            LocalLimit::new(self.rates)
        })
    }

    /// Why a job has to wait for so long.
    async fn put_off(&self, after: Duration) -> Result<JobError, StoreError> {
        let (reason, by) = if self.store.stopped_since().await?.is_some() {
            let reason = "spending is paused: run `shopkeeper resume` to continue".to_owned();
            (reason, WaitsFor::Stop)
        } else {
            let ModelAddress { server, model } = &self.model;
            let reason = format!("the budget of requests and tokens to {model} at {server} is used up");
            (reason, WaitsFor::RateLimit(self.model.clone()))
        };
        Ok(JobError::Withheld { after, reason, by })
    }

    fn slice(&self) -> MutexGuard<'_, Slice> {
        slice::lock(&self.slice)
    }

    /// Does what [`Budget::resume`] does each minute until stopped: a daemon with less money may still take such jobs.
    pub async fn keep_resuming(&self, kinds: &[&str], stop: &CancellationToken) {
        loop {
            if let Err(error) = self.resume(kinds).await {
                tracing::debug!(%error, "what waits for money could not be looked at");
            }
            if stop.run_until_cancelled(tokio::time::sleep(RESUME_INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    /// Lets jobs of these kinds go on that wait for tomorrow's money, when there is some today: the budget was raised.
    pub async fn resume(&self, kinds: &[&str]) -> Result<(), StoreError> {
        if self.require_money().await.is_err() {
            // They wait on.
            return Ok(());
        }
        for kind in kinds {
            while self.store.hasten(kind, WaitReason::DailyBudget, RESUME_BATCH).await? >= RESUME_BATCH {}
        }
        Ok(())
    }

    async fn require_money(&self) -> Result<(), JobError> {
        let Some((operation, limit)) = self.daily else { return Ok(()) };
        if self.store.usd_today(operation).await? < limit {
            return Ok(());
        }
        let now = clock::now();
        let midnight = (now + TimeDelta::days(1)).date_naive().and_time(NaiveTime::MIN).and_utc();
        let after = (midnight - now).to_std().unwrap_or_default();
        let reason = format!("today's budget of {limit} dollars for {operation} is used up");
        Err(JobError::Withheld { after, reason, by: WaitsFor::DailyBudget })
    }

    /// Tells all daemons what a server says may still be asked of this model: others may use the same key.
    async fn correct(&self, left: RateLimitRemaining) {
        if left != RateLimitRemaining::default()
            && let Err(error) = self.store.correct_budget(&self.model, left.requests, left.tokens).await
        {
            tracing::debug!(%error, "the budget could not be corrected");
        }
    }

    /// Tells all daemons when a server wants to be left alone.
    async fn heed(&self, error: &ModelError) {
        let wait = match error {
            ModelError::Unavailable { retry_after, .. } => *retry_after,
            ModelError::Refused { .. } => Some(REFUSED_WAIT),
            ModelError::Rejected { .. } | ModelError::Nonsense { .. } | ModelError::NoVector { .. } => None,
        };
        let Some(wait) = wait else { return };
        *self.slice() = Slice::default();
        if let Err(error) = self.store.hold_budget(&self.model, wait).await {
            tracing::debug!(%error, "the other daemons could not be told to wait");
        }
    }
}

/// A request that the budget has room for, until its reply is there.
struct BudgetedRequest<'a> {
    budget: &'a Budget,
    /// Of one request.
    tokens: u64,
    jobs: &'a [JobRef],
    /// Tokens of all that were sent.
    taken: AtomicU64,
    /// Why it could not be sent once more.
    denied: OnceLock<JobError>,
}

impl BudgetedRequest<'_> {
    /// Waits until the request may be sent once more, and says whether it may be.
    async fn again(&self) -> bool {
        match self.budget.take(self.tokens, self.jobs).await {
            Ok(()) => {
                self.taken.fetch_add(self.tokens, Ordering::Relaxed);
                true
            }
            Err(error) => {
                let _ = self.denied.set(error);
                false
            }
        }
    }

    /// Applies the outcome to the budget. `charged` returns the tokens that the server charged and the limits left.
    async fn end<T>(
        self,
        operation: &'static str,
        reply: Result<T, ModelError>,
        charged: impl FnOnce(&T) -> (u64, RateLimitRemaining),
    ) -> Result<T, AskError> {
        telemetry::model_requested(operation, reply.as_ref().map_or_else(ModelError::code, |_| "ok"));
        if let Some(denied) = self.denied.into_inner() {
            return Err(AskError::Withheld(denied));
        }
        match reply {
            Ok(reply) => {
                let (tokens, left) = charged(&reply);
                self.budget.correct(left).await;
                // Zero means that the server did not report usage.
                if let (1.., Some(rate)) = (tokens, self.budget.rates.tokens) {
                    let unused = self.taken.into_inner().saturating_sub(tokens);
                    self.budget.slice().give_back(unused, rate, left.tokens);
                }
                Ok(reply)
            }
            Err(error) => {
                self.budget.heed(&error).await;
                Err(AskError::Model(error))
            }
        }
    }
}
