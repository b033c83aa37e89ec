//! The daily limit in dollars, and what was spent.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    job::JobError,
    model::rate_limit::Budget,
    store::{
        Store, StoreError,
        jobs::{WaitReason, WaitsFor},
        usage::Cost,
    },
};

/// How often jobs that wait for tomorrow are resumed, if the budget was raised.
const RESUME_INTERVAL: Duration = Duration::from_mins(1);
/// Jobs resumed per statement.
const RESUME_BATCH: u32 = 1000;

/// Adds to the day's total. A failure is only logged: a result that was paid for is kept.
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
    /// Calls [`Budget::resume`] each minute until stopped: daemons with a lower limit may put such jobs off again.
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

    /// Resumes jobs of these kinds that wait for tomorrow, if today's budget was raised.
    pub async fn resume(&self, kinds: &[&str]) -> Result<(), StoreError> {
        if self.require_money().await.is_err() {
            return Ok(());
        }
        for kind in kinds {
            while self.store.hasten(kind, WaitReason::DailyBudget, RESUME_BATCH).await? >= RESUME_BATCH {}
        }
        Ok(())
    }

    pub(super) async fn require_money(&self) -> Result<(), JobError> {
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
}
