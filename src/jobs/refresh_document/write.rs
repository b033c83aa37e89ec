//! Writes many documents in one transaction.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::FutureExt;

use super::{
    super::{
        JobError,
        gather::{Gather, Limits},
    },
    refresher::Refreshing,
};
use crate::store::{
    StoreError,
    documents::{Write, Written},
};

/// Documents of one transaction, and the vectors in it.
const LIMITS: Limits = Limits { items: 500, weight: 2000, linger: Duration::from_millis(2), at_once: 3 };

pub(super) fn writes(shared: &Arc<Refreshing>) -> Gather<Write, Result<Written, JobError>> {
    let shared = shared.clone();
    let work = move |writes: Vec<Write>| {
        let shared = shared.clone();
        async move { shared.write(&writes).await }.boxed()
    };
    Gather::new(LIMITS, Write::vectors, || false, work)
}

impl Refreshing {
    /// One result for each document. What the database refuses is halved until the one that it cannot
    /// take stands alone.
    async fn write(&self, writes: &[Write]) -> Vec<Result<Written, JobError>> {
        let mut results = Vec::with_capacity(writes.len());
        let mut parts = VecDeque::from([writes]);
        while let Some(part) = parts.pop_front() {
            match self.store.refresh(self.version.index.id, part).await {
                Ok(written) => results.extend(written.into_iter().map(Ok)),
                Err(StoreError::Failed(_)) if part.len() > 1 => {
                    let (one, other) = part.split_at(part.len() / 2);
                    parts.push_front(other);
                    parts.push_front(one);
                }
                Err(error) => results.extend(part.iter().map(|_| Err(JobError::from(error.clone())))),
            }
        }
        results
    }
}
