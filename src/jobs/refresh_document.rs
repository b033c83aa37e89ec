//! Makes the index hold one document as it is now.
//!
//! Changed, unchanged and removed are one path: the row is read as it is, and the index is made to
//! match. Nothing is sent to the model when the text and the embedding settings are those that are
//! indexed already, and of a text that changed only the chunks that the index does not hold. If embedding
//! fails, what was indexed before stays searchable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

use super::{Attempt, Job, JobError, Outcome};
use crate::{
    catalogue::{Catalogue, Document, DocumentId},
    index::{
        Chunks, EmbeddedChunk,
        batching::{BatchLimits, batches},
        chunking::Chunking,
    },
    model::Embedder,
    store::{
        Store,
        documents::{Content, IndexVersion, Indexed, Written},
        usage::Cost,
    },
};

/// The job.
pub struct RefreshDocument {
    /// Where documents are written.
    pub store: Store,
    /// Where they come from, by source.
    pub catalogues: BTreeMap<String, Arc<dyn Catalogue>>,
    /// Makes the vectors.
    pub embedder: Arc<dyn Embedder>,
    /// Cuts the texts.
    pub chunking: Arc<Chunking>,
    /// What one request may hold.
    pub limits: BatchLimits,
    /// What is written to.
    pub version: IndexVersion,
    /// Dollars for a million tokens.
    pub price: f64,
}

/// Which document.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {
    /// The source's name.
    pub source: String,
    /// The row's key as text.
    pub key: String,
}

impl Job for RefreshDocument {
    const KIND: &'static str = "refresh_document";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = DocumentId { source: payload.source, key: payload.key };
        let Some(indexed) = self.store.indexed(self.version.id, &id).await? else {
            return Ok(Outcome::Done(Vec::new()));
        };
        self.refresh(&id, &indexed, attempt).await
    }
}

impl RefreshDocument {
    async fn refresh(
        &self,
        id: &DocumentId,
        indexed: &Indexed,
        attempt: &Attempt,
    ) -> Result<Outcome, JobError> {
        let catalogue = self
            .catalogues
            .get(&id.source)
            .ok_or_else(|| JobError::Dead(format!("the settings have no source `{}` any more", id.source)))?;
        let read = catalogue.read(std::slice::from_ref(&id.key)).await?;
        let written = match read.into_iter().next() {
            None => self.store.remove(id, indexed.revision, attempt.lease).await?,
            Some(Err(fault)) => return Err(JobError::Dead(fault.to_string())),
            Some(Ok(document)) => self.write(id, indexed, &document, attempt).await?,
        };
        match written {
            Written::Fresh => Ok(Outcome::Committed),
            Written::Superseded => Ok(Outcome::Done(Vec::new())),
        }
    }

    async fn write(
        &self,
        id: &DocumentId,
        indexed: &Indexed,
        document: &Document,
        attempt: &Attempt,
    ) -> Result<Written, JobError> {
        let fingerprint = self.chunking.fingerprint(document, &self.version.model);
        let chunks = if indexed.fingerprint == Some(fingerprint) {
            None
        } else {
            Some(self.embed(id, document).await?)
        };
        let content = Content { document, fingerprint, chunks: chunks.as_ref() };
        let (version, revision) = (self.version.id, indexed.revision);
        Ok(self.store.write(version, id, revision, &content, attempt.lease).await?)
    }

    /// Embeds the chunks that the index does not hold for this document. A text that comes twice is one
    /// chunk.
    async fn embed(&self, id: &DocumentId, document: &Document) -> Result<Chunks, JobError> {
        let known = self.store.chunk_hashes(self.version.id, id).await?;
        let (mut all, mut wanted, mut seen) = (Chunks::default(), Vec::new(), BTreeSet::new());
        for (ordinal, chunk) in (1..).zip(self.chunking.chunks(document)) {
            let hash = chunk.hash();
            if !seen.insert(hash) {
                continue;
            }
            if known.contains(&hash) {
                all.kept.push((ordinal, hash));
            } else {
                wanted.push((ordinal, chunk));
            }
        }
        let tokens: Vec<_> = wanted.iter().map(|(_, chunk)| chunk.tokens).collect();
        for batch in batches(&tokens, self.limits) {
            let inputs: Vec<_> = wanted[batch.clone()].iter().map(|(_, chunk)| chunk.input.clone()).collect();
            let embedded = self.embedder.embed(&inputs).await?;
            let fresh = wanted[batch].iter().zip(embedded.vectors);
            all.fresh.extend(fresh.map(|((ordinal, chunk), vector)| EmbeddedChunk {
                ordinal: *ordinal,
                chunk: chunk.clone(),
                vector,
            }));
            self.store.note_cost(Cost::of("embedding", &[(embedded.tokens, self.price)])).await?;
        }
        Ok(all)
    }
}
