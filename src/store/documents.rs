//! Documents: what the sources list, and what of it is indexed.
//!
//! A change raises `document.revision` and enqueues a job in the same transaction. That job writes and completes itself
//! in one short transaction, and writes nothing of a document whose revision was raised meanwhile
//! (`documents/refresh.rs`).

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use sqlx::PgConnection;

use super::{Result, Store, StoreError, jobs, jobs::Lease, sources, versions::IndexVersion};
use crate::{
    catalogue::{DocumentId, Fingerprint},
    indexing::chunk::InputHash,
};

mod chunks;
mod content;
mod failures;
mod listing;
mod metadata;
mod refresh;
mod removal;
mod shown;

pub use content::Content;
pub use failures::FailureGroup;
pub use refresh::{DocumentWrite, WriteOutcome};
pub use shown::{ChunkShown, DocumentRow, DocumentShown, DocumentState};

/// What is known of a document before it is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDocument {
    /// The revision to index.
    pub revision: i64,
    /// The hash of the row as last listed; 0 when another row was read since.
    pub row_hash: Option<i64>,
    /// The fingerprint of what is indexed, if anything is.
    pub fingerprint: Option<Fingerprint>,
    /// How long ago the revision was raised.
    pub changed_ago: Duration,
    /// The embedded inputs.
    pub chunks: BTreeSet<InputHash>,
}

impl Store {
    /// Reads what a version has of documents; leaves out documents that are not known.
    pub async fn indexed(
        &self,
        version: i32,
        ids: impl Iterator<Item = &DocumentId> + Send,
    ) -> Result<HashMap<DocumentId, KnownDocument>> {
        let (sources, keys) = columns(ids);
        let rows = sqlx::query!(
            r#"select document.source, document.key, document.revision, document.row_hash,
                   extract(epoch from now() - document.changed_at)::double precision as "changed_ago!",
                   indexed.fingerprint as "fingerprint?",
                   case when indexed.fingerprint is null then '{}' else array(
                       select chunk.input_hash from shopkeeper.chunk
                       where chunk.version = $1 and chunk.source = document.source and chunk.key = document.key
                   ) end as "chunks!"
               from unnest($2::text[], $3::text[]) as wanted (source, key)
               join shopkeeper.document
                   on document.source = wanted.source collate "C" and document.key = wanted.key collate "C"
               left join shopkeeper.document_index as indexed
                   on indexed.version = $1 and indexed.source = document.source and indexed.key = document.key"#,
            version,
            &sources,
            &keys,
        );
        let known = rows.fetch_all(&self.pool.by_index()).await?.into_iter().map(|row| {
            let fingerprint = row.fingerprint.and_then(|bytes| bytes.try_into().ok()).map(Fingerprint);
            let chunks =
                row.chunks.into_iter().filter_map(|hash: Vec<u8>| hash.try_into().ok().map(InputHash));
            let known = KnownDocument {
                revision: row.revision,
                row_hash: row.row_hash,
                fingerprint,
                changed_ago: Duration::try_from_secs_f64(row.changed_ago).unwrap_or_default(),
                chunks: chunks.collect(),
            };
            (DocumentId { source: row.source, key: row.key }, known)
        });
        Ok(known.collect())
    }
}

struct DocumentLock {
    revision: i64,
    /// Whether it may be removed: it is no longer listed, or its removal was requested by name.
    may_leave: bool,
}

/// Locks documents until the transaction ends, in the order that every writer keeps, and returns those that exist. Jobs
/// are locked before documents, and the row of a source after them.
async fn lock(
    connection: &mut PgConnection,
    sources: &[String],
    keys: &[String],
) -> Result<HashMap<DocumentId, DocumentLock>> {
    let locked = sqlx::query!(
        r#"select source as "source!", key as "key!", revision as "revision!", may_leave as "may_leave!"
           from shopkeeper.lock_documents($1, $2)"#,
        sources,
        keys,
    );
    let locked = locked.fetch_all(connection).await?.into_iter().map(|row| {
        let id = DocumentId { source: row.source, key: row.key };
        (id, DocumentLock { revision: row.revision, may_leave: row.may_leave })
    });
    Ok(locked.collect())
}

fn columns<'a>(ids: impl Iterator<Item = &'a DocumentId>) -> (Vec<String>, Vec<String>) {
    ids.map(|id| (id.source.clone(), id.key.clone())).unzip()
}
