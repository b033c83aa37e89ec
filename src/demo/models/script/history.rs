//! The newest requests, kept for assertions.

use std::collections::VecDeque;

use axum::{body::Bytes, http::HeaderMap};

use crate::demo::models::fault::Operation;

/// How many requests are kept, of both operations together…
const MAX_REQUESTS: usize = 1000;
/// …if their bodies fit in this many bytes, so that a benchmark does not fill the memory.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct History {
    requests: VecDeque<(Operation, HeaderMap, Bytes)>,
    bytes: usize,
}

impl History {
    pub(super) fn add(&mut self, operation: Operation, headers: HeaderMap, body: Bytes) {
        self.bytes += body.len();
        self.requests.push_back((operation, headers, body));
        while self.requests.len() > MAX_REQUESTS || self.bytes > MAX_BYTES {
            let Some((.., dropped)) = self.requests.pop_front() else { break };
            self.bytes -= dropped.len();
        }
    }

    /// Maps the requests for an operation, oldest first.
    pub(super) fn map<T>(&self, operation: Operation, part: impl Fn(&HeaderMap, &Bytes) -> T) -> Vec<T> {
        let requests = self.requests.iter().filter(|(other, ..)| *other == operation);
        requests.map(|(_, headers, body)| part(headers, body)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_in_number_and_size() {
        let mut history = History::default();
        for _ in 0..MAX_REQUESTS + 5 {
            history.add(Operation::Completions, HeaderMap::new(), Bytes::from_static(b"{}"));
        }
        assert_eq!(history.map(Operation::Completions, |_, _| ()).len(), MAX_REQUESTS);
        let large = Bytes::from(vec![b' '; MAX_BYTES / 2]);
        for _ in 0..4 {
            history.add(Operation::Embeddings, HeaderMap::new(), large.clone());
        }
        assert_eq!(history.map(Operation::Embeddings, |_, _| ()).len(), 2);
    }
}
