//! A per-process rate limit, used when the database role may not write the shared budget.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock};

use crate::store::budgets::Rates;

/// Limits this process alone to the rates of the settings.
#[derive(Debug)]
pub(super) struct LocalLimit {
    requests: Option<DefaultDirectRateLimiter>,
    tokens: Option<DefaultDirectRateLimiter>,
}

impl LocalLimit {
    pub(super) fn new(rates: Rates) -> Self {
        let limiter = |per_minute: Option<u32>| {
            per_minute.and_then(NonZeroU32::new).map(|rate| RateLimiter::direct(Quota::per_minute(rate)))
        };
        Self { requests: limiter(rates.requests), tokens: limiter(rates.tokens) }
    }

    /// Takes requests with this many tokens in all, or returns how long to wait. A request for more than a minute's worth
    /// passes: it would wait for ever.
    pub(super) fn take(&self, requests: u32, tokens: u64) -> Duration {
        let wait = |limiter: &DefaultDirectRateLimiter, cells: NonZeroU32| match limiter.check_n(cells) {
            Ok(Err(until)) => until.wait_time_from(limiter.clock().now()),
            Ok(Ok(())) | Err(_) => Duration::ZERO,
        };
        let of = |limiter: &Option<DefaultDirectRateLimiter>, cells: u32| {
            limiter.as_ref().zip(NonZeroU32::new(cells)).map_or(Duration::ZERO, |(limit, n)| wait(limit, n))
        };
        // Requests first: what one limit grants is lost if the other one refuses, and tokens are scarcer.
        match of(&self.requests, requests) {
            Duration::ZERO => of(&self.tokens, u32::try_from(tokens).unwrap_or(u32::MAX)),
            for_requests => for_requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_minute_does_not_bring_is_waited_for_but_for_a_request_that_is_larger_than_that() {
        let limit = LocalLimit::new(Rates { requests: Some(3), tokens: Some(100) });
        assert_eq!((limit.take(1, 60), limit.take(1, 1000)), (Duration::ZERO, Duration::ZERO));
        let wait = limit.take(1, 60);
        assert!(wait > Duration::from_secs(5) && wait < Duration::from_mins(1), "for tokens: {wait:?}");
        let wait = limit.take(1, 40);
        assert!(wait > Duration::from_secs(10) && wait < Duration::from_secs(21), "for a request: {wait:?}");
        let limit = LocalLimit::new(Rates { requests: Some(1), tokens: Some(100) });
        assert_eq!(limit.take(1, 10), Duration::ZERO);
        assert_ne!(limit.take(1, 90), Duration::ZERO);
        let tokens = LocalLimit { requests: None, ..limit };
        assert_eq!(tokens.take(1, 90), Duration::ZERO, "a refused request costs no tokens");
        let unlimited = LocalLimit::new(Rates { requests: None, tokens: None });
        assert_eq!(unlimited.take(u32::MAX, u64::MAX), Duration::ZERO);
    }
}
