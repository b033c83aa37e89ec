//! Whether the workers of a process get through to the database: what a watchdog wants to know.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a worker may be silent. All of them look at the database each second, and give a statement up after ten.
const SILENCE: Duration = Duration::from_secs(20);

/// When each worker last got through to the database.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<Mutex<BTreeMap<&'static str, Instant>>>);

impl Heartbeat {
    /// A worker got through.
    pub(super) fn beat(&self, worker: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, Instant::now());
    }

    /// Whether every worker got through lately.
    pub fn is_steady(&self) -> bool {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.values().all(|beat| beat.elapsed() < SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_is_silent_is_enough() {
        let heartbeat = Heartbeat::default();
        heartbeat.beat("one");
        heartbeat.beat("other");
        assert!(heartbeat.is_steady());
        let long_ago = Instant::now().checked_sub(2 * SILENCE).unwrap();
        heartbeat.0.lock().unwrap().insert("other", long_ago);
        assert!(!heartbeat.is_steady());
    }
}
