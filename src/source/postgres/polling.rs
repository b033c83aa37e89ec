//! Finds changes sooner than a listing does: what was committed since a mark, and what triggers noted.
//!
//! A mark of a table is the oldest transaction that was not over: whatever it and later ones write is
//! looked at again, so that a late commit is not missed, whatever `updated_at` says. It scans the table,
//! and belongs to one server and one timeline. A view or a query has no such column; there the shop's own
//! `updated_at` is asked, from some time before the mark on. What neither sees (deleted rows, bulk SQL that
//! leaves `updated_at` alone) the next listing sees.
//!
//! `updated_at` is compared in its own terms. Only a `timestamptz` can be compared with the server's clock; what is
//! written without a time zone, or as a number, by a clock that nobody here knows, is compared with the greatest value
//! that the column had at the last poll.

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{AssertSqlSafe, Column, TypeInfo};

use crate::{
    catalogue::{CatalogueResult, ChangeHints, ListedRow, Mark, MarkAt, Note},
    source::postgres::{
        PostgresSource, Relation, filter, from_clause, is_bad_value, listing::Spool, literal, quote, table,
    },
};

/// How long a shop's transaction may have been open before its rows are missed by their `updated_at`.
const OVERLAP: &str = "10 minutes";
/// The same where the clock is a local one, which in autumn repeats an hour.
const LOCAL_OVERLAP: &str = "70 minutes";
/// The latest that any time zone's clock shows, as a local time: a later value cannot be the time of a change; as a mark
/// it would hide every change until then.
const LATEST: &str = "(now() at time zone 'UTC' + interval '14 hours')";

/// How a source is polled.
pub(super) struct Poll {
    /// The source's server, its history, and a mark of now.
    mark: String,
    /// What changed since `$1`.
    changed: String,
    is_by_transaction: bool,
}

impl Poll {
    /// By a table's transactions, from which a row is seen whatever its columns say.
    fn by_transaction(name: &str, condition: Option<&str>, row: &str) -> Self {
        let server = "(select system_identifier::text from pg_control_system()) || '/'
            || (select timeline_id::text from pg_control_checkpoint()) || '/' || current_database()";
        Self {
            mark: format!("select {server}, pg_snapshot_xmin(pg_current_snapshot())::text"),
            // A row's transaction has 32 bits; newer than the mark is what is less than half the circle ahead.
            changed: format!(
                "select {row} from (select xmin::text::bigint as \"shopkeeper xmin\", * from {}{}) as row_
                 where ((row_.\"shopkeeper xmin\" - $1::bigint) & 4294967295) < 2147483648",
                table(name),
                filter(condition),
            ),
            is_by_transaction: true,
        }
    }

    /// By a column of this type, or `None` where nothing says what it means.
    ///
    /// A mark of another column or type, as the settings or the shop had it before, has another history: what changed
    /// since then is not known by it.
    fn by_column(relation: &Relation, column: &str, column_type: &str, row: &str) -> Option<Self> {
        let relation = from_clause(relation);
        let history = literal(&format!("{} {column}", column_type.to_lowercase()));
        let column = format!("row_.{}", quote(column));
        let greatest = |least: &str, most: &str| {
            format!("(select max({column}) from {relation} where {column} >= {least} and {column} <= {most})")
        };
        let (compared_as, mark) = match column_type {
            "TIMESTAMPTZ" => ("timestamptz", format!("'time', (now() - interval '{OVERLAP}')::text")),
            "TIMESTAMP" => {
                let last = greatest("'-infinity'", LATEST);
                let mark = format!("coalesce({last} - interval '{LOCAL_OVERLAP}', '-infinity')");
                ("timestamp", format!("{history}, {mark}::text"))
            }
            "DATE" => {
                let last = greatest("'-infinity'", &format!("{LATEST}::date"));
                ("date", format!("{history}, coalesce({last} - 1, '-infinity')::text"))
            }
            "INT2" | "INT4" | "INT8" | "NUMERIC" | "FLOAT4" | "FLOAT8" => {
                let compared_as = match column_type {
                    "NUMERIC" => "numeric",
                    "FLOAT4" | "FLOAT8" => "double precision",
                    _ => "bigint",
                };
                (compared_as, format!("{history}, {}::text", epoch_mark(compared_as, greatest)))
            }
            _ => return None,
        };
        Some(Self {
            mark: format!("select {mark}"),
            changed: format!("select {row} from {relation} where {column} >= $1::{compared_as}"),
            is_by_transaction: false,
        })
    }
}

/// A mark of a column of seconds or of milliseconds since 1970.
///
/// They are told apart by their size: 10^8 seconds are in 1973, 10^11 seconds in 5138 and 10^11 milliseconds in 1973. A
/// few rows of the other unit, or of none (0 for never), do not make the column one of it.
fn epoch_mark(compared_as: &str, greatest: impl Fn(&str, &str) -> String) -> String {
    let latest = format!("extract(epoch from {LATEST})::bigint");
    let seconds = greatest("0", &latest);
    let milliseconds = greatest("100000000000", &format!("1000 * {latest}"));
    let overlap = format!("extract(epoch from interval '{OVERLAP}')::integer");
    format!(
        "(select case
             when seconds >= 100000000 or milliseconds is null then coalesce(seconds, 0) - {overlap}
             else milliseconds - 1000 * {overlap}
         end from (select {seconds}::{compared_as} as seconds, {milliseconds}::{compared_as} as milliseconds) as seen)"
    )
}

impl PostgresSource {
    /// How the source is polled as it is now; `None` for a query or a view without `updated_at`.
    pub(super) async fn polling(&self) -> CatalogueResult<Option<Poll>> {
        let row = &self.statements().await?.row;
        let relation = &self.settings.relation;
        if let Some(updated_at) = &self.settings.updated_at {
            let column_type = self.type_of(updated_at).await.map_err(self.fail())?;
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

    /// The name of a column's type; of a domain, of what it is over.
    async fn type_of(&self, column: &str) -> Result<String, sqlx::Error> {
        let statement =
            format!("select row_.{} from {} limit 0", quote(column), from_clause(&self.settings.relation));
        let columns = self.describe(statement).await?;
        Ok(columns.first().map(|column| column.type_info().name().to_owned()).unwrap_or_default())
    }

    async fn changes(&self, since: Mark) -> CatalogueResult<Spool> {
        let mut spool = Spool::new();
        let Some(poll) = self.in_time(self.polling()).await? else { return Ok(spool) };
        let query = sqlx::query_as(AssertSqlSafe(poll.changed));
        let query = match since.at {
            // The low 32 bits are what a row has.
            MarkAt::Transaction(transaction) => {
                query.bind(i64::try_from(transaction & 0xFFFF_FFFF).unwrap_or_default())
            }
            MarkAt::Time(time) => query.bind(time),
        };
        let page = usize::try_from(self.settings.page_rows).unwrap_or(usize::MAX);
        let mut pages = query.fetch(&self.pool).map_err(self.fail()).try_chunks(page);
        while let Some(page) = self.in_time(pages.try_next().map_err(|error| error.1)).await? {
            let page = page.into_iter().filter_map(listed).collect();
            spool = spool.append(page).await.map_err(|error| self.not_kept(&error))?;
        }
        Ok(spool)
    }
}

/// A row without a key is told by the next listing.
fn listed((key, row_hash): (Option<String>, i64)) -> Option<ListedRow> {
    Some(ListedRow { key: key?, row_hash })
}

impl ChangeHints for PostgresSource {
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Vec<ListedRow>>> {
        let find = async move {
            let statements = self.statements().await?;
            let find = |keys| {
                sqlx::query_as(AssertSqlSafe(statements.find.as_str())).bind(keys).fetch_all(&self.pool)
            };
            let rows = match find(keys.to_vec()).await {
                Err(error) if is_bad_value(&error) => find(self.possible(keys, statements).await?).await,
                rows => rows,
            };
            Ok(rows.map_err(self.fail())?.into_iter().filter_map(listed).collect())
        };
        self.in_time(find).boxed()
    }

    fn mark(&self) -> BoxFuture<'_, CatalogueResult<Option<Mark>>> {
        let mark = async {
            let Some(poll) = self.polling().await? else { return Ok(None) };
            let row = sqlx::query_as(AssertSqlSafe(poll.mark)).fetch_one(&self.pool).await;
            let (server, at): (String, String) = row.map_err(self.fail())?;
            let at = match at.parse() {
                Ok(transaction) if poll.is_by_transaction => MarkAt::Transaction(transaction),
                _ => MarkAt::Time(at),
            };
            Ok(Some(Mark { server, at }))
        };
        self.in_time(mark).boxed()
    }

    fn changed(&self, since: &Mark) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        self.spooled(self.changes(since.clone())).boxed()
    }

    fn noted(&self, limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<Note>>> {
        let read = async move {
            // Asked of the catalogue: a statement on a table that is not there would fill the shop's log.
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
