//! Finds changes sooner than a listing does: rows that changed since a mark, and what triggers noted.
//!
//! Neither sees all changes. The next listing finds the rest: deleted rows, and rows that bulk SQL wrote without
//! `updated_at`.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{AssertSqlSafe, Column, TypeInfo};

use crate::{
    catalogue::{CatalogueResult, ChangeHints, ListedRow, Mark, MarkAt, Note, key_fault, render::RowsAre},
    source::{
        Relation,
        postgres::{
            PostgresSource, Statements,
            poll::Poll,
            sql::{quote, table},
            yielding::ReadTransaction,
        },
        spool::{Spool, not_kept, spooled},
    },
};

impl PostgresSource {
    /// The statements for the source as it is now; `None` for a query or a view without `updated_at`.
    pub(super) async fn polling(&self, statements: &Statements) -> CatalogueResult<Option<Poll>> {
        let (row, relation) = (&statements.polled, &self.settings.relation);
        if let Some(updated_at) = &self.settings.updated_at {
            let column_type = self.type_of(updated_at).await?;
            let poll = Poll::by_column(relation, updated_at, &column_type, row);
            let misfit = || {
                self.misfit(format!(
                    "it cannot be polled by updated_at: `{updated_at}` is of the type {}, not a timestamp, a date, or a \
                     number of seconds or milliseconds since 1970",
                    column_type.to_lowercase()
                ))
            };
            return poll.ok_or_else(misfit).map(Some);
        }
        let Relation::Table { name, condition } = relation else { return Ok(None) };
        let is_table: Option<bool> =
            sqlx::query_scalar("select relkind in ('r', 'p', 'm') from pg_class where oid = to_regclass($1)")
                .bind(table(name))
                .fetch_optional(&self.pool)
                .await
                .map_err(self.fail())?
                .flatten();
        let poll = || Poll::by_transaction(name, condition.as_deref(), row);
        Ok(is_table.unwrap_or_default().then(poll))
    }

    /// The name of a column's type; for a domain, of its base type.
    async fn type_of(&self, column: &str) -> CatalogueResult<String> {
        let columns = self.describe(&format!("row_.{}", quote(column))).await.map_err(self.fail())?;
        Ok(columns.first().map(|column| column.type_info().name().to_owned()).unwrap_or_default())
    }

    async fn changes(&self, since: Mark) -> CatalogueResult<Spool> {
        let since = &since;
        let read = |statements: Arc<Statements>| async move {
            let Some(poll) = self.in_time(self.polling(&statements)).await? else { return Ok(Spool::new()) };
            self.until_read(|| self.try_changes(&poll, since)).await
        };
        self.with_statements(read).await
    }

    async fn try_changes(&self, poll: &Poll, since: &Mark) -> CatalogueResult<Option<Spool>> {
        let query = sqlx::query_as(AssertSqlSafe(poll.changed.as_str()));
        let query = match &since.at {
            // A row stores the low 32 bits.
            MarkAt::Transaction(transaction) => {
                query.bind(i64::try_from(transaction & 0xFFFF_FFFF).unwrap_or_default())
            }
            MarkAt::Time(time) => query.bind(time),
        };
        let page = usize::try_from(self.settings.page_rows).unwrap_or(usize::MAX);
        let mut borrowed = self.in_time(self.borrow()).await?;
        let ReadTransaction { mut transaction, process } = self.in_time(self.begin(&mut borrowed)).await?;
        let reading = async {
            let mut spool = Spool::new();
            let mut pages = query.fetch(&mut *transaction).map_err(self.fail()).try_chunks(page);
            while let Some(page) = self.in_time(pages.try_next().map_err(|error| error.1)).await? {
                let page = page.into_iter().filter_map(listed).collect();
                spool = spool.append(page).await.map_err(|error| not_kept(&self.settings.name, &error))?;
            }
            Ok(spool)
        };
        let spool = self.giving_way(process, reading).await?;
        if spool.is_some() {
            self.in_time(transaction.rollback().map_err(self.fail())).await?;
        }
        Ok(spool)
    }
}

/// Leaves out rows without a usable key: the next listing sets them aside.
fn listed((key, row_hash): (Option<String>, i64)) -> Option<ListedRow> {
    let key = key.filter(|key| key_fault(key).is_none())?;
    Some(ListedRow { key, row_hash })
}

/// Keys looked up at once.
const BATCH: usize = 1000;

impl ChangeHints for PostgresSource {
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Vec<ListedRow>>> {
        let find = async move {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let read = |statements: Arc<Statements>| async move {
                self.by_keys(&statements, &statements.find, keys).await?.map_err(self.fail())
            };
            Ok(self.with_statements(read).await?.into_iter().filter_map(listed).collect())
        };
        self.in_time(find).boxed()
    }

    fn mark(&self) -> BoxFuture<'_, CatalogueResult<Option<Mark>>> {
        let mark = async move {
            let mark = |statements: Arc<Statements>| async move {
                let Some(poll) = self.polling(&statements).await? else { return Ok(None) };
                let row = sqlx::query_as(AssertSqlSafe(poll.mark)).fetch_one(&self.pool).await;
                let (server, at): (String, String) = row.map_err(self.fail())?;
                let at = match at.parse() {
                    Ok(transaction) if poll.is_by_transaction => MarkAt::Transaction(transaction),
                    _ => MarkAt::Time(at),
                };
                Ok(Some(Mark { server, at }))
            };
            self.with_statements(mark).await
        };
        self.in_time(mark).boxed()
    }

    fn changed(&self, since: &Mark) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        let changed = spooled(&self.settings.name, self.changes(since.clone()));
        if self.settings.rendering.rows == RowsAre::Single {
            return changed.boxed();
        }
        // A poll finds rows of groups.
        let grouped = async_stream::try_stream! {
            let pages = changed.try_chunks(BATCH);
            futures::pin_mut!(pages);
            while let Some(page) = pages.try_next().await.map_err(|error| error.1)? {
                let mut keys: Vec<_> = page.into_iter().map(|row| row.key).collect();
                keys.sort_unstable();
                keys.dedup();
                for listed in self.find(&keys).await? {
                    yield listed;
                }
            }
        };
        grouped.boxed()
    }

    fn noted(&self, limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<Note>>> {
        let read = async move {
            // Asks the catalogue first: a statement on a missing table would be logged in the shop at each poll.
            let is_there = "select exists (
                 select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
                 where nspname = 'shopkeeper_change' and relname = 'note' and has_schema_privilege(pg_namespace.oid, 'usage')
                     and has_table_privilege(pg_class.oid, 'select') and has_table_privilege(pg_class.oid, 'delete')
             )";
            let is_there = sqlx::query_scalar(is_there).fetch_one(&self.pool).await;
            if !is_there.map_err(self.fail())? {
                return Ok(Vec::new());
            }
            let notes = "select id, key from shopkeeper_change.note where source = $1 order by id limit $2";
            let rows = sqlx::query_as(notes).bind(&self.settings.name).bind(i64::from(limit));
            let rows = rows.fetch_all(&self.pool).await.map_err(self.fail())?;
            Ok(rows.into_iter().map(|(id, key)| Note { id, key }).collect())
        };
        self.in_time(read).boxed()
    }

    fn forget<'a>(&'a self, ids: &'a [i64]) -> BoxFuture<'a, CatalogueResult<()>> {
        let forget = sqlx::query("delete from shopkeeper_change.note where id = any($1)").bind(ids);
        self.in_time(forget.execute(&self.pool).map_ok(drop).map_err(self.fail())).boxed()
    }
}
