//! Documents: what the sources hold, and what of it is indexed.
//!
//! A change raises `document.revision` and enqueues a job in the same transaction. What a job writes,
//! it writes in one short transaction, which completes the job and writes nothing of a document whose revision is no longer
//! the one that was read (`documents/refresh.rs`).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use sqlx::PgConnection;

use super::{Result, Store, jobs, jobs::Lease};
use crate::{
    catalogue::{Document, DocumentId, Fingerprint, ListedRow, changes},
    indexing::chunk::{Chunks, InputHash},
};

mod refresh;

/// What is known of a document before it is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDocument {
    /// The revision to be indexed.
    pub revision: i64,
    /// Of the row when it was last listed; 0 when another row was read since.
    pub row_hash: Option<i64>,
    /// Of what is indexed, when anything is.
    pub fingerprint: Option<Fingerprint>,
    /// How long ago its revision was raised.
    pub changed_ago: Duration,
    /// What was embedded of it.
    pub chunks: BTreeSet<InputHash>,
}

/// What is to become of a document in the index, in the name of its job.
pub struct DocumentWrite {
    /// Which document.
    pub id: DocumentId,
    /// The revision that was read.
    pub revision: i64,
    /// The job's, when it is done with this; none while the document is still to be written elsewhere.
    pub lease: Option<Lease>,
    /// What was read; none removes the document.
    pub content: Option<Content>,
}

/// What is stored of a document and made searchable.
pub struct Content {
    /// The row.
    pub document: Arc<Document>,
    /// Of what was indexed when the document was looked at, if anything was; nothing is written when it no longer is.
    pub known: Option<Fingerprint>,
    /// Of its text and the embedding settings.
    pub fingerprint: Fingerprint,
    /// Its new chunks; none leaves those that are there.
    pub chunks: Option<Chunks>,
}

impl DocumentWrite {
    /// How much it is to write: vectors, and one for the rest.
    pub fn vectors(&self) -> u64 {
        let chunks = self.content.as_ref().and_then(|content| content.chunks.as_ref());
        1 + chunks.map_or(0, |chunks| chunks.fresh.len() as u64)
    }
}

/// How a write of a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is in the index, and the job is done.
    Fresh,
    /// The document changed meanwhile: nothing was written, and the job that the change enqueued will do it.
    Superseded,
    /// Its row is gone, and the mass-delete guard keeps the document; the job is done.
    Withheld,
    /// The job is another worker's by now, or its row is locked: nothing was written.
    NotHeld,
}

/// Documents that failed and are enqueued once more in one statement.
const RETRY_BATCH: i64 = 1000;
/// Documents deleted in one transaction.
const DELETE_BATCH: i64 = 1000;

impl Store {
    /// Reads one page of a source's documents in key order, after `after`.
    pub async fn known(
        &self,
        source: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<changes::KnownRow>> {
        // The smallest key after it: a text holds no NUL. Any plan for this condition begins there in the index.
        let from = after.map_or_else(String::new, |after| format!("{after}\u{1}"));
        let page = sqlx::query_as!(
            changes::KnownRow,
            "select key, row_hash from shopkeeper.document where source = $1 and key >= $2 order by key limit $3",
            source,
            from,
            i64::from(limit),
        );
        Ok(page.fetch_all(&self.pool).await?)
    }

    /// Notes that these documents were added or changed, and enqueues a job for each.
    pub async fn note_listed(&self, source: &str, listed: &[ListedRow], refresh: &str) -> Result<u64> {
        let keys: Vec<_> = listed.iter().map(|entry| entry.key.clone()).collect();
        self.pool
            .transact(async |connection| {
                let enqueued = enqueue_refresh(connection, refresh, source, &keys).await?;
                note(connection, source, listed).await?;
                Ok(enqueued)
            })
            .await
    }

    /// Notes that these documents were added, and enqueues the filling of every index version, which lack them now.
    pub async fn note_new(&self, source: &str, listed: &[ListedRow], fill: &str) -> Result<u64> {
        self.pool.transact(async |connection| {
            let query = sqlx::query!(
                "select shopkeeper.enqueue_many(
                     $1, array_agg(id::text order by id), array_agg(jsonb_build_object('version', id) order by id)
                 ) from shopkeeper.index_version where state <> 'dropping' having count(*) > 0",
                fill,
            );
            query.fetch_optional(&mut *connection).await?;
            note(connection, source, listed).await?;
            Ok(listed.len() as u64)
        })
        .await
    }

    /// Notes that these documents are no longer listed and may leave, and enqueues their removal.
    pub async fn note_unlisted(&self, source: &str, keys: &[String], refresh: &str) -> Result<u64> {
        self.pool
            .transact(async |connection| {
                let enqueued = enqueue_refresh(connection, refresh, source, keys).await?;
                lock(connection, &vec![source.to_owned(); keys.len()], keys).await?;
                sqlx::query!(
                "update shopkeeper.document set revision = revision + 1, row_hash = null, changed_at = now()
                 where source = $1 and key = any($2)",
                source,
                keys,
            )
                .execute(connection)
                .await?;
                Ok(enqueued)
            })
            .await
    }

    /// Enqueues the documents of a source that could not be indexed once more, page by page, but for those that one of
    /// these model servers rejects; returns their number.
    pub async fn retry_failed(&self, source: &str, servers: &[String], refresh: &str) -> Result<u64> {
        let (mut enqueued, mut after) = (0, String::new());
        loop {
            let keys = sqlx::query_scalar!(
                "select distinct failed.key from shopkeeper.document_index as failed
                 join shopkeeper.document using (source, key)
                 where failed.source = $1 and failed.state = 'failed' and failed.key > $2
                     and (failed.rejected_by is null or failed.rejected_by <> all ($4))
                 order by failed.key limit $3",
                source,
                after,
                RETRY_BATCH,
                servers,
            );
            let keys = keys.fetch_all(&self.pool).await?;
            let Some(last) = keys.last() else { return Ok(enqueued) };
            after.clone_from(last);
            let retry =
                self.pool.run(async |connection| enqueue_refresh(connection, refresh, source, &keys).await);
            enqueued += retry.await?;
        }
    }

    /// Deletes one batch of the documents of a source, in every index version; returns their number.
    pub async fn delete_documents(&self, source: &str) -> Result<u64> {
        self.pool
            .by_index()
            .transact(async |connection| {
                let keys = sqlx::query_scalar!(
                    "select key from shopkeeper.document where source = $1 order by key limit $2",
                    source,
                    DELETE_BATCH,
                );
                let keys = keys.fetch_all(&mut *connection).await?;
                lock(connection, &vec![source.to_owned(); keys.len()], &keys).await?;
                let ids: Vec<_> =
                    keys.into_iter().map(|key| DocumentId { source: source.to_owned(), key }).collect();
                refresh::delete(connection, &ids.iter().collect::<Vec<_>>()).await?;
                Ok(ids.len() as u64)
            })
            .await
    }

    /// The row hashes of those of these documents that are known and not on their way out.
    pub async fn listed_hashes(&self, source: &str, keys: &[String]) -> Result<HashMap<String, i64>> {
        let rows = sqlx::query!(
            r#"select document.key, row_hash as "row_hash!" from unnest($2::text[]) as wanted (key)
               join shopkeeper.document on source = $1 and document.key = wanted.key collate "C"
               where row_hash is not null"#,
            source,
            keys,
        );
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.key, row.row_hash)).collect())
    }

    /// Has a document read again and refreshed, also one that is not known yet.
    pub async fn refresh_one(&self, id: &DocumentId) -> Result<()> {
        sqlx::query!("select shopkeeper.refresh($1, $2)", id.source, id.key).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Reads what is known of documents; those that are not known at all are left out.
    pub async fn indexed(
        &self,
        version: i32,
        ids: impl Iterator<Item = &DocumentId> + Send,
    ) -> Result<HashMap<DocumentId, KnownDocument>> {
        let (sources, keys): (Vec<_>, Vec<_>) = ids.map(|id| (id.source.clone(), id.key.clone())).unzip();
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

/// Locks documents until the transaction ends, in the one order that every writer keeps, and returns those that exist.
/// Jobs are locked before documents, and the row of a source after them.
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

/// A document that is locked.
struct DocumentLock {
    revision: i64,
    /// Whether it was allowed to leave: it is no longer listed, or its removal was asked for by name.
    may_leave: bool,
}

/// Raises the revisions of documents that were added or changed: in the order of [`lock`], which new rows need as well.
async fn note(connection: &mut PgConnection, source: &str, listed: &[ListedRow]) -> Result<()> {
    let (keys, hashes): (Vec<_>, Vec<_>) =
        listed.iter().map(|entry| (entry.key.clone(), entry.row_hash)).unzip();
    let query = sqlx::query!(
        "insert into shopkeeper.document as document (source, key, row_hash)
         select $1, key, row_hash from unnest($2::text[], $3::bigint[]) as listed (key, row_hash) order by key
         on conflict (source, key) do update
         set revision = document.revision + 1, row_hash = excluded.row_hash, changed_at = now()",
        source,
        &keys,
        &hashes,
    );
    query.execute(connection).await?;
    Ok(())
}

async fn enqueue_refresh(
    connection: &mut PgConnection,
    kind: &str,
    source: &str,
    keys: &[String],
) -> Result<u64> {
    let job_keys: Vec<_> = keys.iter().map(|key| format!("{source}/{key}")).collect();
    let payloads: Vec<Value> =
        keys.iter().map(|key| serde_json::json!({ "source": source, "key": key })).collect();
    jobs::enqueue(connection, kind, &job_keys, &payloads, None).await
}
