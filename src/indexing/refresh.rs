//! Makes the index hold documents as they are now.
//!
//! Changed, unchanged and removed are one path, taken by a whole batch: load → diff → chunk → look up → embed → write.
//! The rows are read as they are, and the index is made to match. Nothing is sent to the model when the text and the
//! embedding settings are those that are indexed already, and of a text that changed only the chunks that nothing in the
//! index and nothing remembered was made of. If embedding fails, what was indexed before stays searchable.
//!
//! A batch is what one claim brought of one source, so that hundreds of documents are one query, a few requests and one
//! transaction. Each document has its own outcome: one that fails leaves the batch at the step where it fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::{Catalogue, Document, DocumentId, MassDelete},
    indexing::{
        chunk::{Chunk, Chunks, InputHash},
        chunking::Chunking,
        versions::{Version, Versions, WriteTargets},
    },
    job::{BatchJob, JobError, JobRun, OUTAGE, Outcome, REFRESH_DOCUMENT},
    model::rate_limit::JobRef,
    store::{
        Store, StoreError,
        documents::{Content, DocumentWrite},
        jobs::{Lease, OnDead},
    },
};

mod embed;
pub mod estimate;
mod halving;
mod load;
mod write;

use load::LoadedDocument;

/// Refreshes documents.
pub struct RefreshDocument {
    store: Store,
    catalogues: BTreeMap<String, Arc<dyn Catalogue>>,
    guards: BTreeMap<String, MassDelete>,
    versions: Arc<Versions>,
    /// Documents that are written in one transaction: fewer after one that took too long.
    together: AtomicUsize,
}

/// Which document.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Payload {
    pub source: String,
    /// The row's key as text.
    pub key: String,
}

/// A document that is to be refreshed.
#[derive(Clone)]
pub struct Request {
    /// The row's key as text.
    pub key: String,
    /// Of the job that is done with it, when there is one.
    pub lease: Option<Lease>,
    /// Who waits for it.
    pub job: JobRef,
    /// Cancelled when the job's lease is lost.
    pub lost: CancellationToken,
}

/// How a refresh ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The index has it, and the job is done if there is one.
    Written,
    /// Nothing knows it, it changed meanwhile and has another job, or it is kept although its row is gone.
    NothingToDo,
}

/// A document on its way into an index version.
struct Draft {
    /// Its place in the batch.
    place: usize,
    /// When its revision was raised.
    changed: Instant,
    write: DocumentWrite,
    /// Chunks that the index does not hold.
    new: Vec<NewChunk>,
}

struct NewChunk {
    ordinal: i32,
    hash: InputHash,
    chunk: Chunk,
}

/// How one document of a batch ended.
type RefreshResult = Result<RefreshOutcome, JobError>;

/// How a job goes on after a failure of a statement for many documents. When that takes too long, no document of it is
/// to blame: each waits, and none is charged.
fn job_error(error: StoreError) -> JobError {
    match error {
        StoreError::TooSlow(_) => JobError::Snooze { after: OUTAGE, reason: error.to_string() },
        error => error.into(),
    }
}

impl BatchJob for RefreshDocument {
    const KIND: &'static str = REFRESH_DOCUMENT;
    const ON_DEAD: Option<OnDead> = Some(OnDead::Documents);
    const MOST: usize = 500;
    type Payload = Payload;

    fn lane(payload: &Payload) -> &str {
        &payload.source
    }

    async fn run(&self, batch: Vec<JobRun<Payload>>) -> Vec<Result<Outcome, JobError>> {
        let source = batch.first().map(|first| first.payload.source.clone()).unwrap_or_default();
        let request = |JobRun { payload, attempt }: JobRun<Payload>| Request {
            key: payload.key,
            lease: Some(attempt.lease),
            job: JobRef { kind: Self::KIND, id: attempt.lease.job },
            lost: attempt.lost,
        };
        let ended = self.refresh(&source, batch.into_iter().map(request).collect()).await;
        let outcome = |ended| match ended {
            RefreshOutcome::Written => Outcome::Committed,
            RefreshOutcome::NothingToDo => Outcome::Done(Vec::new()),
        };
        ended.into_iter().map(|ended| ended.map(outcome)).collect()
    }
}

impl RefreshDocument {
    /// Refreshes documents of these sources; `guards` say how many may leave unasked.
    pub fn new(
        store: Store,
        catalogues: BTreeMap<String, Arc<dyn Catalogue>>,
        guards: BTreeMap<String, MassDelete>,
        versions: Arc<Versions>,
    ) -> Self {
        let together = AtomicUsize::new(write::LIMITS.items);
        Self { store, catalogues, guards, versions, together }
    }

    /// Makes every index version hold documents of a source as they are now. Each version is written for itself, so that
    /// one whose model is away holds up no other; a job is done with the last of them.
    pub async fn refresh(&self, source: &str, requests: Vec<Request>) -> Vec<RefreshResult> {
        let WriteTargets { versions, newest } = match self.versions.written().await {
            Ok(written) => written,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let mut results = vec![Ok(RefreshOutcome::Written); requests.len()];
        for (number, version) in (1..).zip(versions.iter()) {
            let newest = (number == versions.len()).then_some(newest);
            let open: Vec<_> = (0..requests.len())
                .filter(|place| results[*place] != Ok(RefreshOutcome::NothingToDo))
                .collect();
            let batch = open.iter().map(|place| {
                let lease = requests[*place].lease.filter(|_| newest.is_some() && results[*place].is_ok());
                Request { lease, ..requests[*place].clone() }
            });
            let ended = self.refresh_version(version, newest, source, &batch.collect::<Vec<_>>()).await;
            for (place, ended) in open.into_iter().zip(ended) {
                if results[place].is_ok() || ended == Ok(RefreshOutcome::NothingToDo) {
                    results[place] = ended;
                }
            }
        }
        results
    }

    /// Makes one index version hold documents of a source. It completes jobs as long as no version is newer than `newest`.
    pub(super) async fn refresh_version(
        &self,
        version: &Version,
        newest: Option<i32>,
        source: &str,
        requests: &[Request],
    ) -> Vec<RefreshResult> {
        let mut results = vec![Ok(RefreshOutcome::NothingToDo); requests.len()];
        let loaded = self.load(version, source, requests, &mut results).await;
        let drafts = draft_all(version, source, loaded, &mut results).await;
        let vectors = self.look_up(version, &drafts).await;
        let drafts = self.embed(version, requests, drafts, vectors, &mut results).await;
        self.write(version, newest, drafts, &mut results).await;
        results
    }
}

/// Compares each document with what is indexed, and cuts the texts that differ: off the threads that wait, because a long
/// text takes some time.
async fn draft_all(
    version: &Version,
    source: &str,
    loaded: Vec<LoadedDocument>,
    results: &mut [RefreshResult],
) -> Vec<Draft> {
    let (version, source) = (version.clone(), source.to_owned());
    let draft = move |loaded: LoadedDocument| (loaded.place, draft(&version, &source, loaded));
    let drafted =
        tokio::task::spawn_blocking(move || loaded.into_iter().map(draft).collect::<Vec<_>>()).await;
    let drafted = drafted.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    let keep = |(place, draft): (usize, Result<Draft, JobError>)| {
        draft.map_err(|error| results[place] = Err(error)).ok()
    };
    drafted.into_iter().filter_map(keep).collect()
}

/// Decides what becomes of a document in the index.
fn draft(version: &Version, source: &str, loaded: LoadedDocument) -> Result<Draft, JobError> {
    let LoadedDocument { place, key, lease, known, row } = loaded;
    let now = Instant::now();
    let changed = now.checked_sub(known.changed_ago).unwrap_or(now);
    let (content, new) = match row {
        None => (None, Vec::new()),
        Some(Err(fault)) => return Err(JobError::Dead(fault.to_string())),
        Some(Ok(document)) => {
            let fingerprint = version.model.chunking.fingerprint(&document, &version.index.model);
            let is_new = known.fingerprint != Some(fingerprint);
            let cut = is_new.then(|| chunk(&version.model.chunking, &document, &known.chunks));
            let (chunks, new) = cut.map_or((None, Vec::new()), |(chunks, new)| (Some(chunks), new));
            let known = known.fingerprint;
            (Some(Content { document, known, fingerprint, chunks }), new)
        }
    };
    let id = DocumentId { source: source.to_owned(), key };
    let write = DocumentWrite { id, revision: known.revision, lease, content };
    Ok(Draft { place, changed, write, new })
}

/// Cuts a text, and parts its chunks into those that the index holds and those that it does not. A text that comes twice
/// is one chunk.
fn chunk(chunking: &Chunking, document: &Document, indexed: &BTreeSet<InputHash>) -> (Chunks, Vec<NewChunk>) {
    let (mut chunks, mut new, mut seen) = (Chunks::default(), Vec::new(), BTreeSet::new());
    for (ordinal, chunk) in (1..).zip(chunking.chunks(document)) {
        let hash = chunk.hash();
        if !seen.insert(hash) {
            continue;
        }
        if indexed.contains(&hash) {
            chunks.kept.push((ordinal, hash));
        } else {
            new.push(NewChunk { ordinal, hash, chunk });
        }
    }
    (chunks, new)
}
