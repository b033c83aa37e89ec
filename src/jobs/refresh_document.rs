//! Makes the index hold one document as it is now.
//!
//! Changed, unchanged and removed are one path: the row is read as it is, and the index is made to
//! match. Nothing is sent to the model when the text and the embedding settings are those that are
//! indexed already, and of a text that changed only the chunks that nothing in the index and nothing
//! remembered was made of. If embedding fails, what was indexed before stays searchable.
//!
//! Many of these jobs run at once. What they read, embed and write meets in one place each
//! (`refresh_document/`), so that hundreds of documents are one query, one request, one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::join_all;
use serde::Deserialize;

use super::{Attempt, Job, JobError, Outcome, budget::Budget, gather::Gather};
use crate::{
    catalogue::{Catalogue, Document, DocumentId},
    index::{Chunk, Chunks, EmbeddedChunk, InputHash, batching::BatchLimits, chunking::Chunking},
    model::Embedder,
    store::{
        Store,
        documents::{IndexVersion, Refreshed, Write, Written},
        jobs::Lease,
    },
};

mod embed;
mod estimate;
mod look;
mod write;

/// What the job needs.
pub struct RefreshSettings {
    /// Where documents are written.
    pub store: Store,
    /// Where they come from, by source.
    pub catalogues: BTreeMap<String, Arc<dyn Catalogue>>,
    /// Makes the vectors.
    pub embedder: Arc<dyn Embedder>,
    /// What may be asked of it.
    pub budget: Budget,
    /// Cuts the texts.
    pub chunking: Arc<Chunking>,
    /// What one request may hold.
    pub limits: BatchLimits,
    /// What is written to.
    pub version: IndexVersion,
    /// Dollars for a million tokens.
    pub price: f64,
}

/// What the places share where documents meet.
struct Refreshing {
    settings: RefreshSettings,
    /// Documents that are being refreshed.
    running: AtomicUsize,
    /// Those of them that wait for their vectors.
    waiting: AtomicUsize,
}

impl std::ops::Deref for Refreshing {
    type Target = RefreshSettings;
    fn deref(&self) -> &RefreshSettings {
        &self.settings
    }
}

/// Counts one as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The job.
pub struct RefreshDocument {
    shared: Arc<Refreshing>,
    looks: Gather<(DocumentId, Lease), Result<Looked, JobError>>,
    finds: Gather<InputHash, Result<Option<Vec<f32>>, JobError>>,
    embeds: Gather<Chunk, Result<Vec<f32>, JobError>>,
    writes: Gather<Write, Result<Written, JobError>>,
}

/// A document as it is, and as it is known.
enum Looked {
    /// Nothing knows it: there is nothing to do.
    Unknown,
    /// What it is to become; the text, when it is not what is indexed.
    Known { write: Write, text: Option<Text> },
}

/// A text that differs from what is indexed.
struct Text {
    document: Arc<Document>,
    /// Chunks of the document that are in the index.
    hashes: BTreeSet<InputHash>,
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
        let _running = Counted::new(&self.shared.running);
        let Looked::Known { mut write, text } = of(self.looks.ask((id, attempt.lease)).await)? else {
            return Ok(Outcome::Done(Vec::new()));
        };
        if let (Some(text), Refreshed::Content(content)) = (text, &mut write.refreshed) {
            content.chunks = Some(self.chunks(&text).await?);
        }
        match of(self.writes.ask(write).await)? {
            Written::Fresh => Ok(Outcome::Committed),
            Written::Superseded => Ok(Outcome::Done(Vec::new())),
            // Somebody enqueues it in a transaction of his own, or it is another worker's: it runs again.
            Written::NotHeld => {
                Err(JobError::Snooze { after: BUSY, reason: "the job's row is locked".into() })
            }
        }
    }
}

/// How long a job waits when somebody holds its row.
const BUSY: std::time::Duration = std::time::Duration::from_secs(1);

/// The result of a batch.
fn of<T>(result: Option<Result<T, JobError>>) -> Result<T, JobError> {
    result.unwrap_or_else(|| Err(JobError::Retry("the batch that it was in panicked".to_owned())))
}

impl RefreshDocument {
    /// Prepares the places where documents meet.
    pub fn new(settings: RefreshSettings) -> Self {
        let (running, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Refreshing { settings, running, waiting });
        Self {
            looks: look::looks(&shared),
            finds: look::finds(&shared),
            embeds: embed::embeds(&shared),
            writes: write::writes(&shared),
            shared,
        }
    }

    /// A text's chunks, each with its vector, but for those that the index holds. A text that comes twice
    /// is one chunk.
    async fn chunks(&self, text: &Text) -> Result<Chunks, JobError> {
        let (mut all, mut wanted, mut seen) = (Chunks::default(), Vec::new(), BTreeSet::new());
        for (ordinal, chunk) in (1..).zip(self.cut(&text.document).await?) {
            let hash = chunk.hash();
            if !seen.insert(hash) {
                continue;
            }
            if text.hashes.contains(&hash) {
                all.kept.push((ordinal, hash));
            } else {
                wanted.push((ordinal, hash, chunk));
            }
        }
        let found = join_all(wanted.iter().map(|(_, hash, _)| self.finds.ask(*hash))).await;
        let waiting = Counted::new(&self.shared.waiting);
        let vectors = join_all(wanted.iter().zip(found).map(|((.., chunk), found)| async move {
            match of(found)? {
                Some(vector) => Ok(vector),
                None => of(self.embeds.ask(chunk.clone()).await),
            }
        }));
        let vectors = vectors.await;
        drop(waiting);
        for ((ordinal, _, chunk), vector) in wanted.into_iter().zip(vectors) {
            all.fresh.push(EmbeddedChunk { ordinal, chunk, vector: vector? });
        }
        Ok(all)
    }

    /// Cuts a text: a long one where it holds nobody up.
    async fn cut(&self, document: &Arc<Document>) -> Result<Vec<Chunk>, JobError> {
        if document.text.len() < LONG {
            return Ok(self.shared.chunking.chunks(document));
        }
        let (shared, document) = (self.shared.clone(), document.clone());
        let cutting = tokio::task::spawn_blocking(move || shared.chunking.chunks(&document));
        cutting.await.map_err(|error| JobError::Dead(format!("its text cannot be cut: {error}")))
    }
}

/// Bytes of a text that takes some milliseconds to cut.
const LONG: usize = 32 * 1024;
