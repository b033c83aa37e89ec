//! Lists a source: key and row hash, ordered by the bytes of the key, from one snapshot.
//!
//! The rows are fetched through a cursor and kept until the snapshot is closed: their reader may be slow, and an open
//! transaction holds up the shop's vacuum and migrations.

use std::io;

use futures::{Stream, TryFutureExt};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use crate::{
    catalogue::{CatalogueError, CatalogueResult, ListedRow},
    pg_connection::BorrowedConnection,
    source::postgres::{PostgresSource, Statements, spool::Spool},
};

impl PostgresSource {
    /// Reads the listing to its end and closes its snapshot.
    pub(super) async fn listing(&self) -> CatalogueResult<Spool> {
        // Before a connection is borrowed: this may need one too.
        let statements = self.in_time(self.statements()).await?;
        let mut borrowed = self.in_time(self.borrow()).await?;
        let mut snapshot = self.in_time(self.snapshot(&mut borrowed, statements)).await?;
        let fetch = format!("fetch forward {} from listing", self.settings.page_rows);
        let (mut spool, mut listed) = (Spool::new(), Vec::new());
        loop {
            let read = sqlx::query_as(AssertSqlSafe(fetch.as_str())).fetch_all(&mut *snapshot);
            // A page is written while the next one is read.
            let kept = spool.append(listed).map_err(|error| self.not_kept(&error));
            let rows: Vec<(Option<String>, i64)>;
            (rows, spool) = tokio::try_join!(self.in_time(read.map_err(self.fail())), kept)?;
            if rows.is_empty() {
                break;
            }
            let without_key = || self.misfit("a row has no key: the key column is null".to_owned());
            listed = rows
                .into_iter()
                .map(|(key, row_hash)| Ok(ListedRow { key: key.ok_or_else(without_key)?, row_hash }))
                .collect::<Result<_, _>>()?;
        }
        self.in_time(snapshot.rollback().map_err(self.fail())).await?;
        Ok(spool)
    }

    /// A transaction with the cursor `listing`.
    async fn snapshot<'a>(
        &self,
        borrowed: &'a mut BorrowedConnection,
        statements: &Statements,
    ) -> CatalogueResult<Transaction<'a, Postgres>> {
        let begin = "begin isolation level repeatable read read only";
        let mut snapshot = borrowed.begin_with(begin).await.map_err(self.fail())?;
        let declare = format!("declare listing no scroll cursor for {}", statements.list);
        sqlx::query(AssertSqlSafe(declare)).execute(&mut *snapshot).await.map_err(self.fail())?;
        Ok(snapshot)
    }

    /// Streams rows that were read to their end first, so that nothing is open in the shop's database meanwhile.
    pub(super) fn spooled<'a>(
        &'a self,
        spooling: impl Future<Output = CatalogueResult<Spool>> + Send + 'a,
    ) -> impl Stream<Item = CatalogueResult<ListedRow>> + Send + 'a {
        async_stream::try_stream! {
            let mut reader = spooling.await?.rewind().await.map_err(|error| self.not_kept(&error))?;
            loop {
                let page;
                (page, reader) = reader.page().await.map_err(|error| self.not_kept(&error))?;
                if page.is_empty() {
                    break;
                }
                for listed in page {
                    yield listed;
                }
            }
        }
    }

    /// The error of a full or broken local disk.
    pub(super) fn not_kept(&self, error: &io::Error) -> CatalogueError {
        let reason = format!("its listing cannot be kept: {error}");
        CatalogueError::Unreachable { source_name: self.settings.name.clone(), reason }
    }
}
