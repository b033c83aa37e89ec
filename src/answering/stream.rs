//! Events of an answer in progress, stored in batches for readers of its stream.
//!
//! A model that answers at once stores nothing here: the stream then has the answer itself. The events of one run are
//! numbered after its fence, so that those of a later run come after them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    answering::object::Source,
    model::Delta,
    store::{
        Store,
        answers::{ClaimedQuestion, Event, EventKind},
    },
};

const STORE_INTERVAL: Duration = Duration::from_millis(150);

/// The events that are not stored yet.
#[derive(Default)]
pub struct Draft(Mutex<PendingEvents>);

#[derive(Default)]
struct PendingEvents {
    events: Vec<(EventKind, Value)>,
    text: String,
    has_begun: bool,
}

impl Draft {
    pub(super) fn found(&self, sources: &[Source]) {
        self.pending().events.push((EventKind::Sources, json!({ "sources": sources })));
    }

    pub(super) fn add(&self, delta: Delta<'_>) {
        match delta {
            Delta::Text(piece) => self.push(piece),
            Delta::Reset => self.reset(),
        }
    }

    fn push(&self, piece: &str) {
        let mut pending = self.pending();
        let piece = if pending.has_begun { piece } else { piece.trim_start() };
        pending.has_begun |= !piece.is_empty();
        pending.text.push_str(piece);
    }

    /// Voids the text so far: the model is asked once more.
    pub(super) fn reset(&self) {
        let mut pending = self.pending();
        pending.close();
        pending.events.push((EventKind::Reset, json!({})));
        pending.has_begun = false;
    }

    /// Stores the events at intervals; never returns.
    pub(super) async fn keep_storing(&self, store: &Store, taken: &ClaimedQuestion) {
        let mut number = 0;
        loop {
            tokio::time::sleep(STORE_INTERVAL).await;
            let pending = {
                let mut pending = self.pending();
                pending.close();
                std::mem::take(&mut pending.events)
            };
            if pending.is_empty() {
                continue;
            }
            let events = pending.into_iter().map(|(kind, data)| {
                number += 1;
                Event { n: taken.first_event() + number, kind, data }
            });
            if let Err(error) = store.add_events(taken, &events.collect::<Vec<_>>()).await {
                tracing::debug!(%error, "events of an answer are lost: {error}");
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, PendingEvents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingEvents {
    fn close(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.events.push((EventKind::Delta, json!({ "delta": text })));
        }
    }
}
