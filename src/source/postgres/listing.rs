//! Lists a source: key and row hash, ordered by the bytes of the key, from one snapshot.
//!
//! The rows are fetched through a cursor and kept until the snapshot is closed: their reader may be slow, and an open
//! transaction holds up the shop's vacuum and migrations.

use std::{io, sync::Arc};

use futures::{Stream, TryFutureExt};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    catalogue::{CatalogueError, CatalogueResult, ListedRow},
    source::postgres::{PostgresSource, Statements, spool::Spool, yielding::ReadTransaction},
};

impl PostgresSource {
    /// Reads the listing to its end and closes its snapshot.
    pub(super) async fn listing(&self) -> CatalogueResult<Spool> {
        let list = |statements: Arc<Statements>| async move {
            self.until_read(|| self.try_listing(&statements)).await
        };
        self.with_statements(list).await
    }

    async fn try_listing(&self, statements: &Statements) -> CatalogueResult<Option<Spool>> {
        let mut borrowed = self.in_time(self.borrow()).await?;
        let ReadTransaction { mut transaction, process } = self.in_time(self.begin(&mut borrowed)).await?;
        let reading = async move {
            self.in_time(self.declare(&mut transaction, statements)).await?;
            let spool = self.fetch(&mut transaction).await?;
            self.in_time(transaction.rollback().map_err(self.fail())).await?;
            Ok(spool)
        };
        self.giving_way(process, reading).await
    }

    /// Opens the cursor `listing`. Its tables are locked by the planning of a statement before it, so that its snapshot is
    /// not older than its locks.
    async fn declare(&self, connection: &mut PgConnection, statements: &Statements) -> CatalogueResult<()> {
        for prefix in ["explain", "declare listing no scroll cursor for"] {
            let statement = AssertSqlSafe(format!("{prefix} {}", statements.list));
            sqlx::raw_sql(statement).execute(&mut *connection).await.map_err(self.fail())?;
        }
        Ok(())
    }

    async fn fetch(&self, connection: &mut PgConnection) -> CatalogueResult<Spool> {
        let fetch = format!("fetch forward {} from listing", self.settings.page_rows);
        let (mut spool, mut listed) = (Spool::new(), Vec::new());
        loop {
            let read = sqlx::query_as(AssertSqlSafe(fetch.as_str())).fetch_all(&mut *connection);
            // A page is written while the next one is read.
            let kept = spool.append(listed).map_err(|error| self.not_kept(&error));
            let rows: Vec<(Option<String>, i64)>;
            (rows, spool) = tokio::try_join!(self.in_time(read.map_err(self.fail())), kept)?;
            if rows.is_empty() {
                return Ok(spool);
            }
            let without_key = || self.misfit("a row has no key: the key column is null".to_owned());
            listed = rows
                .into_iter()
                .map(|(key, row_hash)| Ok(ListedRow { key: key.ok_or_else(without_key)?, row_hash }))
                .collect::<Result<_, _>>()?;
        }
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
