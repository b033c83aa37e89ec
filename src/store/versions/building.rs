//! Builds and drops the HNSW indexes and partitions of versions, without a time limit for statements.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use crate::store::{Result, Store, StoreError, pool::Pool, versions::IndexVersion};

/// A connection of its own, past a pooler and without a limit of time.
struct Builder<'a> {
    connection: PgConnection,
    /// The server's process for it.
    pid: i32,
    /// Where that is looked for.
    pool: &'a Pool,
}

/// How often the server's process is looked for. When it is gone, and we were not told, the network was cut.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

impl Builder<'_> {
    async fn execute(&mut self, statement: String) -> Result<()> {
        let lost = async {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let there = sqlx::query_scalar!(
                    r#"select exists (select from pg_stat_activity where pid = $1) as "there!""#,
                    self.pid
                );
                // A server that is away says nothing: it is asked again.
                if let Ok(false) = there.fetch_one(self.pool).await {
                    return;
                }
            }
        };
        tokio::select! {
            done = sqlx::query(AssertSqlSafe(statement)).execute(&mut self.connection) => done.map(drop).map_err(StoreError::from),
            () = lost => Err(StoreError::unreachable("the connection was lost while it worked")),
        }
    }
}

impl Store {
    async fn builder(&self) -> Result<Builder<'_>> {
        let mut connection = self.direct.plain().acquire().await?.detach();
        let pid =
            sqlx::query_scalar!(r#"select pg_backend_pid() as "pid!""#).fetch_one(&mut connection).await?;
        let mut builder = Builder { connection, pid, pool: &self.direct };
        for statement in [
            "set statement_timeout = 0",
            // The graph is built many times faster when it fits.
            "select set_config('maintenance_work_mem', greatest(pg_size_bytes(setting || unit), 1 << 29) / 1024 || 'kB', false)
             from pg_settings where name = 'maintenance_work_mem'",
        ] {
            builder.execute(statement.to_owned()).await?;
        }
        // The server ends the statement when this process is gone, so that the next one does not work beside it. Not every
        // system's server can.
        let _ = builder.execute("set client_connection_check_interval = '10s'".to_owned()).await;
        Ok(builder)
    }

    /// Builds a version's HNSW index without locking out writers, and makes the version ready. What an
    /// earlier try has left is removed first.
    pub async fn build_hnsw(&self, version: &IndexVersion) -> Result<()> {
        let (id, dimensions) = (version.id, version.dimensions);
        let mut builder = self.builder().await?;
        let is_valid = sqlx::query_scalar!(
            r#"select indisvalid from pg_index where indexrelid = to_regclass($1)"#,
            format!("shopkeeper.chunk_{id}_hnsw"),
        );
        let is_valid = is_valid.fetch_optional(&self.pool).await?;
        if is_valid == Some(false) {
            builder.execute(format!("drop index concurrently shopkeeper.chunk_{id}_hnsw")).await?;
        }
        if is_valid != Some(true) {
            let statement = format!(
                "create index concurrently chunk_{id}_hnsw on shopkeeper.chunk_{id}
                 using hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)"
            );
            builder.execute(statement).await?;
            builder.execute(format!("analyze shopkeeper.chunk_{id}")).await?;
            note_built(&self.pool, id).await?;
        }
        let query = sqlx::query!(
            "update shopkeeper.index_version set state = 'ready' where id = $1 and state = 'building'",
            id
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Builds a version's HNSW index anew, without locking out writers or searches.
    pub async fn rebuild_hnsw(&self, version: i32) -> Result<()> {
        let mut builder = self.builder().await?;
        // What a rebuilding that was ended has left.
        let left = sqlx::query_scalar!(
            r#"select indexrelid::regclass::text as "name!" from pg_index
               where indrelid = to_regclass('shopkeeper.chunk_' || $1) and not indisvalid
                   and indexrelid::regclass::text ~ '_hnsw_cc(new|old)'"#,
            version.to_string(),
        );
        for name in left.fetch_all(&self.pool).await? {
            builder.execute(format!("drop index concurrently {name}")).await?;
        }
        builder.execute(format!("reindex index concurrently shopkeeper.chunk_{version}_hnsw")).await?;
        note_built(&self.pool, version).await
    }

    /// Removes dead chunks of a version from its table and its indexes.
    pub async fn vacuum_chunks(&self, version: i32) -> Result<()> {
        let mut builder = self.builder().await?;
        builder.execute(format!("vacuum (analyze) shopkeeper.chunk_{version}")).await
    }

    /// Deletes a version that nobody writes any more. Its partition is detached without locking the
    /// others.
    pub async fn drop_index(&self, id: i32) -> Result<()> {
        let mut builder = self.builder().await?;
        let pending = sqlx::query_scalar!(
            r#"select inhdetachpending from pg_inherits where inhrelid = to_regclass($1)"#,
            format!("shopkeeper.chunk_{id}"),
        );
        if let Some(pending) = pending.fetch_optional(&self.pool).await? {
            let how = if pending { "finalize" } else { "concurrently" };
            let detach = format!("alter table shopkeeper.chunk detach partition shopkeeper.chunk_{id} {how}");
            builder.execute(detach).await?;
        }
        builder.execute(format!("drop table if exists shopkeeper.chunk_{id}")).await?;
        builder.execute(format!("delete from shopkeeper.document_index where version = {id}")).await?;
        builder.execute(format!("delete from shopkeeper.index_version where id = {id}")).await?;
        Ok(())
    }
}

/// Notes how many chunks had been deleted when the HNSW index was built.
async fn note_built(pool: &Pool, version: i32) -> Result<()> {
    let query = sqlx::query!(
        "update shopkeeper.index_version as version set hnsw_deleted = n_tup_del + n_tup_upd
         from pg_stat_user_tables where version.id = $1 and relid = to_regclass('shopkeeper.chunk_' || version.id)",
        version,
    );
    query.execute(pool).await?;
    Ok(())
}
