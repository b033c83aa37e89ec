//! Diff and chunk: decides what becomes of a document, and cuts its text if that changed.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    catalogue::{Document, DocumentId},
    indexing::{
        chunk::{Chunk, Chunks, InputHash},
        chunking::Chunking,
        refresh::{RefreshResult, load::LoadedDocument},
        versions::Version,
    },
    job::JobError,
    store::documents::{Content, DocumentWrite},
};

/// A document on its way into an index version.
pub(super) struct Draft {
    /// Its place in the batch.
    pub place: usize,
    /// When its revision was raised.
    pub changed: Instant,
    pub write: DocumentWrite,
    /// Chunks that the index does not hold.
    pub new: Vec<NewChunk>,
}

pub(super) struct NewChunk {
    pub ordinal: i32,
    pub hash: InputHash,
    pub chunk: Chunk,
}

/// Compares each document with its state in the index, and cuts the texts that differ. Runs on a blocking thread, because
/// a long text takes some time.
pub(super) async fn draft_all(
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
        Some(Err(fault)) if fault.is_final => return Err(JobError::Unfit(fault.reason)),
        Some(Err(fault)) => return Err(JobError::Dead(fault.reason)),
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

/// Cuts a text, and separates the chunks that the index holds from new ones. A repeated chunk counts once.
fn chunk(chunking: &Chunking, document: &Document, indexed: &BTreeSet<InputHash>) -> (Chunks, Vec<NewChunk>) {
    let (mut chunks, mut new, mut seen) = (Chunks::default(), Vec::new(), BTreeSet::new());
    for (ordinal, chunk) in (1..).zip(chunking.chunks(document)) {
        let hash = chunk.hash(&chunking.form);
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
