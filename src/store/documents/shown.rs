//! Documents as operators see them.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::{Result, Store};
use crate::{catalogue::DocumentId, words::words};

words! {
    /// Whether the active index version has a document.
    pub enum DocumentState {
        /// As it is.
        Fresh,
        /// Not as it is now: it changed, or was never indexed.
        Stale,
        /// It could not be indexed.
        Failed,
    }
}

/// A document in a list.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DocumentRow {
    pub source: String,
    pub key: String,
    pub title: String,
    pub sku: Option<String>,
    pub changed_at: DateTime<Utc>,
    pub state: DocumentState,
    pub error: Option<String>,
}

/// Everything that is known of a document.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DocumentShown {
    pub row: DocumentRow,
    pub revision: i64,
    pub link: Option<String>,
    pub metadata: Json<Box<RawValue>>,
    pub indexed_at: Option<DateTime<Utc>>,
    /// Whether its row is gone, and its removal waits.
    pub is_leaving: bool,
    /// The active index version.
    pub version: Option<i32>,
    /// The tokens of all its chunks there.
    pub tokens: i64,
}

/// A chunk of a document.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ChunkShown {
    pub ordinal: i32,
    pub tokens: i32,
    /// The beginning of its text.
    pub content: String,
    pub created_at: DateTime<Utc>,
}

/// The most characters of a chunk that are shown.
const MOST_CHARS: i32 = 4000;

impl Store {
    /// Lists documents in the order of their keys, after one of them; of a source, or of all.
    pub async fn document_rows(
        &self,
        source: Option<&str>,
        after: Option<&DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>> {
        let rows = sqlx::query_as!(
            DocumentRow,
            r#"with page as (
                   select source, key, title, sku, changed_at, revision from shopkeeper.document
                   where ($1::text is null or source = $1)
                       and ($2::text is null or (source, key) > ($2::text collate "C", $3::text collate "C"))
                   order by source, key limit $4
               )
               select page.source, page.key, left(page.title, 300) as "title!", page.sku, page.changed_at,
                   case
                       when indexed_revision is null or indexed_revision < revision then 'stale' else indexed.state
                   end as "state!: DocumentState",
                   indexed.error as "error?"
               from page left join shopkeeper.document_index as indexed
                   on indexed.version = (select id from shopkeeper.index_version where state = 'active')
                   and indexed.source = page.source and indexed.key = page.key
               order by page.source, page.key"#,
            source,
            after.map(|after| after.source.as_str()),
            after.map(|after| after.key.as_str()),
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Lists documents that could not be indexed; of a source, or of all.
    pub async fn failed_documents(
        &self,
        source: Option<&str>,
        after: Option<&DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>> {
        let rows = sqlx::query_as!(
            DocumentRow,
            r#"select document.source, document.key, left(title, 300) as "title!", sku, changed_at,
                   case when indexed_revision < revision then 'stale' else state end as "state!: DocumentState", error
               from shopkeeper.document_index as indexed
               join shopkeeper.document on document.source = indexed.source and document.key = indexed.key
               where indexed.state = 'failed'
                   and version = (select id from shopkeeper.index_version where state = 'active')
                   and ($1::text is null or indexed.source = $1)
                   and ($2::text is null or (indexed.source, indexed.key) > ($2::text collate "C", $3::text collate "C"))
               order by indexed.source, indexed.key limit $4"#,
            source,
            after.map(|after| after.source.as_str()),
            after.map(|after| after.key.as_str()),
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Lists documents whose jobs wait or run.
    pub async fn waiting_documents(
        &self,
        refresh: &str,
        source: Option<&str>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, DocumentRow)>> {
        let rows = sqlx::query!(
            r#"select job.id, document.source as "source?", document.key as "key?", job.key as "name!",
                   left(document.title, 300) as title, document.sku as "sku?", document.changed_at as "changed_at?",
                   job.created_at, job.last_error
               from shopkeeper.job as job
               left join shopkeeper.document as document
                   on document.source = job.payload ->> 'source' and document.key = job.payload ->> 'key'
               where job.kind = $1 and ($2::bigint is null or job.id > $2)
                   and ($4::text is null or job.payload ->> 'source' = $4)
               order by job.id limit $3"#,
            refresh,
            after,
            i64::from(limit),
            source,
        );
        let rows = rows.fetch_all(&self.pool.by_values()).await?.into_iter().map(|row| {
            let (source, key) = row.name.split_once('/').unwrap_or(("", &row.name));
            let document = DocumentRow {
                source: row.source.unwrap_or_else(|| source.to_owned()),
                key: row.key.unwrap_or_else(|| key.to_owned()),
                title: row.title.unwrap_or_default(),
                sku: row.sku,
                changed_at: row.changed_at.unwrap_or(row.created_at),
                state: DocumentState::Stale,
                error: row.last_error,
            };
            (row.id, document)
        });
        Ok(rows.collect())
    }

    /// Finds documents whose key begins with a text, whose SKU it is, or whose title has its words.
    pub async fn find_documents(
        &self,
        source: Option<&str>,
        text: &str,
        limit: u32,
    ) -> Result<Vec<DocumentRow>> {
        let rows = sqlx::query_as!(
            DocumentRow,
            r#"with named as (
                   select found.source, found.key from shopkeeper.source as source
                   cross join lateral (
                       select document.source, document.key from shopkeeper.document as document
                       where document.source = source.name collate "C"
                           and document.key >= $1 and document.key < $1 || chr(1114111)
                       order by document.key limit $2
                   ) as found
                   union
                   select source, key from shopkeeper.document
                   where upper(regexp_replace(sku, '[^A-Za-z0-9]', '', 'g'))
                           = upper(regexp_replace($1::text, '[^A-Za-z0-9]', '', 'g'))
                       and sku is not null and $1::text ~ '[A-Za-z0-9]'
                   union
                   (select source, key from shopkeeper.document
                    where to_tsvector('simple', title) @@ websearch_to_tsquery('simple', $1::text) limit $2)
               )
               select document.source, document.key, left(title, 300) as "title!", sku, changed_at,
                   case
                       when indexed_revision is null or indexed_revision < revision then 'stale' else indexed.state
                   end as "state!: DocumentState",
                   indexed.error as "error?"
               from named join shopkeeper.document as document using (source, key)
               left join shopkeeper.document_index as indexed
                   on indexed.version = (select id from shopkeeper.index_version where state = 'active')
                   and indexed.source = document.source and indexed.key = document.key
               where $3::text is null or document.source = $3
               order by document.key <> $1, document.source, document.key limit $2"#,
            text,
            i64::from(limit),
            source,
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Reads one document.
    pub async fn document_shown(&self, id: &DocumentId) -> Result<Option<DocumentShown>> {
        let row = sqlx::query!(
            r#"with active as (select id from shopkeeper.index_version where state = 'active')
               select revision, left(title, 2000) as "title!", link, sku, metadata as "metadata: Json<Box<RawValue>>",
                   changed_at, row_hash is null as "is_leaving!",
                   case
                       when indexed_revision is null or indexed_revision < revision then 'stale' else indexed.state
                   end as "state!: DocumentState",
                   indexed.error as "error?", indexed.indexed_at as "indexed_at?", (select id from active) as version,
                   (select coalesce(sum(tokens), 0)::bigint from shopkeeper.chunk
                    where version = (select id from active) and source = $1 and key = $2) as "tokens!"
               from shopkeeper.document as document
               left join shopkeeper.document_index as indexed
                   on indexed.version = (select id from active)
                   and indexed.source = document.source and indexed.key = document.key
               where document.source = $1 and document.key = $2"#,
            id.source,
            id.key,
        );
        let row = row.fetch_optional(&self.pool.by_values()).await?;
        Ok(row.map(|row| DocumentShown {
            row: DocumentRow {
                source: id.source.clone(),
                key: id.key.clone(),
                title: row.title,
                sku: row.sku,
                changed_at: row.changed_at,
                state: row.state,
                error: row.error,
            },
            revision: row.revision,
            link: row.link,
            metadata: row.metadata,
            indexed_at: row.indexed_at,
            is_leaving: row.is_leaving,
            version: row.version,
            tokens: row.tokens,
        }))
    }

    /// Reads the chunks of a document in an index version, in their order.
    pub async fn chunks_shown(&self, version: i32, id: &DocumentId, limit: u32) -> Result<Vec<ChunkShown>> {
        let chunks = sqlx::query_as!(
            ChunkShown,
            r#"select ordinal, tokens, left(content, $5) as "content!", created_at from shopkeeper.chunk
               where version = $1 and source = $2 and key = $3 order by ordinal limit $4"#,
            version,
            id.source,
            id.key,
            i64::from(limit),
            MOST_CHARS,
        );
        Ok(chunks.fetch_all(&self.pool.by_values()).await?)
    }
}
