//! Finds changes sooner than a listing does: what was committed since a mark, and what triggers noted.
//!
//! A mark of a table is the oldest transaction that was not over: whatever it and later ones write is
//! looked at again, so that a late commit is not missed, whatever `updated_at` says. It scans the table,
//! and belongs to one server and one timeline. A view or a query has no such column; there the shop's own
//! `updated_at` is asked, from some time before the mark on. What neither sees (deleted rows, bulk SQL that
//! leaves `updated_at` alone) the next listing sees.

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{AssertSqlSafe, PgPool};

use super::{PostgresSource, Relation, Settings, failure, filter, quote, table};
use crate::catalogue::{CatalogueError, Listed, Mark, MarkAt, Nets, Noted};

/// How long a shop's transaction may have been open before its rows are missed by their `updated_at`.
const OVERLAP: &str = "10 minutes";

/// How a source is polled.
pub(super) struct Poll {
    /// The source's server, its history, and a mark of now.
    mark: String,
    /// What changed since `$1`.
    changed: String,
    is_by_transaction: bool,
}

impl Poll {
    /// Nothing for a query or a view without `updated_at`.
    pub(super) async fn of(
        pool: &PgPool,
        settings: &Settings,
        row: &str,
    ) -> Result<Option<Self>, sqlx::Error> {
        let server = "(select system_identifier::text from pg_control_system()) || '/'
            || (select timeline_id::text from pg_control_checkpoint()) || '/' || current_database()";
        if let Some(updated_at) = &settings.updated_at {
            let relation = super::from_clause(&settings.relation);
            let column = quote(updated_at);
            return Ok(Some(Self {
                mark: format!("select 'time', (now() - interval '{OVERLAP}')::text"),
                changed: format!("select {row} from {relation} where row_.{column} >= $1::timestamptz"),
                is_by_transaction: false,
            }));
        }
        let Relation::Table { name, condition } = &settings.relation else { return Ok(None) };
        let is_table: Option<bool> =
            sqlx::query_scalar("select relkind in ('r', 'p', 'm') from pg_class where oid = to_regclass($1)")
                .bind(table(name))
                .fetch_optional(pool)
                .await?
                .flatten();
        if is_table != Some(true) {
            return Ok(None);
        }
        Ok(Some(Self {
            mark: format!("select {server}, pg_snapshot_xmin(pg_current_snapshot())::text"),
            // A row's transaction has 32 bits; newer than the mark is what is less than half the circle ahead.
            changed: format!(
                "select {row} from (select xmin::text::bigint as \"shopkeeper xmin\", * from {}{}) as row_
                 where ((row_.\"shopkeeper xmin\" - $1::bigint) & 4294967295) < 2147483648",
                table(name),
                filter(condition.as_deref()),
            ),
            is_by_transaction: true,
        }))
    }
}

impl PostgresSource {
    fn fail(&self, error: &sqlx::Error) -> CatalogueError {
        failure(&self.settings.name, error)
    }

    async fn mark_now(&self) -> Result<Option<Mark>, CatalogueError> {
        let Some(poll) = &self.statements().await?.poll else { return Ok(None) };
        let row = sqlx::query_as(AssertSqlSafe(poll.mark.as_str())).fetch_one(&self.pool).await;
        let (server, at): (String, String) = row.map_err(|error| self.fail(&error))?;
        let at = match at.parse() {
            Ok(transaction) if poll.is_by_transaction => MarkAt::Transaction(transaction),
            _ => MarkAt::Time(at),
        };
        Ok(Some(Mark { server, at }))
    }

    async fn found(&self, keys: &[String]) -> Result<Vec<Listed>, CatalogueError> {
        let statements = self.statements().await?;
        let find =
            |keys| sqlx::query_as(AssertSqlSafe(statements.find.as_str())).bind(keys).fetch_all(&self.pool);
        let rows = match find(keys.to_vec()).await {
            Err(error) if super::is_bad_value(&error) => find(self.possible(keys, statements).await?).await,
            rows => rows,
        };
        Ok(rows.map_err(|error| self.fail(&error))?.into_iter().filter_map(listed).collect())
    }

    fn stream_changed(
        &self,
        since: Mark,
    ) -> impl futures::Stream<Item = Result<Listed, CatalogueError>> + '_ {
        async_stream::try_stream! {
            let Some(poll) = &self.statements().await?.poll else { return };
            let query = sqlx::query_as(AssertSqlSafe(poll.changed.as_str()));
            let query = match since.at {
                // The low 32 bits are what a row has.
                MarkAt::Transaction(transaction) => query.bind(i64::try_from(transaction & 0xFFFF_FFFF).unwrap_or_default()),
                MarkAt::Time(time) => query.bind(time),
            };
            let mut rows = query.fetch(&self.pool);
            while let Some(row) = self.in_time(rows.try_next().map_err(|error| self.fail(&error))).await? {
                if let Some(listed) = listed(row) {
                    yield listed;
                }
            }
        }
    }

    async fn noted(&self, limit: u32) -> Result<Vec<Noted>, CatalogueError> {
        // Asked of the catalogue: a statement on a table that is not there would fill the shop's log.
        let is_there = "select exists (
             select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
             where nspname = 'shopkeeper_change' and relname = 'note' and has_schema_privilege(pg_namespace.oid, 'usage')
                 and has_table_privilege(pg_class.oid, 'select') and has_table_privilege(pg_class.oid, 'delete')
         )";
        let is_there = sqlx::query_scalar(is_there).fetch_one(&self.pool).await;
        if !is_there.map_err(|error| self.fail(&error))? {
            return Ok(Vec::new());
        }
        let notes = "select id, key from shopkeeper_change.note where source = $1 order by id limit $2";
        let rows = sqlx::query_as(notes).bind(&self.settings.name).bind(i64::from(limit));
        let rows = rows.fetch_all(&self.pool).await.map_err(|error| self.fail(&error))?;
        Ok(rows.into_iter().map(|(id, key)| Noted { id, key }).collect())
    }
}

/// A row without a key is told by the next listing.
fn listed((key, row_hash): (Option<String>, i64)) -> Option<Listed> {
    Some(Listed { key: key?, row_hash })
}

impl Nets for PostgresSource {
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<Vec<Listed>, CatalogueError>> {
        self.in_time(self.found(keys)).boxed()
    }

    fn mark(&self) -> BoxFuture<'_, Result<Option<Mark>, CatalogueError>> {
        self.in_time(self.mark_now()).boxed()
    }

    fn changed(&self, since: &Mark) -> BoxStream<'_, Result<Listed, CatalogueError>> {
        self.stream_changed(since.clone()).boxed()
    }

    fn noted(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Noted>, CatalogueError>> {
        self.in_time(Self::noted(self, limit)).boxed()
    }

    fn forget<'a>(&'a self, ids: &'a [i64]) -> BoxFuture<'a, Result<(), CatalogueError>> {
        let forget = sqlx::query("delete from shopkeeper_change.note where id = any($1)").bind(ids);
        self.in_time(forget.execute(&self.pool).map_ok(drop).map_err(|error| self.fail(&error))).boxed()
    }
}
