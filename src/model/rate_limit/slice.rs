//! A slice of a budget that a process may use without another statement: a tenth of a second's worth, so that many short
//! requests do not queue for the budget's row; and the tokens that requests took and did not use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::store::budgets::Rates;

/// Slices per minute.
const SLICES: u32 = 600;
/// How long a slice is valid.
const GOOD: Duration = Duration::from_millis(200);
/// How long returned tokens are valid: the time in which an idle budget fills up.
const CREDIT: Duration = Duration::from_secs(10);

/// Requests and tokens that were taken out of a budget and not used yet.
#[derive(Debug, Default)]
pub(super) struct Slice {
    requests: u32,
    tokens: u64,
    until: Option<Instant>,
    /// Returned tokens. They are used with a request of the budget.
    credit: u64,
    credit_until: Option<Instant>,
}

pub(super) fn lock(slice: &Mutex<Slice>) -> MutexGuard<'_, Slice> {
    slice.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slice {
    /// The requests and tokens of a full slice; the maximum for a rate without a limit.
    pub(super) fn size(rates: Rates) -> (u32, u64) {
        let requests = rates.requests.map_or(u32::MAX, |requests| requests / SLICES);
        (requests, rates.tokens.map_or(u64::MAX, |tokens| u64::from(tokens / SLICES)))
    }

    /// Takes one request and its tokens, returned ones first; false if there are too few.
    pub(super) fn take(&mut self, tokens: u64) -> bool {
        let credit = self.credit().min(tokens);
        if !is_good(self.until) || self.requests == 0 || self.tokens < tokens - credit {
            return false;
        }
        self.requests -= 1;
        self.tokens -= tokens - credit;
        self.credit -= credit;
        true
    }

    /// Replaces the slice.
    pub(super) fn refill(&mut self, requests: u32, tokens: u64) {
        (self.requests, self.tokens, self.until) = (requests, tokens, Some(Instant::now() + GOOD));
    }

    /// Keeps unused tokens: at most those of ten seconds at this rate, and at most those that the server has left.
    pub(super) fn give_back(&mut self, tokens: u64, per_minute: u32, left: Option<u64>) {
        let most = u64::from(per_minute / 6).min(left.unwrap_or(u64::MAX));
        self.credit = self.credit().saturating_add(tokens).min(most);
        self.credit_until = Some(Instant::now() + CREDIT);
    }

    /// Reserves up to `most` returned tokens; dropping the reservation gives them back.
    pub(super) fn borrow(slice: &Arc<Mutex<Self>>, most: u64) -> Loan {
        let mut locked = lock(slice);
        let tokens = locked.credit().min(most);
        locked.credit -= tokens;
        Loan { slice: slice.clone(), tokens }
    }

    fn credit(&mut self) -> u64 {
        if !is_good(self.credit_until) {
            self.credit = 0;
        }
        self.credit
    }
}

fn is_good(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

/// Reserved returned tokens; dropping them gives them back.
pub(super) struct Loan {
    slice: Arc<Mutex<Slice>>,
    tokens: u64,
}

impl Loan {
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Uses the tokens.
    pub(super) fn spend(mut self) {
        self.tokens = 0;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // They stay valid no longer than before.
        lock(&self.slice).credit += self.tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_were_not_used_are_used_first_and_are_no_more_than_ten_seconds_bring() {
        let slice = Arc::new(Mutex::new(Slice::default()));
        for _ in 0..2 {
            lock(&slice).give_back(700, 6000, None);
        }
        assert_eq!(Slice::borrow(&slice, 5000).tokens(), 1000, "and what is not spent comes back");
        Slice::borrow(&slice, 300).spend();
        let mut slice = lock(&slice);
        assert!(!slice.take(1), "a request is needed too");
        slice.refill(2, 100);
        assert!(slice.take(750));
        assert_eq!((slice.credit, slice.tokens), (0, 50));
        assert!(!slice.take(51) && slice.take(50));
        slice.give_back(700, 6000, Some(7));
        assert_eq!(slice.credit(), 7, "the server knows better");
        slice.credit_until = Some(Instant::now());
        assert_eq!(slice.credit(), 0, "long ago");
    }

    #[test]
    fn what_is_not_limited_is_never_short() {
        let (requests, tokens) = Slice::size(Rates { requests: None, tokens: None });
        let mut slice = Slice::default();
        slice.refill(requests, tokens);
        assert!(slice.take(u64::MAX - 1) && slice.take(1));
    }
}
