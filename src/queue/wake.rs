//! Wakes workers when jobs of their kind are enqueued.
//!
//! NOTIFY is a hint: a worker that misses one finds the job at its next look.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How long after a lost connection listening is tried again.
const RECONNECT: Duration = Duration::from_secs(1);

/// One bell for each kind of job.
#[derive(Clone, Debug)]
pub struct Wake(Arc<BTreeMap<&'static str, Arc<Notify>>>);

impl Wake {
    /// Makes bells for these kinds.
    pub fn new(kinds: &[&'static str]) -> Self {
        Self(Arc::new(kinds.iter().map(|kind| (*kind, Arc::default())).collect()))
    }

    /// The bell of a kind; one that never rings when the kind is not among them.
    pub(super) fn of(&self, kind: &str) -> Arc<Notify> {
        self.0.get(kind).cloned().unwrap_or_default()
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
        self.0.values().for_each(|bell| bell.notify_one());
        while let Ok(Some(notification)) = listener.try_recv().await {
            if let Some(bell) = self.0.get(notification.payload()) {
                bell.notify_one();
            }
        }
    }
}
