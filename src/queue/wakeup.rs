//! Wakes workers when jobs of their kind are enqueued, or when running jobs were cancelled.
//!
//! NOTIFY is a hint: a worker that misses one finds the job at its next poll, or the lost lease at its next renewal.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, listen};

/// Notifications of new jobs, by kind, and of cancelled ones.
#[derive(Clone, Debug)]
pub struct Wakeup {
    new: Arc<BTreeMap<&'static str, Arc<Notify>>>,
    cancelled: Arc<BTreeMap<&'static str, Arc<Notify>>>,
}

impl Wakeup {
    /// Prepares notifications for these kinds.
    pub fn new(kinds: &[&'static str]) -> Self {
        let bells = || Arc::new(kinds.iter().map(|kind| (*kind, Arc::default())).collect());
        Self { new: bells(), cancelled: bells() }
    }

    /// The notification of new jobs of a kind; never sent for an unknown kind.
    pub(super) fn new_jobs(&self, kind: &str) -> Arc<Notify> {
        self.new.get(kind).cloned().unwrap_or_default()
    }

    /// The notification of cancelled jobs.
    pub(super) fn cancelled(&self, kind: &str) -> Arc<Notify> {
        self.cancelled.get(kind).cloned().unwrap_or_default()
    }

    /// Listens to the database until stopped.
    pub async fn listen(&self, store: &Store, stop: &CancellationToken) {
        store
            .listen(&[listen::JOB, listen::CANCELLED_JOB], stop, |heard| match heard {
                // Jobs may have been enqueued before listening began.
                None => self.new.values().for_each(|bell| bell.notify_one()),
                Some((listen::CANCELLED_JOB, _)) => {
                    self.cancelled.values().for_each(|bell| bell.notify_one());
                }
                Some((_, kind)) => {
                    if let Some(bell) = self.new.get(kind) {
                        bell.notify_one();
                    }
                }
            })
            .await;
    }
}
