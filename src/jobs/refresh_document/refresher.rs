//! Writes documents into one index version: where many of them meet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::future::join_all;

use super::{
    super::{BUSY, JobError, budget::JobRef, gather::Gather, versions::Version},
    embed, look, write,
};
use crate::{
    catalogue::{Catalogue, Document, DocumentId, MassDelete},
    index::{Chunk, Chunks, EmbeddedChunk, InputHash},
    store::{
        Store,
        documents::{Refreshed, Write, Written},
        jobs::Lease,
    },
    telemetry,
};

/// What the places share where documents meet.
pub(super) struct Refreshing {
    pub(super) store: Store,
    pub(super) catalogues: Arc<BTreeMap<String, Arc<dyn Catalogue>>>,
    pub(super) guards: Arc<BTreeMap<String, MassDelete>>,
    pub(super) version: Version,
    /// Documents that are being refreshed.
    pub(super) running: AtomicUsize,
    /// Those of them that wait for their vectors.
    pub(super) waiting: AtomicUsize,
    /// Documents that are written in one transaction: fewer after one that took too long.
    pub(super) together: AtomicUsize,
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

/// Writes one index version.
pub(super) struct Refresher {
    pub(super) shared: Arc<Refreshing>,
    /// By source, so that one that hangs holds up no other.
    looks: BTreeMap<String, Look>,
    /// For what the settings name no source of.
    strays: Look,
    finds: Gather<InputHash, Result<Option<Vec<f32>>, JobError>>,
    embeds: Gather<ChunkRequest, Result<Vec<f32>, JobError>>,
    writes: Gather<Write, Result<Written, JobError>>,
}

/// Where the reading of documents meets.
pub(super) type Look = Gather<(DocumentId, Option<Lease>), Result<Option<Looked>, JobError>>;

/// How a refresh ended well.
pub(in crate::jobs) enum Ended {
    /// The version has it, and the job is done if it was to be.
    Written,
    /// Nothing knows it, it changed meanwhile and has another job, or it is kept although its row is gone.
    NothingToDo,
}

/// What a document is to become, when anything knows it.
pub(super) struct Looked {
    pub(super) write: Write,
    /// The text, when it is not what is indexed.
    pub(super) text: Option<Text>,
    /// When the document's revision was raised.
    pub(super) changed: Instant,
}

/// A chunk that has no vector yet, and the job that waits for it.
pub(super) struct ChunkRequest {
    pub(super) chunk: Chunk,
    pub(super) job: JobRef,
}

/// A text that differs from what is indexed.
pub(super) struct Text {
    pub(super) document: Arc<Document>,
    /// Chunks of the document that are in the index.
    pub(super) hashes: BTreeSet<InputHash>,
}

/// The result of a batch.
fn of<T>(result: Option<Result<T, JobError>>) -> Result<T, JobError> {
    result.unwrap_or_else(|| Err(JobError::Retry("the batch that it was in panicked".to_owned())))
}

impl Refresher {
    /// Prepares the places where documents meet.
    pub(super) fn new(
        store: Store,
        catalogues: Arc<BTreeMap<String, Arc<dyn Catalogue>>>,
        guards: Arc<BTreeMap<String, MassDelete>>,
        version: Version,
    ) -> Self {
        let (running, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let together = AtomicUsize::new(write::LIMITS.items);
        let shared = Arc::new(Refreshing { store, catalogues, guards, version, running, waiting, together });
        Self {
            looks: shared.catalogues.keys().map(|source| (source.clone(), look::looks(&shared))).collect(),
            strays: look::looks(&shared),
            finds: look::finds(&shared),
            embeds: embed::embeds(&shared),
            writes: write::writes(&shared),
            shared,
        }
    }

    /// Makes the version hold a document as it is now; with a lease, that job is done then.
    pub(super) async fn refresh(
        &self,
        id: DocumentId,
        lease: Option<Lease>,
        job: JobRef,
    ) -> Result<Ended, JobError> {
        let _running = Counted::new(&self.shared.running);
        let looks = self.looks.get(&id.source).unwrap_or(&self.strays);
        let Some(Looked { mut write, text, changed }) = of(looks.ask((id, lease)).await)? else {
            return Ok(Ended::NothingToDo);
        };
        if let (Some(text), Refreshed::Content(content)) = (text, &mut write.refreshed) {
            content.chunks = Some(self.chunks(&text, job).await?);
        }
        match of(self.writes.ask(write).await)? {
            Written::Fresh => {
                telemetry::indexed(changed.elapsed());
                Ok(Ended::Written)
            }
            Written::Superseded | Written::Withheld => Ok(Ended::NothingToDo),
            // Somebody enqueues it in a transaction of his own, or it is another worker's: it runs again.
            Written::NotHeld => {
                Err(JobError::Snooze { after: BUSY, reason: "the job's row is locked".into() })
            }
        }
    }

    /// A text's chunks, each with its vector, but for those that the index holds. A text that comes twice
    /// is one chunk.
    async fn chunks(&self, text: &Text, job: JobRef) -> Result<Chunks, JobError> {
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
                None => of(self.embeds.ask(ChunkRequest { chunk: chunk.clone(), job }).await),
            }
        }));
        let vectors = vectors.await;
        drop(waiting);
        for ((ordinal, hash, chunk), vector) in wanted.into_iter().zip(vectors) {
            all.fresh.push(EmbeddedChunk { ordinal, chunk, hash, vector: vector? });
        }
        Ok(all)
    }

    /// Cuts a text: a long one where it holds nobody up.
    async fn cut(&self, document: &Arc<Document>) -> Result<Vec<Chunk>, JobError> {
        if document.text.len() < LONG {
            return Ok(self.shared.version.model.chunking.chunks(document));
        }
        let (shared, document) = (self.shared.clone(), document.clone());
        let cutting = tokio::task::spawn_blocking(move || shared.version.model.chunking.chunks(&document));
        cutting.await.map_err(|error| JobError::Dead(format!("its text cannot be cut: {error}")))
    }
}

/// Bytes of a text that takes some milliseconds to cut.
const LONG: usize = 32 * 1024;
