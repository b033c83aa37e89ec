//! Which requests fail, and which requests came: the tests' handle on a running server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::demo::models::fault::{Fault, Line, Operation};

/// Requests kept for assertions: the newest of both operations together…
const KEPT_REQUESTS: usize = 1000;
/// …as long as their bodies fit in this many bytes, so that a benchmark does not fill the memory.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// A handle on the failures of a server and on what it was asked; clones are the same script.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<ScriptState>);

#[derive(Debug, Default)]
struct ScriptState {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
    /// How often [`Script::release`] was called.
    releases: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// By operation.
    faults: [Faults; 2],
    requests: VecDeque<(Operation, HeaderMap, Bytes)>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Faults {
    queued: VecDeque<Fault>,
    standing: Option<Fault>,
}

/// What came, including requests that failed by a fault or were refused.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// By operation.
    requests: [usize; 2],
    inputs: usize,
}

/// A request's place in the script.
pub(super) struct Scene {
    pub(super) fault: Option<Fault>,
    releases: watch::Receiver<usize>,
}

impl Scene {
    /// Waits for the first [`Script::release`] after the request came.
    pub(super) async fn released(&mut self) {
        // Fails when the script is gone: then nobody can release us.
        let _ = self.releases.changed().await;
    }
}

impl Script {
    /// Lets the next requests fail, one by each fault, after those already queued.
    pub fn queue(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults[operation as usize].queued.extend(faults);
    }

    /// Lets every request fail for which no fault is queued, until [`clear`](Self::clear).
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.lock().faults[operation as usize].standing = Some(fault);
    }

    /// Forgets all faults, queued and standing, and releases the held requests. Counts and bodies stay.
    pub fn clear(&self) {
        self.lock().faults = Default::default();
        self.release();
    }

    /// Forgets all faults, counts and bodies.
    pub fn reset(&self) {
        *self.lock() = State::default();
        self.0.counts.send_replace(Counts::default());
        self.release();
    }

    /// Lets the requests go on that [`Fault::Held`] holds now. Those that come later are held anew.
    pub fn release(&self) {
        self.0.releases.send_modify(|releases| *releases += 1);
    }

    /// Returns how many requests came for this operation.
    pub fn requests(&self, operation: Operation) -> usize {
        self.0.counts.borrow().requests[operation as usize]
    }

    /// Returns how many texts came to be embedded.
    pub fn inputs(&self) -> usize {
        self.0.counts.borrow().inputs
    }

    /// Waits until this many requests have come for the operation, counted from the start.
    pub async fn arrived(&self, operation: Operation, requests: usize) {
        let mut counts = self.0.counts.subscribe();
        // We hold the sender, thus the wait cannot fail.
        let _ = counts.wait_for(|counts| counts.requests[operation as usize] >= requests).await;
    }

    /// Returns the bodies of the newest requests for this operation, oldest first; `null` for one that is not JSON.
    pub fn bodies(&self, operation: Operation) -> Vec<Value> {
        self.kept(operation, |_, body| serde_json::from_slice(body).unwrap_or_default())
    }

    /// Returns the headers of the same requests.
    pub fn headers(&self, operation: Operation) -> Vec<HeaderMap> {
        self.kept(operation, |headers, _| headers.clone())
    }

    /// Returns the counts as `GET /_script` shows them.
    pub(super) fn counts(&self) -> Value {
        let Counts { requests: [embeddings, completions], inputs } = *self.0.counts.borrow();
        json!({"requests": {"embeddings": embeddings, "completions": completions}, "inputs": inputs})
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

    /// Counts and keeps a request, and decides what happens to it.
    pub(super) fn enter(
        &self,
        operation: Operation,
        headers: HeaderMap,
        body: &Bytes,
        inputs: usize,
    ) -> Scene {
        let mut state = self.lock();
        state.keep(operation, headers, body.clone());
        let faults = &mut state.faults[operation as usize];
        let fault = faults.queued.pop_front().or_else(|| faults.standing.clone());
        let releases = self.0.releases.subscribe();
        self.0.counts.send_modify(|counts| {
            counts.inputs += inputs;
            counts.requests[operation as usize] += 1;
        });
        Scene { fault, releases }
    }

    fn kept<T>(&self, operation: Operation, part: impl Fn(&HeaderMap, &Bytes) -> T) -> Vec<T> {
        let state = self.lock();
        let requests = state.requests.iter().filter(|(other, ..)| *other == operation);
        requests.map(|(_, headers, body)| part(headers, body)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, operation: Operation, headers: HeaderMap, body: Bytes) {
        self.bytes += body.len();
        self.requests.push_back((operation, headers, body));
        while self.requests.len() > KEPT_REQUESTS || self.bytes > KEPT_BYTES {
            let Some((.., dropped)) = self.requests.pop_front() else {
                break;
            };
            self.bytes -= dropped.len();
        }
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
        let next = |operation| script.enter(operation, HeaderMap::new(), &Bytes::new(), 0).fault;
        for fault in [Fault::Nonsense, Fault::WrongCount, Fault::BadJson, Fault::BadJson] {
            assert_eq!(next(Operation::Embeddings), Some(fault));
        }
        assert_eq!(next(Operation::Completions), None);
        script.clear();
        assert_eq!(next(Operation::Embeddings), None);
        assert_eq!(script.requests(Operation::Embeddings), 5);
    }

    #[test]
    fn kept_bodies_are_bounded_in_number_and_size() {
        let script = Script::default();
        for _ in 0..KEPT_REQUESTS + 5 {
            script.enter(Operation::Completions, HeaderMap::new(), &Bytes::from_static(b"{}"), 0);
        }
        assert_eq!(script.bodies(Operation::Completions).len(), KEPT_REQUESTS);
        let large = Bytes::from(vec![b' '; KEPT_BYTES / 2]);
        for _ in 0..4 {
            script.enter(Operation::Embeddings, HeaderMap::new(), &large, 3);
        }
        assert_eq!(script.bodies(Operation::Embeddings).len(), 2);
        assert_eq!(script.inputs(), 12);
    }
}
