//! What may be asked of a model server: so many requests and tokens a minute for all daemons together, and
//! so many dollars a day.
//!
//! Answers go first: whoever refreshes documents leaves them a share of the budget. A server that asks for
//! patience, or refuses everybody, is left alone by all daemons for as long.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{NaiveTime, TimeDelta};
use tokio_util::sync::CancellationToken;

use super::JobError;
use crate::{
    clock,
    model::{Left, ModelError},
    store::{
        Store, StoreError,
        usage::{Cost, Rates},
    },
};

/// A share of the budget of one server.
#[derive(Clone)]
pub struct Budget {
    /// Where it is kept.
    pub store: Store,
    /// The server's address.
    pub server: String,
    /// For all daemons.
    pub rates: Rates,
    /// The share of the full budget that is left for others, 0 to 1.
    pub reserve: f64,
    /// Dollars that this operation may cost a day (UTC); none is no limit.
    pub daily: Option<(&'static str, f64)>,
    /// What was taken out of the budget and not used yet.
    pub slice: Arc<Mutex<Slice>>,
}

/// A part of a budget that a process may use without asking again: a tenth of a second's worth, so that many short
/// requests do not wait in line for the budget's row.
#[derive(Debug, Default)]
pub struct Slice {
    requests: u32,
    tokens: u64,
    until: Option<Instant>,
}

impl Slice {
    fn take(&mut self, tokens: u64) -> bool {
        let is_good = self.until.is_some_and(|until| Instant::now() < until);
        if !is_good || self.requests == 0 || self.tokens < tokens {
            return false;
        }
        self.requests -= 1;
        self.tokens -= tokens;
        true
    }
}

/// How often it is looked whether there is money for those who wait for tomorrow's.
const RESUME: Duration = Duration::from_mins(1);
/// How the reason begins of those who wait for tomorrow's money.
const SPENT: &str = "today's budget of ";
/// Slices in a minute.
const SLICES: u32 = 600;
/// How long a slice may be used.
const GOOD: Duration = Duration::from_millis(200);

/// Longer than this is not waited for in a slot: the job waits in the queue.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server is left alone that refuses the key or the account.
const REFUSED: Duration = Duration::from_mins(1);

/// Adds to the day's sums. What was paid for is kept when that cannot be done: thrown away, it would be paid for again.
pub(super) async fn note(store: &Store, cost: Cost) {
    if let Err(error) = store.note_cost(cost).await {
        tracing::warn!(%error, usd = cost.usd, "what a model was paid could not be noted: {error}");
    }
}

impl Budget {
    /// Waits until one request with so many tokens may be sent.
    pub async fn take(&self, tokens: u64) -> Result<(), JobError> {
        self.require_money().await?;
        if self.slice().take(tokens) {
            return Ok(());
        }
        let (mut requests, mut together) =
            (self.rates.requests / SLICES, u64::from(self.rates.tokens / SLICES));
        if requests < 2 || together < tokens {
            (requests, together) = (1, tokens);
        }
        loop {
            let taken = self.store.take_budget(&self.server, self.rates, requests, together, self.reserve);
            let wait = taken.await?;
            if wait.is_zero() {
                let until = Some(Instant::now() + GOOD);
                *self.slice() = Slice { requests: requests - 1, tokens: together - tokens, until };
                return Ok(());
            }
            if requests > 1 {
                // Little is left: no more than is needed.
                (requests, together) = (1, tokens);
                continue;
            }
            if wait > PATIENCE {
                if self.store.stopped_since().await?.is_some() {
                    let reason = "all spending is stopped: `shopkeeper resume` lets it go on".to_owned();
                    return Err(JobError::Withheld { after: wait, reason });
                }
                let reason = format!("the budget of requests and tokens to {} is used up", self.server);
                return Err(JobError::Snooze { after: wait, reason });
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn slice(&self) -> MutexGuard<'_, Slice> {
        self.slice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what [`Budget::resume`] does each minute until stopped: a daemon with less money may still take such jobs.
    pub async fn keep_resuming(&self, kinds: &[&str], stop: &CancellationToken) {
        loop {
            if let Err(error) = self.resume(kinds).await {
                tracing::debug!(%error, "what waits for money could not be looked at");
            }
            if stop.run_until_cancelled(tokio::time::sleep(RESUME)).await.is_none() {
                return;
            }
        }
    }

    /// Lets jobs of these kinds go on that wait for tomorrow's money, when there is some today: the budget was raised.
    pub async fn resume(&self, kinds: &[&str]) -> Result<(), StoreError> {
        match self.require_money().await {
            Ok(()) => self.store.hasten(kinds, SPENT).await,
            // They wait on.
            Err(_) => Ok(()),
        }
    }

    async fn require_money(&self) -> Result<(), JobError> {
        let Some((operation, limit)) = self.daily else { return Ok(()) };
        if self.store.usd_today(operation).await? < limit {
            return Ok(());
        }
        let now = clock::now();
        let midnight = (now + TimeDelta::days(1)).date_naive().and_time(NaiveTime::MIN).and_utc();
        let after = (midnight - now).to_std().unwrap_or_default();
        let reason = format!("{SPENT}{limit} dollars for {operation} is used up");
        Err(JobError::Withheld { after, reason })
    }

    /// Tells all daemons what a server says may still be asked of it: others may use the same key.
    pub async fn correct(&self, left: Left) {
        if left != Left::default()
            && let Err(error) = self.store.correct_budget(&self.server, left.requests, left.tokens).await
        {
            tracing::debug!(%error, "the budget could not be corrected");
        }
    }

    /// Tells all daemons when a server wants to be left alone.
    pub async fn heed(&self, error: &ModelError) {
        let wait = match error {
            ModelError::Unavailable { retry_after, .. } => *retry_after,
            ModelError::Refused { .. } => Some(REFUSED),
            ModelError::Rejected { .. } | ModelError::Nonsense { .. } | ModelError::NoVector { .. } => None,
        };
        *self.slice() = Slice::default();
        if let Some(wait) = wait
            && let Err(error) = self.store.hold_budget(&self.server, self.rates, wait).await
        {
            tracing::debug!(%error, "the other daemons could not be told to wait");
        }
    }
}
