//! Lists a source: key and row hash, ordered by the bytes of the key, from one snapshot.
//!
//! The rows are fetched through a cursor and kept until the snapshot is closed: their reader may be slow, and an open
//! transaction holds up the shop's vacuum and migrations.

use std::sync::Arc;

use futures::{StreamExt, TryFutureExt};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    catalogue::{CatalogueResult, Listing, SetAside},
    source::{
        listed::Page,
        postgres::{PostgresSource, Statements, yielding::ReadTransaction},
        spool::{Spool, not_kept, spooled},
    },
};

/// A listing that was read.
type ReadListing = (Spool, SetAside);

impl PostgresSource {
    /// Reads the listing to its end and closes its snapshot.
    pub(super) async fn listing(&self) -> CatalogueResult<Listing<'_>> {
        let list = |statements: Arc<Statements>| async move {
            self.until_read(|| self.try_listing(&statements)).await
        };
        let (spool, set_aside) = self.with_statements(list).await?;
        Ok(Listing {
            total: spool.entries(),
            rows: spooled(&self.settings.name, async { Ok(spool) }).boxed(),
            set_aside,
        })
    }

    async fn try_listing(&self, statements: &Statements) -> CatalogueResult<Option<ReadListing>> {
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

    async fn fetch(&self, connection: &mut PgConnection) -> CatalogueResult<ReadListing> {
        let fetch = format!("fetch forward {} from listing", self.settings.page_rows);
        let (mut spool, mut page) = (Spool::new(), Page::new(false));
        loop {
            let read = sqlx::query_as(AssertSqlSafe(fetch.as_str())).fetch_all(&mut *connection);
            // A page is written while the next one is read.
            let kept = spool
                .append(std::mem::take(&mut page.listed))
                .map_err(|error| not_kept(&self.settings.name, &error));
            let rows: Vec<(Option<String>, i64)>;
            (rows, spool) = tokio::try_join!(self.in_time(read.map_err(self.fail())), kept)?;
            if rows.is_empty() {
                let spool = spool.append(page.last.into_iter().collect()).await;
                return Ok((spool.map_err(|error| not_kept(&self.settings.name, &error))?, page.set_aside));
            }
            for (key, row_hash) in rows {
                page.add(key, row_hash);
            }
        }
    }
}
