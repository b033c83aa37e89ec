//! Wakes workers when jobs of their kind are enqueued, or when running jobs were cancelled.
//!
//! NOTIFY is a hint: a worker that misses one finds the job at its next look, or its lease gone at the
//! next renewal.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, jobs::CANCEL_CHANNEL};

/// How long after a lost connection listening is tried again.
const RECONNECT: Duration = Duration::from_secs(1);

/// One bell for each kind of job, for new ones and for cancelled ones.
#[derive(Clone, Debug)]
pub struct Wake {
    new: Arc<BTreeMap<&'static str, Arc<Notify>>>,
    cancelled: Arc<BTreeMap<&'static str, Arc<Notify>>>,
}

impl Wake {
    /// Makes bells for these kinds.
    pub fn new(kinds: &[&'static str]) -> Self {
        let bells = || Arc::new(kinds.iter().map(|kind| (*kind, Arc::default())).collect());
        Self { new: bells(), cancelled: bells() }
    }

    /// The bell of a kind; one that never rings when the kind is not among them.
    pub(super) fn of(&self, kind: &str) -> Arc<Notify> {
        self.new.get(kind).cloned().unwrap_or_default()
    }

    /// The bell that rings when jobs were cancelled.
    pub(super) fn cancelled(&self, kind: &str) -> Arc<Notify> {
        self.cancelled.get(kind).cloned().unwrap_or_default()
    }

    /// Rings the bells as the database says, until stopped. Reconnects for ever.
    pub async fn listen(&self, store: &Store, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.ring(store) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    /// Listens until the connection is lost.
    async fn ring(&self, store: &Store) {
        let Ok(mut listener) = store.listen().await else { return };
        // What was enqueued while nobody listened.
        self.new.values().for_each(|bell| bell.notify_one());
        while let Some((channel, kind)) = listener.next().await {
            if channel == CANCEL_CHANNEL {
                self.cancelled.values().for_each(|bell| bell.notify_one());
            } else if let Some(bell) = self.new.get(kind.as_str()) {
                bell.notify_one();
            }
        }
    }
}
