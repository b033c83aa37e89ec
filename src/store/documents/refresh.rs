//! Makes the index hold what was read, for many documents in one transaction.
//!
//! It completes the jobs first and drops those that are not held; then it locks the documents and drops those whose
//! revision is not the one that was read; then it writes the rest, in a few statements however many documents there
//! are. A writer that raises a revision first enqueues the job in the same transaction, so a dropped document has a job
//! that goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;

use super::{
    Content, DocumentLock, Lease, Result, Store, chunks, columns, content, jobs, lock, removal::remove,
};
use crate::catalogue::{DocumentId, MassDelete};

/// What to write of a document, on behalf of its job.
#[expect(missing_docs, reason = "the names say it")]
pub struct DocumentWrite {
    pub id: DocumentId,
    /// The revision that was read.
    pub revision: i64,
    /// Completes the job; `None` while another index version is still to be written.
    pub lease: Option<Lease>,
    /// `None` removes the document.
    pub content: Option<Content>,
}

impl DocumentWrite {
    /// The size of the write in vectors; the rest of a document counts as one.
    pub fn vectors(&self) -> u64 {
        let chunks = self.content.as_ref().and_then(|content| content.chunks.as_ref());
        1 + chunks.map_or(0, |chunks| chunks.fresh.len() as u64)
    }
}

/// How the write of a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The index has the document, and the job is done.
    Fresh,
    /// The document changed meanwhile: nothing was written, and the job that the change enqueued will write it.
    Superseded,
    /// The row is gone, but the mass-delete guard keeps the document; the job is done.
    Withheld,
    /// Another worker has the job, or its row is locked: nothing was written.
    NotHeld,
}

impl Store {
    /// Writes documents and completes their jobs, each all or nothing. Completes no job once a version newer than
    /// `newest` exists, because the job may have to write that one as well. Submits removals that are not yet allowed
    /// to the guard of their source; a source without a guard allows them.
    pub async fn refresh(
        &self,
        version: i32,
        newest: Option<i32>,
        writes: &[DocumentWrite],
        guards: &BTreeMap<String, MassDelete>,
    ) -> Result<Vec<WriteOutcome>> {
        let leases: Vec<_> = writes.iter().filter_map(|write| write.lease).collect();
        self.pool
            .by_index()
            .transact(async |connection| {
                let completed = if has_newer(connection, newest).await? {
                    BTreeSet::new()
                } else {
                    jobs::complete_all(connection, &leases).await?
                };
                let is_held =
                    |write: &DocumentWrite| write.lease.is_none_or(|lease| completed.contains(&lease.job));
                let held: Vec<_> = writes.iter().filter(|write| is_held(write)).collect();
                let written = write(connection, version, &held, guards).await?;
                let outcome = |write: &DocumentWrite| match written.get(&write.id) {
                    _ if !is_held(write) => WriteOutcome::NotHeld,
                    outcome => outcome.copied().unwrap_or(WriteOutcome::Superseded),
                };
                Ok(writes.iter().map(outcome).collect())
            })
            .await
    }
}

async fn has_newer(connection: &mut PgConnection, newest: Option<i32>) -> Result<bool> {
    let Some(newest) = newest else { return Ok(false) };
    let newer = sqlx::query_scalar!(
        r#"select exists (select from shopkeeper.index_version where id > $1 and state <> 'dropping') as "newer!""#,
        newest
    );
    Ok(newer.fetch_one(connection).await?)
}

/// Writes the documents that are still at the revision that was read; returns how each of these ended.
async fn write(
    connection: &mut PgConnection,
    version: i32,
    writes: &[&DocumentWrite],
    guards: &BTreeMap<String, MassDelete>,
) -> Result<HashMap<DocumentId, WriteOutcome>> {
    let (sources, keys) = columns(writes.iter().map(|write| &write.id));
    let locked = lock(connection, &sources, &keys).await?;
    let (mut removed, mut contents) = (Vec::new(), Vec::new());
    let mut written = HashMap::new();
    for write in writes {
        let lock = locked.get(&write.id).filter(|lock| lock.revision == write.revision);
        let Some(DocumentLock { may_leave, .. }) = lock else { continue };
        written.insert(write.id.clone(), WriteOutcome::Fresh);
        match &write.content {
            None => removed.push((&write.id, *may_leave)),
            Some(content) => contents.push((*write, content)),
        }
    }
    let withheld = remove(connection, &removed, guards).await?;
    written.extend(withheld.into_iter().map(|id| (id.clone(), WriteOutcome::Withheld)));
    if contents.is_empty() {
        return Ok(written);
    }
    content::describe(connection, &contents).await?;
    content::mark_fresh(connection, version, &contents).await?;
    chunks::replace(connection, version, &contents).await?;
    Ok(written)
}
