//! A request that the budget has room for, and what its reply says about the budget.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    job::JobError,
    model::{
        ModelError, ModelFault, RateLimitRemaining,
        rate_limit::{Budget, JobRef, slice::Slice},
    },
    telemetry,
};

/// Why a request got no reply.
#[derive(Clone, Debug)]
pub enum AskError {
    /// It was not sent: the budget has no room for it, or our database did not answer.
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

/// How long no request is sent to a server that has too many and does not say how long to wait.
const OVERLOADED_WAIT: Duration = Duration::from_secs(5);
/// How long no request is sent to a server that refuses the key or the account.
const REFUSED_WAIT: Duration = Duration::from_mins(1);

/// A request that the budget has room for.
pub(super) struct BudgetedRequest<'a> {
    budget: &'a Budget,
    /// Tokens of one request.
    tokens: u64,
    jobs: &'a [JobRef],
    /// Whether it has several inputs.
    is_batch: bool,
    /// Tokens of all requests that were sent.
    taken: AtomicU64,
    /// Why it could not be repeated.
    denied: OnceLock<JobError>,
}

impl<'a> BudgetedRequest<'a> {
    pub(super) fn new(budget: &'a Budget, tokens: u64, is_batch: bool, jobs: &'a [JobRef]) -> Self {
        Self { budget, tokens, jobs, is_batch, taken: AtomicU64::new(tokens), denied: OnceLock::new() }
    }

    /// Waits until the request may be repeated; false if it may not.
    pub(super) async fn again(&self) -> bool {
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

    /// Applies the outcome to the budget. `charged` returns the tokens that the server says it charged, and what is
    /// left of its limits.
    pub(super) async fn end<T>(
        self,
        operation: &'static str,
        reply: Result<T, ModelError>,
        charged: impl FnOnce(&T) -> (Option<u64>, RateLimitRemaining),
    ) -> Result<T, AskError> {
        telemetry::model_requested(operation, reply.as_ref().map_or_else(ModelError::code, |_| "ok"));
        if let Some(denied) = self.denied.get().cloned() {
            return Err(AskError::Withheld(denied));
        }
        match reply {
            Ok(reply) => {
                let (tokens, left) = charged(&reply);
                self.budget.correct(left).await;
                if let (Some(tokens @ 1..), Some(rate)) = (tokens, self.budget.rates.tokens) {
                    let unused = self.taken.load(Ordering::Relaxed).saturating_sub(tokens);
                    self.budget.slice().give_back(unused, rate, left.tokens);
                }
                Ok(reply)
            }
            Err(error) => {
                self.heed(&error).await;
                Err(AskError::Model(error))
            }
        }
    }

    /// Stops all daemons from sending requests while the server asks to wait.
    async fn heed(&self, error: &ModelError) {
        let wait = match error.fault {
            // Of several inputs one may be to blame.
            ModelFault::Unavailable { retry_after: None, is_overloaded: true, .. } if !self.is_batch => {
                Some(OVERLOADED_WAIT)
            }
            ModelFault::Unavailable { retry_after, .. } => retry_after,
            ModelFault::Refused => Some(REFUSED_WAIT),
            ModelFault::Rejected | ModelFault::Nonsense => None,
        };
        let Some(wait) = wait else { return };
        *self.budget.slice() = Slice::default();
        if let Err(error) = self.budget.store.hold_budget(&self.budget.model, wait).await {
            tracing::debug!(%error, "the other daemons could not be told to wait");
        }
    }
}

impl Budget {
    /// Shares what is left of a server's limits with all daemons: others may use the same key.
    async fn correct(&self, left: RateLimitRemaining) {
        if left != RateLimitRemaining::default()
            && let Err(error) = self.store.correct_budget(&self.model, left.requests, left.tokens).await
        {
            tracing::debug!(%error, "the budget could not be corrected");
        }
    }
}
