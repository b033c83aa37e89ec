//! Whether this process takes new work.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// Whether this process takes new work; it does until it stops.
#[derive(Clone, Default)]
pub struct Readiness {
    ended: Arc<AtomicBool>,
    workers: Arc<OnceLock<SteadyCheck>>,
}

/// Whether the workers reach the database.
type SteadyCheck = Box<dyn Fn() -> bool + Send + Sync>;

impl Readiness {
    /// Sets the check whether the workers reach the database, once.
    pub fn watch(&self, are_steady: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.workers.set(Box::new(are_steady));
    }

    /// Reports from now on that no new work is taken.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn has_steady_workers(&self) -> bool {
        self.workers.get().is_none_or(|are_steady| are_steady())
    }
}
