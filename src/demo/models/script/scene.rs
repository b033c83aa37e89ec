//! The server's side of the script.

use axum::{body::Bytes, http::HeaderMap};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Counts, Script};
use crate::demo::models::fault::{Fault, Line, Operation};
use crate::demo::models::quirk::Quirk;

/// What the script has in store for one request.
pub(crate) struct Scene {
    pub(crate) fault: Option<Fault>,
    pub(crate) quirks: Vec<Quirk>,
    releases: watch::Receiver<usize>,
}

impl Scene {
    /// Waits for the first [`Script::release`] after the request arrived.
    pub(crate) async fn released(&mut self) {
        // Fails if the script is gone, and then nobody can release the request.
        let _ = self.releases.changed().await;
    }
}

impl Script {
    /// Counts and keeps a request, and decides how it fails.
    pub(crate) fn enter(
        &self,
        operation: Operation,
        headers: HeaderMap,
        body: &Bytes,
        inputs: usize,
    ) -> Scene {
        let mut state = self.lock();
        state.history.add(operation, headers, body.clone());
        let queued = state.queued[operation as usize].pop_front();
        let fault = queued.or_else(|| state.standing[operation as usize].clone());
        let releases = self.0.releases.subscribe();
        self.0.counts.send_modify(|counts| {
            counts.inputs += inputs;
            counts.requests[operation as usize] += 1;
        });
        Scene { fault, quirks: state.quirks.clone(), releases }
    }

    pub(in crate::demo::models) fn add(&self, lines: Vec<Line>) {
        for Line { operation, fault, standing } in lines {
            if standing {
                self.always(operation, fault);
            } else {
                self.queue(operation, [fault]);
            }
        }
    }

    /// The counts as `GET /_script` shows them.
    pub(crate) fn counts(&self) -> Value {
        let Counts { requests: [embeddings, completions], inputs } = *self.0.counts.borrow();
        json!({"requests": {"embeddings": embeddings, "completions": completions}, "inputs": inputs})
    }
}
