//! How long a job waits between attempts.

use std::time::Duration;

/// Waits that double from `first` to `max`, each shortened at random, so that jobs which failed together
/// do not come back together.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait after this many attempts; `share` is drawn from 0 to 1.
    pub fn after(self, attempts: u32, share: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
        // Half is kept, so that a failing job never spins.
        doubled.min(self.max).mul_f64(0.5 + 0.5 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_mins(1) };
        let waits: Vec<_> =
            [1, 2, 5, 20, u32::MAX].map(|attempts| backoff.after(attempts, 1.0).as_secs()).into();
        assert_eq!(waits, [1, 2, 16, 60, 60]);
    }

    #[test]
    fn chance_shortens_a_wait_by_half_at_most() {
        let backoff = Backoff { first: Duration::from_secs(2), max: Duration::from_mins(1) };
        assert_eq!(backoff.after(1, 0.0), Duration::from_secs(1));
    }
}
