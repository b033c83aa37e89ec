//! A part of a budget that a process may use without asking again: a tenth of a second's worth, so that many short
//! requests do not wait in line for the budget's row; and the tokens that requests took and did not use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::store::budgets::Rates;

/// Slices in a minute.
const SLICES: u32 = 600;
/// How long a slice may be used.
const GOOD: Duration = Duration::from_millis(200);
/// How long tokens that were not used may be: as long as an idle budget takes to fill up.
const CREDIT: Duration = Duration::from_secs(10);

/// What was taken out of a budget and not used yet.
#[derive(Debug, Default)]
pub(super) struct Slice {
    requests: u32,
    tokens: u64,
    until: Option<Instant>,
    /// Tokens that came back. They need a request to be used with.
    credit: u64,
    credit_until: Option<Instant>,
}

pub(super) fn lock(slice: &Mutex<Slice>) -> MutexGuard<'_, Slice> {
    slice.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slice {
    /// The requests and tokens of a full slice; what is not limited is as much as there can be.
    pub(super) fn size(rates: Rates) -> (u32, u64) {
        let requests = rates.requests.map_or(u32::MAX, |requests| requests / SLICES);
        (requests, rates.tokens.map_or(u64::MAX, |tokens| u64::from(tokens / SLICES)))
    }

    /// Takes one request, if it and its tokens are there: those that came back first.
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

    /// Puts what was taken out of the budget in the place of the slice before.
    pub(super) fn refill(&mut self, requests: u32, tokens: u64) {
        (self.requests, self.tokens, self.until) = (requests, tokens, Some(Instant::now() + GOOD));
    }

    /// Keeps tokens that were not used: no more than ten seconds bring at this rate, or than the server says are left.
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

/// Tokens that came back and are to be used; dropped, they are given back.
pub(super) struct Loan {
    slice: Arc<Mutex<Slice>>,
    tokens: u64,
}

impl Loan {
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// They are used.
    pub(super) fn spend(mut self) {
        self.tokens = 0;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // Not for longer than they were good for.
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
