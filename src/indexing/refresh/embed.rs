//! Looks up the vectors of new chunks, and embeds the rest.

use std::collections::HashMap;

use futures::{StreamExt, stream};

use crate::{
    indexing::{
        batching::BatchLimits,
        chunk::{Chunk, EmbeddedChunk, InputHash},
        refresh::{
            RefreshDocument, RefreshResult, Request,
            draft::{Draft, NewChunk},
            job_error,
        },
        versions::Version,
    },
    job::JobError,
    model::{
        InputRole, ModelError,
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

pub(super) type Vectors = HashMap<InputHash, Result<Vec<f32>, JobError>>;

/// A chunk to be embedded, and the jobs that wait for it.
pub(super) struct WantedChunk {
    pub hash: InputHash,
    pub chunk: Chunk,
    pub jobs: Vec<JobRef>,
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

    /// Embeds chunks without a vector in as few requests as the server's limits allow, and writes each document as soon as
    /// its chunks have their vectors. A document fails if one of its chunks has none, and, before its request, if its job
    /// is lost.
    pub(super) async fn embed_and_write(
        &self,
        version: &Version,
        newest: Option<i32>,
        requests: &[Request],
        mut drafts: Vec<Draft>,
        mut vectors: Vectors,
        results: &mut [RefreshResult],
    ) {
        drafts.retain(|draft| {
            let is_lost = requests[draft.place].lost.is_cancelled();
            if is_lost {
                results[draft.place] = Err(JobError::LeaseLost);
            }
            !is_lost
        });
        let wanted = wanted(requests, &drafts, &vectors);
        let model = &version.model;
        let limits = BatchLimits { items: model.most_inputs(), ..model.limits };
        let parts = limits.parts(&wanted, |wanted| wanted.chunk.tokens.into());
        let mut embedding = Vec::new();
        for part in parts {
            embedding.push(self.isolate(version, part).boxed());
        }
        let mut embedded = stream::iter(embedding).flatten_unordered(CONCURRENT_REQUESTS);
        loop {
            let complete = drafts.extract_if(.., |draft| draft.has_all(&vectors));
            let complete = complete.filter_map(|draft| {
                let place = draft.place;
                complete_draft(draft, &vectors).map_err(|error| results[place] = Err(error)).ok()
            });
            let complete: Vec<_> = complete.collect();
            if !complete.is_empty() {
                self.write(version, newest, complete, results).await;
            }
            let Some((part, found)) = embedded.next().await else { return };
            vectors.extend(part.iter().map(|wanted| wanted.hash).zip(found));
        }
    }

    /// Embeds one chunk per input.
    pub(super) async fn ask(
        &self,
        version: &Version,
        wanted: &[WantedChunk],
    ) -> Result<Vec<Result<Vec<f32>, ModelError>>, AskError> {
        let inputs: Vec<_> = wanted.iter().map(|wanted| wanted.chunk.input.clone()).collect();
        let tokens = wanted.iter().map(|wanted| u64::from(wanted.chunk.tokens)).sum();
        let jobs: Vec<_> = wanted.iter().flat_map(|wanted| &wanted.jobs).copied().collect();
        self.request(version, &inputs, tokens, &jobs).await
    }

    pub(super) async fn request(
        &self,
        version: &Version,
        inputs: &[String],
        tokens: u64,
        jobs: &[JobRef],
    ) -> Result<Vec<Result<Vec<f32>, ModelError>>, AskError> {
        let model = &version.model;
        let embedded =
            model.backfill.embed(&*model.embedder, InputRole::Document, inputs, tokens, jobs).await;
        if !matches!(embedded, Err(AskError::Withheld(_))) {
            telemetry::embedding_batch(inputs.len());
        }
        let embedded = embedded?;
        let cost = Cost::new(Operation::Embedding, &[(embedded.tokens.unwrap_or(tokens), model.price)]);
        telemetry::model_cost(cost.operation.into(), cost.usd);
        rate_limit::note(&self.store, cost).await;
        Ok(embedded.vectors)
    }
}

/// The chunks of these documents that have no vector, each once.
fn wanted(requests: &[Request], drafts: &[Draft], vectors: &Vectors) -> Vec<WantedChunk> {
    let mut wanted: Vec<WantedChunk> = Vec::new();
    let mut places: HashMap<InputHash, usize> = HashMap::new();
    for draft in drafts {
        for NewChunk { hash, chunk, .. } in draft.new.iter().filter(|new| !vectors.contains_key(&new.hash)) {
            let place = *places.entry(*hash).or_insert_with(|| {
                wanted.push(WantedChunk { hash: *hash, chunk: chunk.clone(), jobs: Vec::new() });
                wanted.len() - 1
            });
            wanted[place].jobs.push(requests[draft.place].job);
        }
    }
    wanted
}

impl Draft {
    /// Whether each of its new chunks has a vector, or one of them will never have one.
    fn has_all(&self, vectors: &Vectors) -> bool {
        let known = |new: &NewChunk| vectors.get(&new.hash);
        self.new.iter().any(|new| matches!(known(new), Some(Err(_))))
            || self.new.iter().all(|new| known(new).is_some())
    }
}

/// Adds the vectors of its new chunks to a document.
fn complete_draft(mut draft: Draft, vectors: &Vectors) -> Result<Draft, JobError> {
    if let Some(Content { chunks: Some(chunks), .. }) = &mut draft.write.content {
        for NewChunk { ordinal, hash, chunk } in std::mem::take(&mut draft.new) {
            // Some may be missing once one of them has failed.
            let vector = vectors.get(&hash).cloned().transpose()?.unwrap_or_default();
            chunks.fresh.push(EmbeddedChunk { ordinal, chunk, hash, vector });
        }
    }
    Ok(draft)
}
