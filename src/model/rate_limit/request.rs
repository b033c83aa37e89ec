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
        ModelError, RateLimitRemaining,
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

/// How long no request is sent to a server that refuses the key or the account.
const REFUSED_WAIT: Duration = Duration::from_mins(1);

/// A request that the budget has room for.
pub(super) struct BudgetedRequest<'a> {
    budget: &'a Budget,
    /// Tokens of one request.
    tokens: u64,
    jobs: &'a [JobRef],
    /// Tokens of all requests that were sent.
    taken: AtomicU64,
    /// Why it could not be repeated.
    denied: OnceLock<JobError>,
}

impl<'a> BudgetedRequest<'a> {
    pub(super) fn new(budget: &'a Budget, tokens: u64, jobs: &'a [JobRef]) -> Self {
        Self { budget, tokens, jobs, taken: AtomicU64::new(tokens), denied: OnceLock::new() }
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

    /// Applies the outcome to the budget. `charged` returns the tokens that the server charged and what is left of its limits.
    pub(super) async fn end<T>(
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

impl Budget {
    /// Shares what is left of a server's limits with all daemons: others may use the same key.
    async fn correct(&self, left: RateLimitRemaining) {
        if left != RateLimitRemaining::default()
            && let Err(error) = self.store.correct_budget(&self.model, left.requests, left.tokens).await
        {
            tracing::debug!(%error, "the budget could not be corrected");
        }
    }

    /// Stops all daemons from sending requests while the server asks to wait.
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
