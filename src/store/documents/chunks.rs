//! Replaces the chunks of documents, and reuses vectors of the same inputs.

use std::collections::HashMap;

use pgvector::HalfVector;
use sqlx::PgConnection;

use super::{IndexVersion, Result, Store, columns, content::Contents};
use crate::indexing::chunk::InputHash;

mod copy;

impl Store {
    /// Finds vectors that the same model made of the same inputs, in the index or in the cache.
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
            // Does not reuse a vector of zeros, which a model server once returned.
            vector.iter().any(|number| *number != 0.0).then_some((hash, vector))
        });
        Ok(found.collect())
    }

    /// Deletes one batch of the oldest cached vectors beyond this number; returns how many.
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

/// Replaces the chunks of documents, without touching those that stay. Caches the vectors of the chunks that leave.
pub(super) async fn replace(
    connection: &mut PgConnection,
    version: i32,
    contents: &Contents<'_>,
) -> Result<()> {
    let changed = contents.iter().filter_map(|(write, content)| {
        content.chunks.as_ref().map(|chunks| (&write.id, chunks, content.known.is_some()))
    });
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() {
        return Ok(());
    }
    let indexed: Vec<_> = changed.iter().filter(|(_, _, was_indexed)| *was_indexed).collect();
    if !indexed.is_empty() {
        let (sources, keys) = columns(indexed.iter().map(|(id, ..)| *id));
        let kept = indexed.iter().flat_map(|(id, chunks, _)| chunks.kept.iter().map(move |kept| (*id, kept)));
        let kept: Vec<_> = kept.collect();
        let (kept_sources, kept_keys) = columns(kept.iter().map(|(id, _)| *id));
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
    let fresh = changed.iter().flat_map(|(id, chunks, _)| chunks.fresh.iter().map(move |fresh| (*id, fresh)));
    insert(connection, version, copy::rows(version, fresh)).await
}

/// Writes encoded chunks by COPY, which parses nothing and fills whole pages.
async fn insert(connection: &mut PgConnection, version: i32, rows: Vec<u8>) -> Result<()> {
    let statement = format!(
        "copy shopkeeper.chunk_{version} (version, source, key, ordinal, input_hash, content, tokens, embedding)
         from stdin (format binary)"
    );
    let mut sink = connection.copy_in_raw(&statement).await?;
    sink.send(rows).await?;
    Ok(sink.finish().await.map(drop)?)
}
