//! Runs long statements on the partitions of versions without a statement timeout, and drops versions.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use crate::store::{Result, Store, StoreError, pool::Pool};

/// A connection of its own that bypasses a pooler and has no statement timeout.
pub(super) struct Builder<'a> {
    connection: PgConnection,
    /// The server process of the connection.
    pid: i32,
    /// Checks that the process is alive.
    pool: &'a Pool,
}

/// How often the server process is looked up. If it is gone and we were not told, the network was cut.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

impl Builder<'_> {
    pub(super) async fn execute(&mut self, statement: String) -> Result<()> {
        let lost = async {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let there = sqlx::query_scalar!(
                    r#"select exists (select from pg_stat_activity where pid = $1) as "there!""#,
                    self.pid
                );
                // An error says nothing about the process: ask again.
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
    pub(super) async fn builder(&self) -> Result<Builder<'_>> {
        let mut connection = self.direct.plain().acquire().await?.detach();
        let pid =
            sqlx::query_scalar!(r#"select pg_backend_pid() as "pid!""#).fetch_one(&mut connection).await?;
        let mut builder = Builder { connection, pid, pool: &self.direct };
        for statement in [
            "set statement_timeout = 0",
            // The graph is built many times faster if it fits into memory.
            "select set_config('maintenance_work_mem', greatest(pg_size_bytes(setting || unit), 1 << 29) / 1024 || 'kB', false)
             from pg_settings where name = 'maintenance_work_mem'",
        ] {
            builder.execute(statement.to_owned()).await?;
        }
        // Ends the statement when this process is gone, so that the next one does not run beside it. Not every
        // platform's server supports this.
        let _ = builder.execute("set client_connection_check_interval = '10s'".to_owned()).await;
        Ok(builder)
    }

    /// Stops writing to a version; returns false if it is active or does not exist.
    pub async fn retire_index(&self, id: i32) -> Result<bool> {
        let retired = sqlx::query!(
            "update shopkeeper.index_version set state = 'dropping' where id = $1 and state <> 'active'",
            id
        );
        Ok(retired.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Deletes a version that is no longer written. Detaches its partition without locking the others.
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
