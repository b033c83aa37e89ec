//! What is said of an answer while it is made, written down now and then for those who watch.
//!
//! A model that answers at once leaves nothing here: whoever watches reads the answer itself. The pieces of one run
//! are numbered after its fence, so that those of a later run come after them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    answering::object::Source,
    store::{
        Store,
        answers::{ClaimedQuestion, Event, EventKind},
    },
};

/// How often it is written down.
const EVERY: Duration = Duration::from_millis(150);

/// What is not written down yet.
#[derive(Default)]
pub struct Draft(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    events: Vec<(EventKind, Value)>,
    text: String,
    has_begun: bool,
}

impl Draft {
    /// The passages were found.
    pub(super) fn found(&self, sources: &[Source]) {
        self.pending().events.push((EventKind::Sources, json!({ "sources": sources })));
    }

    /// The model says this next.
    pub(super) fn say(&self, piece: &str) {
        let mut pending = self.pending();
        let piece = if pending.has_begun { piece } else { piece.trim_start() };
        pending.has_begun |= !piece.is_empty();
        pending.text.push_str(piece);
    }

    /// What was said does not count: the model is asked once more.
    pub(super) fn reset(&self) {
        let mut pending = self.pending();
        pending.close();
        pending.events.push((EventKind::Reset, json!({})));
        pending.has_begun = false;
    }

    /// Writes it down again and again; never ends.
    pub(super) async fn keep(&self, store: &Store, taken: &ClaimedQuestion) {
        let mut number = 0;
        loop {
            tokio::time::sleep(EVERY).await;
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
            let events: Vec<_> = events.collect();
            if let Err(error) = store.add_events(taken, &events).await {
                tracing::debug!(%error, "those who watch miss a piece of an answer: {error}");
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// What was said until now becomes an event.
    fn close(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.events.push((EventKind::Delta, json!({ "delta": text })));
        }
    }
}
