//! Which requests fail, and which requests arrived: a test's handle on a running server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use serde_json::Value;
use tokio::sync::watch;

use self::history::History;
use super::fault::{Fault, Operation};
use super::quirk::Quirk;

mod history;
mod scene;

pub(super) use scene::Scene;

/// Controls the failures of a server, and records its requests. Clones share one script.
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
    queued: [VecDeque<Fault>; 2],
    /// By operation.
    standing: [Option<Fault>; 2],
    quirks: Vec<Quirk>,
    history: History,
}

/// What arrived, including requests that failed or were refused.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// By operation.
    requests: [usize; 2],
    inputs: usize,
}

impl Script {
    /// Queues faults, each for one of the next requests.
    pub fn queue(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.lock().queued[operation as usize].extend(faults);
    }

    /// Fails every request for which no fault is queued, until [`clear`](Self::clear).
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.lock().standing[operation as usize] = Some(fault);
    }

    /// Makes the server differ in this way, until [`clear`](Self::clear).
    pub fn add_quirk(&self, quirk: Quirk) {
        self.lock().quirks.push(quirk);
    }

    /// Removes all faults, queued and standing, and quirks, and releases held requests. Counts and bodies stay.
    pub fn clear(&self) {
        let mut state = self.lock();
        (state.queued, state.standing, state.quirks) = Default::default();
        self.release();
    }

    /// Removes all faults, counts and bodies.
    pub fn reset(&self) {
        *self.lock() = State::default();
        self.0.counts.send_replace(Counts::default());
        self.release();
    }

    /// Releases the requests that [`Fault::Held`] holds now. Later ones are held again.
    pub fn release(&self) {
        self.0.releases.send_modify(|releases| *releases += 1);
    }

    /// Counts the requests for this operation.
    pub fn requests(&self, operation: Operation) -> usize {
        self.0.counts.borrow().requests[operation as usize]
    }

    /// Counts the texts to be embedded.
    pub fn inputs(&self) -> usize {
        self.0.counts.borrow().inputs
    }

    /// Waits until this many requests for the operation have arrived in total.
    pub async fn arrived(&self, operation: Operation, requests: usize) {
        let mut counts = self.0.counts.subscribe();
        // We hold the sender, so the wait cannot fail.
        let _ = counts.wait_for(|counts| counts.requests[operation as usize] >= requests).await;
    }

    /// Returns the bodies of the newest requests for this operation, oldest first; `null` for one that is not JSON.
    pub fn bodies(&self, operation: Operation) -> Vec<Value> {
        self.lock().history.map(operation, |_, body| serde_json::from_slice(body).unwrap_or_default())
    }

    /// Returns the headers of the same requests.
    pub fn headers(&self, operation: Operation) -> Vec<HeaderMap> {
        self.lock().history.map(operation, |headers, _| headers.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

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
}
