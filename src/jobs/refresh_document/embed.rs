//! Embeds the chunks of many documents with as few requests as the server's limits allow.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;

use super::{
    super::{
        JobError,
        budget::{self, AskError},
        gather::{Gather, Limits, halving},
    },
    refresher::{ChunkRequest, Refreshing},
};
use crate::{model::ModelError, store::usage::Cost, telemetry};

/// How long a request that is not full waits for documents that are on their way to it.
const LINGER: Duration = Duration::from_millis(50);
/// Requests under way at once.
const AT_ONCE: usize = 4;

pub(super) fn embeds(shared: &Arc<Refreshing>) -> Gather<ChunkRequest, Result<Vec<f32>, JobError>> {
    let limits = Limits {
        items: shared.version.model.limits.inputs,
        weight: shared.version.model.limits.tokens,
        linger: LINGER,
        at_once: AT_ONCE,
    };
    let (shared, running) = (shared.clone(), shared.clone());
    let work = move |wanted: Vec<ChunkRequest>| {
        let shared = shared.clone();
        async move { shared.embed(&wanted).await }.boxed()
    };
    Gather::new(limits, |wanted| wanted.chunk.tokens.into(), move || running.all_wait(), work)
}

impl Refreshing {
    /// Whether every document that is being refreshed waits for its vectors.
    fn all_wait(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= self.running.load(Ordering::Acquire)
    }

    /// One result for each chunk; one that the server rejects, or has no usable vector for, spoils no other.
    async fn embed(&self, wanted: &[ChunkRequest]) -> Vec<Result<Vec<f32>, JobError>> {
        let is_refused = |error: &AskError| {
            matches!(error, AskError::Model(ModelError::Rejected { .. } | ModelError::NoVector { .. }))
        };
        let results = halving(wanted, is_refused, |part| self.request(part).boxed()).await;
        results.into_iter().map(|result| result.map_err(JobError::from)).collect()
    }

    /// One vector for each chunk.
    async fn request(&self, wanted: &[ChunkRequest]) -> Result<Vec<Vec<f32>>, AskError> {
        let inputs: Vec<_> = wanted.iter().map(|wanted| wanted.chunk.input.clone()).collect();
        let tokens = wanted.iter().map(|wanted| u64::from(wanted.chunk.tokens)).sum();
        let jobs: Vec<_> = wanted.iter().map(|wanted| wanted.job).collect();
        let model = &self.version.model;
        let embedded = model.backfill.embed(&*model.embedder, &inputs, tokens, &jobs).await;
        if !matches!(embedded, Err(AskError::Withheld(_))) {
            telemetry::embedding_batch(inputs.len());
        }
        let embedded = embedded?;
        let cost = Cost::of("embedding", &[(embedded.tokens, model.price)]);
        telemetry::model_cost(cost.operation, cost.usd);
        budget::note(&self.store, cost).await;
        Ok(embedded.vectors)
    }
}
