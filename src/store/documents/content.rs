//! Stores the content of documents and marks them as fresh.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{DocumentWrite, Fingerprint, Result, StoreError, columns};
use crate::{catalogue::Document, indexing::chunk::Chunks};

/// What is stored of a document and made searchable.
#[expect(missing_docs, reason = "the names say it")]
pub struct Content {
    pub document: Arc<Document>,
    /// The fingerprint that the index had when the document was loaded; nothing is written if it has another one now.
    pub known: Option<Fingerprint>,
    /// Covers the text and the embedding settings.
    pub fingerprint: Fingerprint,
    /// `None` leaves the chunks as they are.
    pub chunks: Option<Chunks>,
}

/// The contents of documents, each with the write that it belongs to.
pub(super) type Contents<'a> = [(&'a DocumentWrite, &'a Content)];

/// Stores the shown fields of locked documents.
///
/// The listed hash stays if everything that is written at this revision, in every version, has the same hash. Otherwise
/// it becomes 0, and the next listing checks again: the row may change back, and a removed row that came back may go.
pub(super) async fn describe(connection: &mut PgConnection, contents: &Contents<'_>) -> Result<()> {
    let (sources, keys) = columns(contents.iter().map(|(write, _)| &write.id));
    let titles: Vec<_> = contents.iter().map(|(_, content)| content.document.title.clone()).collect();
    let links: Vec<_> = contents.iter().map(|(_, content)| content.document.link.clone()).collect();
    let skus: Vec<_> = contents.iter().map(|(_, content)| content.document.sku.clone()).collect();
    let families: Vec<_> = contents.iter().map(|(_, content)| content.document.group.clone()).collect();
    let metadata: Vec<_> =
        contents.iter().map(|(_, content)| content.document.metadata.get().to_owned()).collect();
    let row_hashes: Vec<_> = contents.iter().map(|(_, content)| content.document.row_hash).collect();
    let query = sqlx::query!(
        r#"update shopkeeper.document as document
         set title = shown.title, link = shown.link, sku = shown.sku, family = shown.family,
             metadata = shown.metadata::jsonb,
             row_hash = case when document.row_hash = shown.row_hash then shown.row_hash else 0 end
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
             $8::text[]) as shown (source, key, title, link, sku, metadata, row_hash, family)
         where document.source = shown.source collate "C" and document.key = shown.key collate "C""#,
        &sources,
        &keys,
        &titles,
        &links as &[Option<String>],
        &skus as &[Option<String>],
        &metadata,
        &row_hashes,
        &families as &[Option<String>],
    );
    Ok(query.execute(connection).await.map(drop)?)
}

/// Marks documents as indexed, unless the index changed after they were loaded, when the chunks to keep were chosen.
/// The lookup goes row by row: during the first listing there are no statistics to plan a join by.
pub(super) async fn mark_fresh(
    connection: &mut PgConnection,
    version: i32,
    contents: &Contents<'_>,
) -> Result<()> {
    let (sources, keys) = columns(contents.iter().map(|(write, _)| &write.id));
    let revisions: Vec<_> = contents.iter().map(|(write, _)| write.revision).collect();
    let fingerprints: Vec<_> = contents.iter().map(|(_, content)| content.fingerprint.0.to_vec()).collect();
    let known: Vec<_> =
        contents.iter().map(|(_, content)| content.known.map(|known| known.0.to_vec())).collect();
    let noted = sqlx::query!(
        r#"insert into shopkeeper.document_index (version, source, key, indexed_revision, fingerprint, state)
         select $1, fresh.source, fresh.key, fresh.revision, fresh.fingerprint, 'fresh'
         from unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[])
             as fresh (source, key, revision, fingerprint, known)
         where (
             select indexed.fingerprint from shopkeeper.document_index as indexed
             where indexed.version = $1
                 and indexed.source = fresh.source collate "C" and indexed.key = fresh.key collate "C"
         ) is not distinct from fresh.known
         on conflict (version, source, key) do update
         set indexed_revision = excluded.indexed_revision, fingerprint = excluded.fingerprint,
             state = 'fresh', error = null, indexed_at = now()"#,
        version,
        &sources,
        &keys,
        &revisions,
        &fingerprints,
        &known as &[Option<Vec<u8>>],
    );
    if noted.execute(connection).await?.rows_affected() < contents.len() as u64 {
        return Err(StoreError::Overtaken);
    }
    Ok(())
}
