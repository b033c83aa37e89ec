//! Makes the index hold what was read, many documents in one transaction.
//!
//! The jobs are completed first, and those that are not held are left out; then the documents are locked, and those whose
//! revision is not the one that was read are left out; then the rest is written: set by set, a few statements whatever the
//! number of documents. Whoever raises a revision enqueues the job before that in the same transaction, so that a document
//! which is left out has a job that goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pgvector::HalfVector;
use sqlx::PgConnection;

use super::{Content, DocumentLock, DocumentWrite, WriteOutcome, lock};
use crate::{
    catalogue::{DocumentId, MassDelete},
    indexing::chunk::{Chunks, InputHash},
    store::{Result, Store, StoreError, jobs, sources::let_leave, versions::IndexVersion},
};

mod copy;

impl Store {
    /// Writes documents and completes their jobs, each all or nothing; says how each ended. No job is completed once there
    /// is a newer version than `newest`, because it may have to write that one as well. Removals that nobody allowed yet are
    /// put to the guard of their source; without one they are allowed.
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
                let ended = writes.iter().map(|write| {
                    if is_held(write) {
                        written.get(&write.id).copied().unwrap_or(WriteOutcome::Superseded)
                    } else {
                        WriteOutcome::NotHeld
                    }
                });
                Ok(ended.collect())
            })
            .await
    }

    /// Finds vectors that were made of the same inputs with the same model: in the index, or remembered of
    /// what was in it.
    pub async fn vectors(
        &self,
        version: &IndexVersion,
        hashes: &[InputHash],
    ) -> Result<HashMap<InputHash, Vec<f32>>> {
        let hashes: Vec<_> = hashes.iter().map(|hash| hash.0.to_vec()).collect();
        let rows = sqlx::query!(
            r#"select input_hash as "input_hash!", embedding as "embedding!: HalfVector"
               from shopkeeper.find_vectors($1, $2, $3, $4)"#,
            version.id,
            version.model,
            version.dimensions,
            &hashes,
        );
        let rows = rows.fetch_all(&self.pool).await?;
        let found = rows.into_iter().filter_map(|row| {
            let hash = InputHash(row.input_hash.try_into().ok()?);
            let vector: Vec<_> = row.embedding.as_slice().iter().map(|number| number.to_f32()).collect();
            // A vector of zeros, which a model server once gave, is not used again.
            vector.iter().any(|number| *number != 0.0).then_some((hash, vector))
        });
        Ok(found.collect())
    }
}

impl Store {
    /// Deletes one batch of the oldest vectors beyond this number; returns how many.
    pub async fn prune_cache(&self, entries: u32) -> Result<u64> {
        let forgotten = sqlx::query!(
            "delete from shopkeeper.embedding_cache where ctid = any (array(
                 select ctid from shopkeeper.embedding_cache order by kept_at
                 limit least(10000, greatest(0, (select count(*) from shopkeeper.embedding_cache) - $1))
             ))",
            i64::from(entries),
        );
        Ok(forgotten.execute(&self.pool).await?.rows_affected())
    }
}

/// Whether a version was made that is newer than this.
async fn has_newer(connection: &mut PgConnection, newest: Option<i32>) -> Result<bool> {
    let Some(newest) = newest else { return Ok(false) };
    let newer = sqlx::query_scalar!(
        r#"select exists (select from shopkeeper.index_version where id > $1 and state <> 'dropping') as "newer!""#,
        newest
    );
    Ok(newer.fetch_one(connection).await?)
}

/// The keys of documents, column by column.
fn keys<'a>(ids: impl Iterator<Item = &'a DocumentId>) -> (Vec<String>, Vec<String>) {
    ids.map(|id| (id.source.clone(), id.key.clone())).unzip()
}

/// Writes what is still what was read, and says how it ended for those documents.
async fn write(
    connection: &mut PgConnection,
    version: i32,
    writes: &[&DocumentWrite],
    guards: &BTreeMap<String, MassDelete>,
) -> Result<HashMap<DocumentId, WriteOutcome>> {
    let (sources, keys) = keys(writes.iter().map(|write| &write.id));
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
    describe(connection, &contents).await?;
    mark_fresh(connection, version, &contents).await?;
    let changed = contents.iter().filter_map(|(write, content)| {
        content.chunks.as_ref().map(|chunks| (&write.id, chunks, content.known.is_some()))
    });
    let changed: Vec<_> = changed.collect();
    if !changed.is_empty() {
        replace(connection, version, &changed).await?;
    }
    Ok(written)
}

/// Deletes locked documents that their sources no longer have, each with whether it was allowed to leave, in every index
/// version. Gives those that stay, because the guard of their source withholds their removal.
async fn remove<'a>(
    connection: &mut PgConnection,
    removed: &[(&'a DocumentId, bool)],
    guards: &BTreeMap<String, MassDelete>,
) -> Result<Vec<&'a DocumentId>> {
    let (mut leaving, mut asking) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    for (id, may_leave) in removed {
        if *may_leave || !guards.contains_key(&id.source) {
            leaving.push(*id);
        } else {
            asking.entry(id.source.as_str()).or_default().push(*id);
        }
    }
    let mut withheld = Vec::new();
    for (source, ids) in asking {
        let guard = guards[source];
        let departure = let_leave(connection, source, ids.len() as u64, guard, false).await?;
        if departure.allowed { leaving.extend(ids) } else { withheld.extend(ids) }
    }
    if !withheld.is_empty() {
        keep(connection, &withheld).await?;
    }
    if !leaving.is_empty() {
        delete(connection, &leaving).await?;
    }
    Ok(withheld)
}

/// Leaves documents as they are searched, until a listing finds them again or lets them go. They are not behind their
/// revision: there is nothing newer to read.
async fn keep(connection: &mut PgConnection, withheld: &[&DocumentId]) -> Result<()> {
    let (sources, keys) = keys(withheld.iter().copied());
    let query = sqlx::query!(
        r#"with kept as (
             update shopkeeper.document as document set row_hash = 0
             from unnest($1::text[], $2::text[]) as kept (source, key)
             where document.source = kept.source collate "C" and document.key = kept.key collate "C"
             returning document.source, document.key, document.revision
         )
         insert into shopkeeper.document_index as indexed (version, source, key, indexed_revision, state, error)
         select version.id, kept.source, kept.key, kept.revision, 'failed', 'its row is gone, and mass_delete_limit keeps it'
         from kept, shopkeeper.index_version as version
         where version.state <> 'dropping'
         on conflict (version, source, key) do update set indexed_revision = excluded.indexed_revision"#,
        &sources,
        &keys,
    );
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn delete(connection: &mut PgConnection, leaving: &[&DocumentId]) -> Result<()> {
    let (sources, keys) = keys(leaving.iter().copied());
    let query = sqlx::query!(
        r#"with removed as materialized (
             delete from shopkeeper.document as document
             using unnest($1::text[], $2::text[]) as leaving (source, key)
             where document.source = leaving.source collate "C" and document.key = leaving.key collate "C"
             returning document.source, document.key
         ), indexed as (
             delete from shopkeeper.document_index as indexed
             using removed, shopkeeper.index_version as index_version
             where indexed.version = index_version.id and indexed.source = removed.source and indexed.key = removed.key
         ), gone as (
             delete from shopkeeper.chunk as chunk
             using removed, shopkeeper.index_version as index_version
             where chunk.version = index_version.id and chunk.source = removed.source and chunk.key = removed.key
             returning chunk.input_hash, chunk.embedding, index_version.model, index_version.dimensions
         )
         insert into shopkeeper.embedding_cache (model, dimensions, input_hash, embedding)
         select distinct on (model, dimensions, input_hash) model, dimensions, input_hash, embedding from gone
         order by model, dimensions, input_hash
         on conflict (model, dimensions, input_hash) do update set kept_at = excluded.kept_at"#,
        &sources,
        &keys,
    );
    query.execute(connection).await?;
    Ok(())
}

/// Stores what is shown of locked documents.
///
/// A listed hash stays while all that is written at this revision, in every version, has it. Of another row it becomes 0,
/// and the next listing looks again: the row may change back to what was listed, and what came back may go.
async fn describe(connection: &mut PgConnection, contents: &[(&DocumentWrite, &Content)]) -> Result<()> {
    let (sources, keys) = keys(contents.iter().map(|(write, _)| &write.id));
    let titles: Vec<_> = contents.iter().map(|(_, content)| content.document.title.clone()).collect();
    let links: Vec<_> = contents.iter().map(|(_, content)| content.document.link.clone()).collect();
    let skus: Vec<_> = contents.iter().map(|(_, content)| content.document.sku.clone()).collect();
    let metadata: Vec<_> =
        contents.iter().map(|(_, content)| content.document.metadata.get().to_owned()).collect();
    let row_hashes: Vec<_> = contents.iter().map(|(_, content)| content.document.row_hash).collect();
    let query = sqlx::query!(
        r#"update shopkeeper.document as document
         set title = shown.title, link = shown.link, sku = shown.sku, metadata = shown.metadata::jsonb,
             row_hash = case when document.row_hash = shown.row_hash then shown.row_hash else 0 end
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
             as shown (source, key, title, link, sku, metadata, row_hash)
         where document.source = shown.source collate "C" and document.key = shown.key collate "C""#,
        &sources,
        &keys,
        &titles,
        &links as &[Option<String>],
        &skus as &[Option<String>],
        &metadata,
        &row_hashes,
    );
    query.execute(connection).await?;
    Ok(())
}

/// Notes what of documents is indexed, if that is still what it was when they were looked at: which chunks stay and which
/// are new was told from those that were there then. It is looked up row by row: a join is planned for the table as it
/// was when it was last analysed, which at the first listing is never.
async fn mark_fresh(
    connection: &mut PgConnection,
    version: i32,
    contents: &[(&DocumentWrite, &Content)],
) -> Result<()> {
    let (sources, keys) = keys(contents.iter().map(|(write, _)| &write.id));
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

/// Replaces the chunks of documents by new ones; those that stay are not touched. What leaves is
/// remembered.
async fn replace(
    connection: &mut PgConnection,
    version: i32,
    changed: &[(&DocumentId, &Chunks, bool)],
) -> Result<()> {
    let indexed: Vec<_> = changed.iter().filter(|(_, _, was_indexed)| *was_indexed).collect();
    if !indexed.is_empty() {
        let (sources, keys) = keys(indexed.iter().map(|(id, ..)| *id));
        let kept = indexed.iter().flat_map(|(id, chunks, _)| chunks.kept.iter().map(move |kept| (*id, kept)));
        let kept: Vec<_> = kept.collect();
        let (kept_sources, kept_keys) = self::keys(kept.iter().map(|(id, _)| *id));
        let hashes: Vec<_> = kept.iter().map(|(_, (_, hash))| hash.0.to_vec()).collect();
        let ordinals: Vec<_> = kept.iter().map(|(_, (ordinal, _))| *ordinal).collect();
        let query = sqlx::query!(
            r#"with kept as materialized (
                 select source collate "C" as source, key collate "C" as key, input_hash, ordinal
                 from unnest($4::text[], $5::text[], $6::bytea[], $7::integer[]) as kept (source, key, input_hash, ordinal)
             ), gone as (
                 delete from shopkeeper.chunk as chunk
                 using unnest($2::text[], $3::text[]) as changed (source, key)
                 where chunk.version = $1
                     and chunk.source = changed.source collate "C" and chunk.key = changed.key collate "C"
                     and (chunk.source, chunk.key, chunk.input_hash) not in (select source, key, input_hash from kept)
                 returning chunk.input_hash, chunk.embedding
             ), moved as (
                 update shopkeeper.chunk as chunk set ordinal = kept.ordinal from kept
                 where chunk.version = $1 and chunk.source = kept.source and chunk.key = kept.key
                     and chunk.input_hash = kept.input_hash and chunk.ordinal <> kept.ordinal
             )
             insert into shopkeeper.embedding_cache (model, dimensions, input_hash, embedding)
             select distinct on (input_hash) model, dimensions, input_hash, embedding
             from gone, shopkeeper.index_version where index_version.id = $1
             order by input_hash
             on conflict (model, dimensions, input_hash) do update set kept_at = excluded.kept_at"#,
            version,
            &sources,
            &keys,
            &kept_sources,
            &kept_keys,
            &hashes,
            &ordinals,
        );
        query.execute(&mut *connection).await?;
    }
    insert(connection, version, changed).await
}

/// Writes chunks by COPY: it parses nothing, and writes many rows to a page at once.
async fn insert(
    connection: &mut PgConnection,
    version: i32,
    changed: &[(&DocumentId, &Chunks, bool)],
) -> Result<()> {
    let rows = copy::rows(
        version,
        changed.iter().flat_map(|(id, chunks, _)| chunks.fresh.iter().map(move |fresh| (*id, fresh))),
    );
    let statement = format!(
        "copy shopkeeper.chunk_{version} (version, source, key, ordinal, input_hash, content, tokens, embedding)
         from stdin (format binary)"
    );
    let mut sink = connection.copy_in_raw(&statement).await?;
    sink.send(rows).await?;
    sink.finish().await?;
    Ok(())
}
