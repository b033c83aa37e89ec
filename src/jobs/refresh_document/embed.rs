//! Embeds the chunks of many documents with as few requests as the server's limits allow.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;

use super::{
    super::{
        JobError, budget,
        gather::{Gather, Limits, halving},
    },
    refresher::Refreshing,
};
use crate::{index::Chunk, model::ModelError, store::usage::Cost, telemetry};

/// How long a request that is not full waits for documents that are on their way to it.
const LINGER: Duration = Duration::from_millis(50);
/// Requests under way at once.
const AT_ONCE: usize = 4;

pub(super) fn embeds(shared: &Arc<Refreshing>) -> Gather<Chunk, Result<Vec<f32>, JobError>> {
    let limits = Limits {
        items: shared.version.model.limits.inputs,
        weight: shared.version.model.limits.tokens,
        linger: LINGER,
        at_once: AT_ONCE,
    };
    let (shared, running) = (shared.clone(), shared.clone());
    let work = move |chunks: Vec<Chunk>| {
        let shared = shared.clone();
        async move { shared.embed(&chunks).await }.boxed()
    };
    Gather::new(limits, |chunk| chunk.tokens.into(), move || running.all_wait(), work)
}

impl Refreshing {
    /// Whether every document that is being refreshed waits for its vectors.
    fn all_wait(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= self.running.load(Ordering::Acquire)
    }

    /// One result for each chunk; one that the server rejects, or has no usable vector for, spoils no other.
    async fn embed(&self, chunks: &[Chunk]) -> Vec<Result<Vec<f32>, JobError>> {
        let is_refused = |error: &Failed| matches!(error, Failed::Rejected(_));
        let results = halving(chunks, is_refused, |part| self.request(part).boxed()).await;
        let job_error = |failed| match failed {
            Failed::Rejected(error) | Failed::Other(error) => error,
        };
        results.into_iter().map(|result| result.map_err(job_error)).collect()
    }

    /// One vector for each chunk.
    async fn request(&self, chunks: &[Chunk]) -> Result<Vec<Vec<f32>>, Failed> {
        let inputs: Vec<_> = chunks.iter().map(|chunk| chunk.input.clone()).collect();
        let tokens = chunks.iter().map(|chunk| u64::from(chunk.tokens)).sum();
        self.version.model.backfill.take(tokens).await.map_err(Failed::Other)?;
        telemetry::embedding_batch(inputs.len());
        let embedded = self.version.model.embedder.embed(&inputs).await;
        telemetry::model_requested("embedding", embedded.as_ref().map_or_else(ModelError::code, |_| "ok"));
        let embedded = match embedded {
            Ok(embedded) => embedded,
            Err(error @ (ModelError::Rejected { .. } | ModelError::NoVector { .. })) => {
                return Err(Failed::Rejected(error.into()));
            }
            Err(error) => {
                self.version.model.backfill.heed(&error).await;
                return Err(Failed::Other(error.into()));
            }
        };
        self.version.model.backfill.correct(embedded.left).await;
        telemetry::model_charged(&self.version.index.model, "input", embedded.tokens);
        let cost = Cost::of("embedding", &[(embedded.tokens, self.version.model.price)]);
        telemetry::model_cost(cost.operation, cost.usd);
        budget::note(&self.store, cost).await;
        Ok(embedded.vectors)
    }
}

/// Why a request failed.
#[derive(Clone)]
enum Failed {
    /// One of its inputs is at fault, not the server.
    Rejected(JobError),
    Other(JobError),
}
