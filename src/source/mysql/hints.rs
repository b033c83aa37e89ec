//! Finds changes sooner than a listing does, by `updated_at`.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{AssertSqlSafe, mysql::MySqlRow};

use crate::{
    catalogue::{CatalogueResult, ChangeHints, ListedRow, Mark, MarkAt, key_fault},
    source::mysql::MySqlSource,
};

/// Keys looked up at once.
const BATCH: usize = 1000;

impl MySqlSource {
    fn usable(&self, row: &MySqlRow) -> CatalogueResult<Option<ListedRow>> {
        let (Some(key), Some(row_hash)) = self.listed(row)? else { return Ok(None) };
        Ok(key_fault(&key).is_none().then_some(ListedRow { key, row_hash }))
    }

    async fn found(&self, keys: &[String]) -> CatalogueResult<Vec<ListedRow>> {
        let (_, rows) = self.by_keys(|statements| &statements.find, keys).await?;
        let asked: BTreeSet<_> = keys.iter().collect();
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        for row in &rows {
            if let Some(listed) = self.usable(row)?.filter(|listed| asked.contains(&listed.key)) {
                let hash = found.entry(listed.key).or_default();
                *hash = hash.wrapping_add(listed.row_hash);
            }
        }
        Ok(found.into_iter().map(|(key, row_hash)| ListedRow { key, row_hash }).collect())
    }

    /// The keys of the rows that changed.
    async fn changed_keys(&self, since: Mark) -> CatalogueResult<Vec<String>> {
        let statements = self.statements().await?;
        let (Some(poll), MarkAt::Time(since)) = (self.polling(&statements)?, since.at) else {
            return Ok(Vec::new());
        };
        let query = sqlx::query(AssertSqlSafe(poll.changed)).bind(&since).bind(&since);
        let rows = query.fetch_all(&self.pool).await.map_err(self.fail())?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            keys.extend(self.usable(row)?.map(|listed| listed.key));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}

impl ChangeHints for MySqlSource {
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Vec<ListedRow>>> {
        self.in_time(self.found(keys)).boxed()
    }

    fn mark(&self) -> BoxFuture<'_, CatalogueResult<Option<Mark>>> {
        let mark = async {
            let Some(poll) = self.polling(&*self.statements().await?)? else { return Ok(None) };
            let row = sqlx::query_as(AssertSqlSafe(poll.mark)).fetch_one(&self.pool).await;
            let (server, at): (String, String) = row.map_err(self.fail())?;
            Ok(Some(Mark { server, at: MarkAt::Time(at) }))
        };
        self.in_time(mark).boxed()
    }

    fn changed(&self, since: &Mark) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        let since = since.clone();
        let changed = async_stream::try_stream! {
            let keys = self.in_time(self.changed_keys(since)).await?;
            for keys in keys.chunks(BATCH) {
                for listed in self.find(keys).await? {
                    yield listed;
                }
            }
        };
        changed.boxed()
    }
}
