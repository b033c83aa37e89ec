//! Looks up the vectors of new chunks, and embeds the rest.

use std::collections::HashMap;

use futures::{FutureExt, StreamExt, stream};

use crate::{
    indexing::{
        chunk::{Chunk, EmbeddedChunk, InputHash},
        refresh::{
            RefreshDocument, RefreshResult, Request,
            draft::{Draft, NewChunk},
            halving::halving,
            job_error,
        },
        versions::Version,
    },
    job::JobError,
    model::{
        ModelError,
        rate_limit::{self, AskError, JobRef},
    },
    store::{
        documents::Content,
        usage::{Cost, Operation},
    },
    telemetry,
};

/// Vectors looked up per statement.
const LOOKUP_BATCH: usize = 500;
/// Concurrent requests of one batch.
const CONCURRENT_REQUESTS: usize = 4;

type Vectors = HashMap<InputHash, Result<Vec<f32>, JobError>>;

/// A chunk to be embedded, and the jobs that wait for it.
struct WantedChunk {
    hash: InputHash,
    chunk: Chunk,
    jobs: Vec<JobRef>,
}

impl RefreshDocument {
    /// Looks up vectors of the same inputs. A look-up that fails is an error of its chunks.
    pub(super) async fn look_up(&self, version: &Version, drafts: &[Draft]) -> Vectors {
        let mut hashes: Vec<_> = drafts.iter().flat_map(|draft| &draft.new).map(|new| new.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut vectors = Vectors::new();
        for part in hashes.chunks(LOOKUP_BATCH) {
            match self.store.vectors(&version.index, part).await {
                Ok(found) => vectors.extend(found.into_iter().map(|(hash, vector)| (hash, Ok(vector)))),
                Err(error) => {
                    let error = job_error(error);
                    vectors.extend(part.iter().map(|hash| (*hash, Err(error.clone()))));
                }
            }
        }
        vectors
    }

    /// Embeds chunks without a vector in as few requests as the server's limits allow, and completes the documents. A
    /// document fails if one of its chunks has no vector, and, before its request, if its job is lost.
    pub(super) async fn embed(
        &self,
        version: &Version,
        requests: &[Request],
        mut drafts: Vec<Draft>,
        mut vectors: Vectors,
        results: &mut [RefreshResult],
    ) -> Vec<Draft> {
        drafts.retain(|draft| {
            let is_lost = requests[draft.place].lost.is_cancelled();
            if is_lost {
                results[draft.place] = Err(JobError::LeaseLost);
            }
            !is_lost
        });
        let mut wanted: Vec<WantedChunk> = Vec::new();
        let mut places: HashMap<InputHash, usize> = HashMap::new();
        for draft in &drafts {
            for NewChunk { hash, chunk, .. } in
                draft.new.iter().filter(|new| !vectors.contains_key(&new.hash))
            {
                let place = *places.entry(*hash).or_insert_with(|| {
                    wanted.push(WantedChunk { hash: *hash, chunk: chunk.clone(), jobs: Vec::new() });
                    wanted.len() - 1
                });
                wanted[place].jobs.push(requests[draft.place].job);
            }
        }
        let parts = version.model.limits.parts(&wanted, |wanted| wanted.chunk.tokens.into());
        let blames_an_input = |error: &AskError| {
            matches!(error, AskError::Model(ModelError::Rejected { .. } | ModelError::NoVector { .. }))
        };
        let ask = |part| halving(part, blames_an_input, |part| self.ask(version, part).boxed()).boxed();
        let asked: Vec<_> = parts.into_iter().map(ask).collect();
        let embedded: Vec<_> = stream::iter(asked).buffered(CONCURRENT_REQUESTS).concat().await;
        let embedded = embedded.into_iter().map(|vector| vector.map_err(JobError::from));
        vectors.extend(wanted.iter().map(|wanted| wanted.hash).zip(embedded));
        let completed = drafts.into_iter().filter_map(|draft| {
            let place = draft.place;
            complete(draft, &vectors).map_err(|error| results[place] = Err(error)).ok()
        });
        completed.collect()
    }

    /// Embeds one chunk per input.
    async fn ask(&self, version: &Version, wanted: &[WantedChunk]) -> Result<Vec<Vec<f32>>, AskError> {
        let inputs: Vec<_> = wanted.iter().map(|wanted| wanted.chunk.input.clone()).collect();
        let tokens = wanted.iter().map(|wanted| u64::from(wanted.chunk.tokens)).sum();
        let jobs: Vec<_> = wanted.iter().flat_map(|wanted| &wanted.jobs).copied().collect();
        let model = &version.model;
        let embedded = model.backfill.embed(&*model.embedder, &inputs, tokens, &jobs).await;
        if !matches!(embedded, Err(AskError::Withheld(_))) {
            telemetry::embedding_batch(inputs.len());
        }
        let embedded = embedded?;
        let cost = Cost::new(Operation::Embedding, &[(embedded.tokens, model.price)]);
        telemetry::model_cost(cost.operation.into(), cost.usd);
        rate_limit::note(&self.store, cost).await;
        Ok(embedded.vectors)
    }
}

/// Adds the vectors of its new chunks to a document.
fn complete(mut draft: Draft, vectors: &Vectors) -> Result<Draft, JobError> {
    if let Some(Content { chunks: Some(chunks), .. }) = &mut draft.write.content {
        for NewChunk { ordinal, hash, chunk } in std::mem::take(&mut draft.new) {
            let vector = vectors[&hash].clone()?;
            chunks.fresh.push(EmbeddedChunk { ordinal, chunk, hash, vector });
        }
    }
    Ok(draft)
}
