//! Removes documents from all index versions, as far as the mass-delete guard allows.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::{Result, Store, columns, lock, sources};
use crate::catalogue::{DocumentId, MassDelete};

const DELETE_BATCH: i64 = 1000;

impl Store {
    /// Deletes one batch of a source's documents, in every index version; returns their number.
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
                let sources = vec![source.to_owned(); keys.len()];
                lock(connection, &sources, &keys).await?;
                delete(connection, &sources, &keys).await?;
                Ok(keys.len() as u64)
            })
            .await
    }
}

/// Deletes locked documents whose rows are gone, in every index version; each comes with whether it may be removed.
/// Returns those that the guard of their source keeps.
pub(super) async fn remove<'a>(
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
        let departure = sources::let_leave(connection, source, ids.len() as u64, guard, false).await?;
        if departure.allowed { leaving.extend(ids) } else { withheld.extend(ids) }
    }
    if !withheld.is_empty() {
        keep(connection, &withheld).await?;
    }
    if !leaving.is_empty() {
        let (sources, keys) = columns(leaving.into_iter());
        delete(connection, &sources, &keys).await?;
    }
    Ok(withheld)
}

/// Keeps documents searchable until a listing finds them again or allows their removal. They count as indexed at their
/// revision, because there is nothing newer to read.
async fn keep(connection: &mut PgConnection, withheld: &[&DocumentId]) -> Result<()> {
    let (sources, keys) = columns(withheld.iter().copied());
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
    Ok(query.execute(connection).await.map(drop)?)
}

async fn delete(connection: &mut PgConnection, sources: &[String], keys: &[String]) -> Result<()> {
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
        sources,
        keys,
    );
    Ok(query.execute(connection).await.map(drop)?)
}
