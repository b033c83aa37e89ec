//! Failed documents: why they failed, and requests to refresh them or any other document.

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::{Result, Store, jobs};
use crate::catalogue::DocumentId;

/// Documents that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FailureGroup {
    pub source: String,
    pub reason: String,
    pub documents: i64,
}

const RETRY_BATCH: i64 = 1000;

impl Store {
    /// Enqueues one document to be read and refreshed, even if it is not known yet.
    pub async fn refresh_one(&self, id: &DocumentId) -> Result<()> {
        sqlx::query!("select shopkeeper.refresh($1, $2)", id.source, id.key).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Enqueues a source's failed documents again, except those that one of these servers rejects; returns how many.
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

    /// Groups documents that failed at their present revision by reason, most frequent first; of a source or of all.
    pub async fn failures(&self, source: Option<&str>, limit: Option<i64>) -> Result<Vec<FailureGroup>> {
        let failures = sqlx::query_as!(
            FailureGroup,
            r#"select source, coalesce(indexed.error, '') as "reason!", count(*) as "documents!"
               from shopkeeper.document_index as indexed
               join shopkeeper.document as document using (source, key)
               where indexed.state = 'failed' and indexed_revision = document.revision
                   and ($1::text is null or source = $1)
                   and version = (select id from shopkeeper.index_version where state = 'active')
               group by source, indexed.error order by 3 desc, 1, 2 limit $2"#,
            source,
            limit,
        );
        Ok(failures.fetch_all(&self.pool.by_values()).await?)
    }
}

pub(super) async fn enqueue_refresh(
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
