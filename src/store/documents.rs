//! Documents: what the sources hold, and what of it is indexed.
//!
//! A change raises `document.revision` and enqueues a job in the same transaction. What a job writes,
//! it writes in one short transaction that locks the document's row, sees that the revision is still
//! the one that was read, and completes the job. Everybody locks jobs first, then documents, each by
//! key.

use std::collections::BTreeSet;

use pgvector::HalfVector;
use serde_json::{Value, value::RawValue};
use sqlx::{PgConnection, types::Json};

use super::{Store, StoreError, jobs, jobs::Lease};
use crate::{
    catalogue::{Document, DocumentId, Fingerprint, Listed, changes::Known},
    index::{Chunks, InputHash},
};

/// Vectors of one model and dimension.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IndexVersion {
    /// Its number; the name of the chunks' partition.
    #[serde(rename = "version")]
    pub id: i32,
    /// The embedding model's name.
    pub model: String,
    /// Numbers in one vector.
    pub dimensions: i32,
    /// `building`, `active` or `retired`.
    pub state: String,
}

/// What is known of a document before it is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The revision to be indexed.
    pub revision: i64,
    /// Of what is indexed, when anything is.
    pub fingerprint: Option<Fingerprint>,
}

/// How a write of a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the index, and the job is done.
    Fresh,
    /// The document changed meanwhile: nothing was written, and the job that the change enqueued will do it.
    Superseded,
}

/// A document's content, as it goes into an index version.
pub struct Content<'a> {
    /// What is stored and made searchable.
    pub document: &'a Document,
    /// Of its text and the embedding settings.
    pub fingerprint: Fingerprint,
    /// Its new chunks; none leaves those that are there.
    pub chunks: Option<&'a Chunks>,
}

impl Store {
    /// Finds the active index version, or makes it for this model.
    pub async fn open_index(&self, model: &str, dimensions: u32) -> Result<IndexVersion, StoreError> {
        let dimensions = i32::try_from(dimensions).unwrap_or(i32::MAX);
        let version = sqlx::query_as!(
            IndexVersion,
            r#"select id as "id!", model as "model!", dimensions as "dimensions!", state as "state!"
               from shopkeeper.open_index($1, $2)"#,
            model,
            dimensions,
        )
        .fetch_one(&self.pool)
        .await?;
        if version.model == model && version.dimensions == dimensions {
            return Ok(version);
        }
        Err(StoreError::Unsuitable(format!(
            "the index (version {}) holds vectors of {} with {} dimensions, and the settings say {model} with \
             {dimensions}; vectors of two models cannot be compared\n  set embedding.model and embedding.dimensions \
             back, or use another database for the new model",
            version.id, version.model, version.dimensions
        )))
    }

    /// Reads one page of a source's documents in key order, after `after`.
    pub async fn known(
        &self,
        source: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Known>, StoreError> {
        let page = sqlx::query_as!(
            Known,
            "select key, row_hash from shopkeeper.document
             where source = $1 and ($2::text is null or key > $2)
             order by key limit $3",
            source,
            after,
            i64::from(limit),
        );
        Ok(page.fetch_all(&self.pool).await?)
    }

    /// Notes that these documents were added or changed, and enqueues their refreshing.
    pub async fn note_listed(
        &self,
        source: &str,
        listed: &[Listed],
        refresh: &str,
    ) -> Result<u64, StoreError> {
        let (keys, hashes): (Vec<_>, Vec<_>) =
            listed.iter().map(|entry| (entry.key.clone(), entry.row_hash)).unzip();
        let mut transaction = self.pool.begin().await?;
        let enqueued = enqueue_refresh(&mut transaction, refresh, source, &keys).await?;
        sqlx::query!(
            "insert into shopkeeper.document as document (source, key, row_hash)
             select $1, key, row_hash from unnest($2::text[], $3::bigint[]) as listed (key, row_hash) order by key
             on conflict (source, key) do update
             set revision = document.revision + 1, row_hash = excluded.row_hash, changed_at = now()",
            source,
            &keys,
            &hashes,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(enqueued)
    }

    /// Notes that these documents are no longer listed, and enqueues their removal.
    pub async fn note_unlisted(
        &self,
        source: &str,
        keys: &[String],
        refresh: &str,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let enqueued = enqueue_refresh(&mut transaction, refresh, source, keys).await?;
        sqlx::query!(
            "update shopkeeper.document set revision = revision + 1, row_hash = null, changed_at = now()
             where (source, key) in (
                 select source, key from shopkeeper.document
                 where source = $1 and key = any($2) order by key for update
             )",
            source,
            keys,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(enqueued)
    }

    /// Counts the documents of a source that are not on their way out.
    pub async fn listed_count(&self, source: &str) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from shopkeeper.document where source = $1 and row_hash is not null"#,
            source,
        );
        Ok(count.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Notes that a source was compared in full.
    pub async fn note_synced(&self, source: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.source (name, last_sync_at) values ($1, now())
             on conflict (name) do update set last_sync_at = excluded.last_sync_at",
            source,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Reads what is known of a document; nothing when it is not known at all.
    pub async fn indexed(&self, version: i32, id: &DocumentId) -> Result<Option<Indexed>, StoreError> {
        let row = sqlx::query!(
            r#"select document.revision, indexed.fingerprint as "fingerprint?"
               from shopkeeper.document
               left join shopkeeper.document_index as indexed
                   on indexed.version = $1 and indexed.source = document.source and indexed.key = document.key
               where document.source = $2 and document.key = $3"#,
            version,
            id.source,
            id.key,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Indexed {
            revision: row.revision,
            fingerprint: row.fingerprint.and_then(|bytes| bytes.try_into().ok()).map(Fingerprint),
        }))
    }

    /// Makes the index hold a document's content and completes the job, all or nothing.
    pub async fn write(
        &self,
        version: i32,
        id: &DocumentId,
        revision: i64,
        content: &Content<'_>,
        lease: Lease,
    ) -> Result<Written, StoreError> {
        let mut transaction = self.pool.begin().await?;
        jobs::complete(&mut transaction, lease).await?;
        if !lock(&mut transaction, id, revision).await? {
            transaction.rollback().await?;
            return Ok(Written::Superseded);
        }
        let document = content.document;
        sqlx::query!(
            "update shopkeeper.document set title = $3, link = $4, sku = $5, metadata = $6 where source = $1 and key = $2",
            id.source,
            id.key,
            document.title,
            document.link,
            document.sku,
            Json(&document.metadata) as Json<&Box<RawValue>>,
        )
        .execute(&mut *transaction)
        .await?;
        if let Some(chunks) = content.chunks {
            replace_chunks(&mut transaction, version, id, chunks).await?;
        }
        sqlx::query!(
            "insert into shopkeeper.document_index (version, source, key, indexed_revision, fingerprint, state)
             values ($1, $2, $3, $4, $5, 'fresh')
             on conflict (version, source, key) do update
             set indexed_revision = excluded.indexed_revision, fingerprint = excluded.fingerprint,
                 state = 'fresh', error = null, indexed_at = now()",
            version,
            id.source,
            id.key,
            revision,
            &content.fingerprint.0,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Written::Fresh)
    }

    /// What of a document is in an index version.
    pub async fn chunk_hashes(
        &self,
        version: i32,
        id: &DocumentId,
    ) -> Result<BTreeSet<InputHash>, StoreError> {
        let hashes = sqlx::query_scalar!(
            "select input_hash from shopkeeper.chunk where version = $1 and source = $2 and key = $3",
            version,
            id.source,
            id.key,
        );
        let hashes = hashes.fetch_all(&self.pool).await?;
        Ok(hashes.into_iter().filter_map(|hash| hash.try_into().ok().map(InputHash)).collect())
    }

    /// Removes a document that its source no longer has, and completes the job.
    pub async fn remove(&self, id: &DocumentId, revision: i64, lease: Lease) -> Result<Written, StoreError> {
        let mut transaction = self.pool.begin().await?;
        jobs::complete(&mut transaction, lease).await?;
        if !lock(&mut transaction, id, revision).await? {
            transaction.rollback().await?;
            return Ok(Written::Superseded);
        }
        sqlx::query!(
            "delete from shopkeeper.chunk
             where version in (select id from shopkeeper.index_version) and source = $1 and key = $2",
            id.source,
            id.key,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!("delete from shopkeeper.document where source = $1 and key = $2", id.source, id.key)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Written::Fresh)
    }
}

async fn enqueue_refresh(
    connection: &mut PgConnection,
    kind: &str,
    source: &str,
    keys: &[String],
) -> Result<u64, StoreError> {
    let job_keys: Vec<_> = keys.iter().map(|key| format!("{source}/{key}")).collect();
    let payloads: Vec<Value> =
        keys.iter().map(|key| serde_json::json!({ "source": source, "key": key })).collect();
    jobs::enqueue(connection, kind, &job_keys, &payloads).await
}

/// Locks a document's row and says whether its revision is still this one.
async fn lock(connection: &mut PgConnection, id: &DocumentId, revision: i64) -> Result<bool, StoreError> {
    let now = sqlx::query_scalar!(
        "select revision from shopkeeper.document where source = $1 and key = $2 for update",
        id.source,
        id.key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(now == Some(revision))
}

async fn replace_chunks(
    connection: &mut PgConnection,
    version: i32,
    id: &DocumentId,
    chunks: &Chunks,
) -> Result<(), StoreError> {
    let (places, kept): (Vec<_>, Vec<_>) =
        chunks.kept.iter().map(|(ordinal, hash)| (*ordinal, hash.0.to_vec())).unzip();
    sqlx::query!(
        "delete from shopkeeper.chunk
         where version = $1 and source = $2 and key = $3 and input_hash <> all ($4::bytea[])",
        version,
        id.source,
        id.key,
        &kept,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update shopkeeper.chunk as chunk set ordinal = kept.ordinal
         from unnest($4::bytea[], $5::integer[]) as kept (input_hash, ordinal)
         where version = $1 and source = $2 and key = $3
             and chunk.input_hash = kept.input_hash and chunk.ordinal <> kept.ordinal",
        version,
        id.source,
        id.key,
        &kept,
        &places,
    )
    .execute(&mut *connection)
    .await?;
    let fresh = &chunks.fresh;
    let ordinals: Vec<_> = fresh.iter().map(|embedded| embedded.ordinal).collect();
    let hashes: Vec<_> = fresh.iter().map(|embedded| embedded.chunk.hash().0.to_vec()).collect();
    let contents: Vec<_> = fresh.iter().map(|embedded| embedded.chunk.content.clone()).collect();
    let tokens: Vec<_> =
        fresh.iter().map(|embedded| i32::try_from(embedded.chunk.tokens).unwrap_or(i32::MAX)).collect();
    let vectors: Vec<_> = fresh.iter().map(|embedded| HalfVector::from_f32_slice(&embedded.vector)).collect();
    sqlx::query!(
        "insert into shopkeeper.chunk (version, source, key, ordinal, input_hash, content, tokens, embedding)
         select $1, $2, $3, ordinal, input_hash, content, tokens, embedding
         from unnest($4::integer[], $5::bytea[], $6::text[], $7::integer[], $8::halfvec[])
             as fresh (ordinal, input_hash, content, tokens, embedding)",
        version,
        id.source,
        id.key,
        &ordinals,
        &hashes,
        &contents,
        &tokens,
        &vectors as &[HalfVector],
    )
    .execute(connection)
    .await?;
    Ok(())
}
