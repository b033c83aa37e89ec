//! Gives way to the shop: what reads its tables for long ends as soon as a transaction of the shop waits for these tables,
//! and begins again.

use std::time::Duration;

use futures::{FutureExt, TryFutureExt};
use sqlx::{Postgres, Transaction};

use crate::{
    catalogue::{CatalogueError, CatalogueResult},
    pg_connection::BorrowedConnection,
    source::postgres::PostgresSource,
};

/// How often it is found out whether the shop waits.
const INTERVAL: Duration = Duration::from_millis(250);
/// Seconds that it has the tables to itself before each new beginning.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// A transaction that reads, and the process that serves it.
pub(super) struct ReadTransaction<'a> {
    pub transaction: Transaction<'a, Postgres>,
    pub process: i32,
}

impl PostgresSource {
    /// Begins a transaction that reads. Each of its statements has a snapshot of its own, taken after its locks: with one
    /// that is older than its locks, a table that was truncated and filled meanwhile would be empty.
    pub(super) async fn begin<'a>(
        &self,
        borrowed: &'a mut BorrowedConnection,
    ) -> CatalogueResult<ReadTransaction<'a>> {
        let begin = "begin isolation level read committed read only";
        let mut transaction = borrowed.begin_with(begin).await.map_err(self.fail())?;
        let process = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *transaction).await;
        Ok(ReadTransaction { process: process.map_err(self.fail())?, transaction })
    }

    /// Reads in the transaction of a process; `None` if the shop waited for it.
    pub(super) async fn giving_way<T>(
        &self,
        process: i32,
        reading: impl Future<Output = CatalogueResult<T>>,
    ) -> CatalogueResult<Option<T>> {
        tokio::select! {
            read = reading => return read.map(Some),
            () = self.is_in_the_way(process) => {}
        }
        // The server may be sorting, and not notice that nobody reads the result.
        let cancel = sqlx::query("select pg_cancel_backend($1)").bind(process).execute(&self.bystander);
        self.in_time(cancel.map_ok(drop).map_err(self.fail())).await?;
        Ok(None)
    }

    /// Begins again, some times, if the shop waited.
    pub(super) async fn until_read<T, F: Future<Output = CatalogueResult<Option<T>>>>(
        &self,
        read: impl Fn() -> F,
    ) -> CatalogueResult<T> {
        let name = &self.settings.name;
        for pause in PAUSES {
            if let Some(read) = read().await? {
                return Ok(read);
            }
            tracing::info!(
                source = name,
                "reading source `{name}` gives way to its shop, which waits for a lock"
            );
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        let reason = format!("its shop waited for a lock each of the {} times it was read", PAUSES.len());
        Err(CatalogueError::Unreachable { source_name: name.clone(), reason })
    }

    /// Ends once a session waits for a lock of this process.
    async fn is_in_the_way(&self, process: i32) {
        let waits =
            "select exists (select from pg_locks where not granted and $1 = any (pg_blocking_pids(pid)))";
        loop {
            tokio::time::sleep(INTERVAL).await;
            let waits = sqlx::query_scalar(waits).bind(process).fetch_one(&self.bystander);
            if let Ok(true) = self.in_time(waits.map_err(self.fail()).boxed()).await {
                return;
            }
        }
    }
}
