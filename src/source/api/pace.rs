//! How fast pages are asked for.

use std::time::{Duration, Instant};

/// The longest wait that a server may ask for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Keeps requests apart.
pub(super) struct Pace {
    interval: Duration,
    last: Option<Instant>,
}

impl Pace {
    pub(super) fn new(requests_per_minute: Option<u32>) -> Self {
        let interval =
            requests_per_minute.map_or(Duration::ZERO, |most| Duration::from_mins(1) / most.max(1));
        Self { interval, last: None }
    }

    /// Waits until the next request may be sent.
    pub(super) async fn wait(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep(self.interval.saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Instant::now());
    }

    /// Waits after a failed attempt, as long as the server asks.
    pub(super) async fn back_off(&self, attempt: u32, wait: Option<Duration>) {
        let doubled = Duration::from_millis(250) * 2_u32.pow(attempt.min(6));
        tokio::time::sleep(wait.unwrap_or(doubled).min(LONGEST_WAIT)).await;
    }
}
