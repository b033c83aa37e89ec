//! What goes wrong, and what was asked: the tests' handle on a running server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::demo::models::fault::{Fault, Line, Operation};

/// Bodies kept for assertions: the newest of both operations together…
const KEPT_BODIES: usize = 1000;
/// …as long as they fit in this many bytes, so that a benchmark does not fill the memory.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// How many requests came, by operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Requests {
    /// Requests for embeddings.
    pub embeddings: usize,
    /// Requests for completions.
    pub completions: usize,
}

/// What came, including requests that failed by a fault or were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Counts {
    /// Requests by operation.
    pub requests: Requests,
    /// Texts in all requests for embeddings.
    pub inputs: usize,
}

/// A handle on the failures of a server and on what it was asked; clones are the same script.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
    /// How often [`Script::release`] was called.
    releases: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    embeddings: Faults,
    completions: Faults,
    bodies: VecDeque<(Operation, HeaderMap, Bytes)>,
    kept_bytes: usize,
}

#[derive(Debug, Default)]
struct Faults {
    queued: VecDeque<Fault>,
    standing: Option<Fault>,
}

/// A request's place in the script.
pub(super) struct Scene {
    pub(super) fault: Option<Fault>,
    releases: watch::Receiver<usize>,
}

impl Scene {
    /// Waits for the first [`Script::release`] after the request came.
    pub(super) async fn released(&mut self) {
        // The sender lives in the script that gave us this receiver; if it is gone, nobody can release us.
        let _ = self.releases.changed().await;
    }
}

impl Script {
    /// Lets the next requests fail, one by each fault, after those already queued.
    pub fn queue(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults(operation).queued.extend(faults);
    }

    /// Lets every request fail for which no fault is queued, until [`clear`](Self::clear).
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.lock().faults(operation).standing = Some(fault);
    }

    /// Forgets all faults, queued and standing, and releases the held requests. Counts and bodies stay.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.embeddings = Faults::default();
        state.completions = Faults::default();
        drop(state);
        self.release();
    }

    /// Forgets all faults, counts and bodies.
    pub fn reset(&self) {
        self.clear();
        let mut state = self.lock();
        state.bodies.clear();
        state.kept_bytes = 0;
        self.0.counts.send_replace(Counts::default());
    }

    /// Lets the requests go on that [`Fault::Held`] holds now. Those that come later are held anew.
    pub fn release(&self) {
        self.0.releases.send_modify(|releases| *releases += 1);
    }

    /// What came until now.
    pub fn counts(&self) -> Counts {
        *self.0.counts.borrow()
    }

    /// Requests that came for this operation.
    pub fn requests(&self, operation: Operation) -> usize {
        self.counts().requests.of(operation)
    }

    /// Texts that came to be embedded.
    pub fn inputs(&self) -> usize {
        self.counts().inputs
    }

    /// Waits until this many requests have come for the operation, counted from the start.
    pub async fn arrived(&self, operation: Operation, requests: usize) {
        let mut counts = self.0.counts.subscribe();
        // We hold the sender, thus the wait cannot fail.
        let _ = counts.wait_for(|counts| counts.requests.of(operation) >= requests).await;
    }

    /// Bodies of the newest requests for this operation, oldest first; `null` for one that is not JSON.
    pub fn bodies(&self, operation: Operation) -> Vec<Value> {
        let state = self.lock();
        let of_operation = state.bodies.iter().filter(|(of, ..)| *of == operation);
        of_operation.map(|(.., body)| serde_json::from_slice(body).unwrap_or_default()).collect()
    }

    /// Headers of the same requests.
    pub fn headers(&self, operation: Operation) -> Vec<HeaderMap> {
        let state = self.lock();
        let of_operation = state.bodies.iter().filter(|(of, ..)| *of == operation);
        of_operation.map(|(_, headers, _)| headers.clone()).collect()
    }

    /// Adds the lines of a script that came from another process.
    pub(super) fn add(&self, lines: Vec<Line>) {
        for Line { operation, fault, standing } in lines {
            if standing {
                self.always(operation, fault);
            } else {
                self.queue(operation, [fault]);
            }
        }
    }

    /// Takes down a request and says what happens to it.
    pub(super) fn enter(
        &self,
        operation: Operation,
        headers: HeaderMap,
        body: &Bytes,
        inputs: usize,
    ) -> Scene {
        let mut state = self.lock();
        state.keep(operation, headers, body.clone());
        let fault = state.faults(operation).take();
        let releases = self.0.releases.subscribe();
        self.0.counts.send_modify(|counts| {
            counts.inputs += inputs;
            match operation {
                Operation::Embeddings => counts.requests.embeddings += 1,
                Operation::Completions => counts.requests.completions += 1,
            }
        });
        Scene { fault, releases }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn of(self, operation: Operation) -> usize {
        match operation {
            Operation::Embeddings => self.embeddings,
            Operation::Completions => self.completions,
        }
    }
}

impl State {
    fn faults(&mut self, operation: Operation) -> &mut Faults {
        match operation {
            Operation::Embeddings => &mut self.embeddings,
            Operation::Completions => &mut self.completions,
        }
    }

    fn keep(&mut self, operation: Operation, headers: HeaderMap, body: Bytes) {
        self.kept_bytes += body.len();
        self.bodies.push_back((operation, headers, body));
        while self.bodies.len() > KEPT_BODIES || self.kept_bytes > KEPT_BYTES {
            let Some((.., dropped)) = self.bodies.pop_front() else {
                break;
            };
            self.kept_bytes -= dropped.len();
        }
    }
}

impl Faults {
    fn take(&mut self) -> Option<Fault> {
        self.queued.pop_front().or_else(|| self.standing.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_faults_come_once_and_before_the_standing_one() {
        let script = Script::default();
        script.always(Operation::Embeddings, Fault::BadJson);
        script.queue(Operation::Embeddings, [Fault::Nonsense, Fault::WrongCount]);
        let next = || script.enter(Operation::Embeddings, HeaderMap::new(), &Bytes::new(), 0).fault;
        assert_eq!([next(), next(), next()], [Fault::Nonsense, Fault::WrongCount, Fault::BadJson].map(Some));
        assert_eq!(next(), Some(Fault::BadJson));
        assert_eq!(script.enter(Operation::Completions, HeaderMap::new(), &Bytes::new(), 0).fault, None);
        script.clear();
        assert_eq!(script.enter(Operation::Embeddings, HeaderMap::new(), &Bytes::new(), 0).fault, None);
        assert_eq!(script.requests(Operation::Embeddings), 5);
    }

    #[test]
    fn kept_bodies_are_bounded_in_number_and_size() {
        let script = Script::default();
        for _ in 0..KEPT_BODIES + 5 {
            script.enter(Operation::Completions, HeaderMap::new(), &Bytes::from_static(b"{}"), 0);
        }
        assert_eq!(script.bodies(Operation::Completions).len(), KEPT_BODIES);
        let large = Bytes::from(vec![b' '; KEPT_BYTES / 2]);
        for _ in 0..4 {
            script.enter(Operation::Embeddings, HeaderMap::new(), &large, 3);
        }
        assert_eq!(script.bodies(Operation::Embeddings).len(), 2);
        assert_eq!(script.inputs(), 12);
    }
}
