//! How often a client may call.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use tokio_util::sync::CancellationToken;

use crate::http::problem::{Code, Problem};

/// How often idle clients are removed from the rate limiter.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(1);

/// Limits the requests of each client to this daemon.
#[derive(Clone)]
pub struct Rate(Option<Arc<DefaultKeyedRateLimiter<String>>>);

impl Rate {
    /// Allows this many requests a minute; `None` for any number.
    pub fn per_minute(requests: Option<NonZeroU32>) -> Self {
        Self(requests.map(|requests| Arc::new(RateLimiter::keyed(Quota::per_minute(requests)))))
    }

    pub(super) fn check(&self, client: &str) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&client.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            let detail = format!("client {client} exceeded http.requests_per_minute");
            Problem::new(Code::RateLimited, detail).retry_after(wait)
        })
    }

    /// Removes idle clients, until stopped.
    pub async fn keep(&self, stop: &CancellationToken) {
        let Some(limiter) = &self.0 else { return };
        while stop.run_until_cancelled(tokio::time::sleep(CLEANUP_INTERVAL)).await.is_some() {
            limiter.retain_recent();
        }
    }
}
