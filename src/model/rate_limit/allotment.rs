//! Takes requests and tokens out of the budget.

use std::time::Duration;

use crate::{
    job::JobError,
    model::rate_limit::{Budget, JobRef, local::LocalLimit, slice::Slice},
    store::{StoreError, budgets::ModelAddress, jobs::WaitsFor},
};

/// How long a job waits while spending is stopped, as in `shopkeeper.take_budget`.
const STOPPED_WAIT: Duration = Duration::from_mins(1);
/// The longest wait that a job spends in its slot; for a longer one it goes back to the queue.
const PATIENCE: Duration = Duration::from_secs(5);

impl Budget {
    /// Waits until one request with so many tokens may be sent.
    pub(super) async fn take(&self, tokens: u64, jobs: &[JobRef]) -> Result<(), JobError> {
        self.require_money().await?;
        if self.slice().take(tokens) {
            return Ok(());
        }
        let mut drawing = Some(self.drawing.lock().await);
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
            // There is no slice to wait for: each asks for itself.
            drop(drawing.take());
            if requests > 1 {
                // Little is left: take no more than is needed.
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

    /// Takes requests, with this many tokens in all. Returns how long to wait if nothing was taken.
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

    /// Says what a job waits for.
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
}
