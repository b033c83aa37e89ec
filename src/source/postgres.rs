//! A shop's PostgreSQL: a table, a view or a query with one row for each document. SELECT is enough.
//!
//! A listing is key and row hash, ordered by the bytes of the key, read from one repeatable-read
//! snapshot through a cursor, and kept until the snapshot is closed. The hash covers the columns that are read and the source's settings, so
//! an edited template is a change of every row. Session settings that decide how values are written
//! are fixed, so that a hash depends on nothing else.
//!
//! `postgres/polling.rs` finds changes sooner than a listing, `postgres/triggers.rs` installs the triggers.

use std::{collections::BTreeSet, time::Duration};

use futures::{FutureExt, StreamExt, TryFutureExt, future::BoxFuture, stream::BoxStream};
use serde_json::value::RawValue;
use sqlx::{
    AssertSqlSafe, Column, Connection, Executor, PgPool, Postgres, SqlSafeStr, Transaction,
    postgres::{PgColumn, PgConnectOptions, PgPoolOptions},
    types::Json,
};

use tokio::sync::OnceCell;

use crate::{
    address::DatabaseUrl,
    catalogue::{
        Catalogue, CatalogueError, CatalogueResult, ChangeHints, Document, Documents, ListedRow, RenderFault,
        render::{Rendering, Row, Templates},
    },
    pg_connection::{self, BorrowedConnection},
};

mod listing;
mod polling;
pub mod triggers;

use listing::Spool;

/// Where a source is and how one of its documents is rendered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub name: String,
    /// The shop's database.
    pub url: DatabaseUrl,
    /// What is read, as something that can stand after `from`.
    pub relation: Relation,
    pub rendering: Rendering,
    /// The column that says when a row was changed.
    pub updated_at: Option<String>,
    /// Whether answers read metadata from the shop, so that a stored copy may be an hour old.
    pub live_metadata: bool,
    /// Tables whose changes concern documents, for the triggers.
    pub related: Vec<triggers::RelatedTable>,
    /// Rows fetched at once.
    pub page_rows: u32,
    pub max_connections: u32,
    /// The longest that one statement may take; zero is no limit.
    pub statement_timeout: Duration,
}

/// What is read of the shop's database.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table or a view, and which of its rows.
    Table {
        /// `table`, or `schema.table`.
        name: String,
        /// A condition in SQL.
        condition: Option<String>,
    },
    /// A query.
    Query(String),
}

/// A source. Its database is looked at when it is first needed, so that a shop that is down does not
/// keep answers from being given.
pub struct PostgresSource {
    settings: Settings,
    templates: Templates,
    pool: PgPool,
    /// The longest that the shop is waited for: its server ends a statement sooner, unless the network is cut.
    patience: Option<Duration>,
    seed: i64,
    statements: OnceCell<Statements>,
}

/// The key, hash, template columns, SKU and metadata of a row.
type ReadRow = (String, i64, Json<Box<RawValue>>, Option<String>, Json<Box<RawValue>>);

/// The statements of a source whose columns are known to be there.
struct Statements {
    list: String,
    read: String,
    find: String,
    /// Fails when `$1` is not a key.
    cast: String,
    key_type: String,
    /// What is listed of a row.
    row: String,
}

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl PostgresSource {
    /// Parses the settings; nothing is connected yet.
    ///
    /// `salt` identifies the settings outside of the source that decide what is indexed.
    pub fn new(settings: Settings, salt: &str) -> CatalogueResult<Self> {
        let misfit = |reason: String| CatalogueError::Misfit { source_name: settings.name.clone(), reason };
        let templates = settings.rendering.templates().map_err(|error| misfit(error.to_string()))?;
        let options = connect_options(&settings).map_err(|error| misfit(error.to_string()))?;
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, _| pg_connection::is_alive(connection).boxed())
            .after_release(|connection, _| pg_connection::is_alive(connection).boxed())
            .connect_lazy_with(options);
        let seed = settings.rendering.seed(salt);
        let limit = settings.statement_timeout;
        let patience = (!limit.is_zero()).then(|| 2 * limit + CONNECT_TIMEOUT);
        Ok(Self { settings, templates, pool, patience, seed, statements: OnceCell::new() })
    }

    async fn in_time<T>(&self, work: impl Future<Output = CatalogueResult<T>>) -> CatalogueResult<T> {
        pg_connection::in_time(self.patience, |late| failure(&self.settings.name, &late), work).await
    }

    async fn statements(&self) -> CatalogueResult<&Statements> {
        let look = async {
            let relation = from_clause(&self.settings.relation);
            let (columns, key_type) = self.columns(&relation).await.map_err(self.fail())?;
            let read = check_columns(&self.settings, &self.templates, &columns);
            let read = read.map_err(|reason| self.misfit(reason))?;
            let row = listed_columns(&self.settings, &read, self.seed);
            let key = quote(&self.settings.rendering.key);
            Ok(Statements {
                list: format!("select {row} from {relation} order by row_.{key}::text collate \"C\""),
                read: read_statement(&self.settings, &relation, &row, &read, &key_type),
                find: format!(
                    "select {row} from {relation} where row_.{key} = any($1::text[]::{key_type}[])"
                ),
                cast: format!("select $1::text::{key_type}"),
                key_type,
                row,
            })
        };
        self.statements.get_or_try_init(|| look).await
    }

    /// Asks the server for the relation's columns and the key's type, without reading a row.
    async fn columns(&self, relation: &str) -> Result<(Vec<String>, String), sqlx::Error> {
        let columns = self.describe(format!("select * from {relation} limit 0")).await?;
        let key = columns.iter().find(|column| column.name() == self.settings.rendering.key);
        let oid = key.and_then(|column| column.type_info().oid());
        // With a length (-1 is any): without one, `char` is of one character.
        let key_type: Option<String> =
            sqlx::query_scalar("select format_type($1, -1)").bind(oid).fetch_one(&self.pool).await?;
        let names = columns.iter().map(|column| column.name().to_owned()).collect();
        Ok((names, key_type.unwrap_or_else(|| "text".to_owned())))
    }

    /// The columns of a statement as they are now: what the connection prepared before may be out of date.
    async fn describe(&self, statement: String) -> Result<Vec<PgColumn>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        connection.clear_cached_statements().await?;
        Ok(connection.describe(AssertSqlSafe(statement).into_sql_str()).await?.columns().to_vec())
    }

    /// Gives the entries once nothing is open in the shop's database any more.
    fn spooled<'a>(
        &'a self,
        spooling: impl Future<Output = CatalogueResult<Spool>> + Send + 'a,
    ) -> impl futures::Stream<Item = CatalogueResult<ListedRow>> + Send + 'a {
        async_stream::try_stream! {
            let mut spooled = spooling.await?.rewind().await.map_err(|error| self.not_kept(&error))?;
            loop {
                let (page, rest) = spooled.page().await.map_err(|error| self.not_kept(&error))?;
                if page.is_empty() {
                    break;
                }
                for listed in page {
                    yield listed;
                }
                spooled = rest;
            }
        }
    }

    /// Reads the listing to its end and closes its snapshot.
    async fn listing(&self) -> CatalogueResult<Spool> {
        // Before a connection is taken: this may need one too.
        let statements = self.in_time(self.statements()).await?;
        let mut lent = self.in_time(self.lent()).await?;
        let mut snapshot = self.in_time(self.snapshot(&mut lent, statements)).await?;
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

    fn fail(&self) -> impl Fn(sqlx::Error) -> CatalogueError {
        move |error| failure(&self.settings.name, &error)
    }

    fn misfit(&self, reason: String) -> CatalogueError {
        CatalogueError::Misfit { source_name: self.settings.name.clone(), reason }
    }

    fn not_kept(&self, error: &std::io::Error) -> CatalogueError {
        unreachable(&self.settings.name, format!("its listing cannot be kept: {error}"))
    }

    async fn lent(&self) -> CatalogueResult<BorrowedConnection> {
        BorrowedConnection::acquire(&self.pool).await.map_err(self.fail())
    }

    /// A transaction with the cursor `listing`.
    async fn snapshot<'a>(
        &self,
        lent: &'a mut BorrowedConnection,
        statements: &Statements,
    ) -> CatalogueResult<Transaction<'a, Postgres>> {
        let begin = "begin isolation level repeatable read read only";
        let mut snapshot = lent.begin_with(begin).await.map_err(self.fail())?;
        let declare = format!("declare listing no scroll cursor for {}", statements.list);
        sqlx::query(AssertSqlSafe(declare)).execute(&mut *snapshot).await.map_err(self.fail())?;
        Ok(snapshot)
    }

    async fn rows(&self, keys: &[String]) -> CatalogueResult<Documents> {
        let statements = self.statements().await?;
        let read =
            |keys| sqlx::query_as(AssertSqlSafe(statements.read.as_str())).bind(keys).fetch_all(&self.pool);
        let rows = match read(keys.to_vec()).await {
            Err(error) if is_bad_value(&error) => read(self.possible(keys, statements).await?).await,
            rows => rows,
        };
        Ok(self.documents(rows.map_err(self.fail())?))
    }

    /// The keys that a row can have: others may call for a refresh of what they like.
    async fn possible(&self, keys: &[String], statements: &Statements) -> CatalogueResult<Vec<String>> {
        let relation = from_clause(&self.settings.relation);
        let (_, key_type) = self.columns(&relation).await.map_err(self.fail())?;
        if key_type != statements.key_type {
            // What has such a key is there, and must not be taken for removed.
            let (name, was) = (&self.settings.rendering.key, &statements.key_type);
            let reason = format!("its key `{name}` was {was} and is {key_type} now: reload the settings");
            return Err(self.misfit(reason));
        }
        let mut possible = Vec::new();
        for key in keys {
            let cast =
                sqlx::query(AssertSqlSafe(statements.cast.as_str())).bind(key).execute(&self.pool).await;
            match cast {
                Ok(_) => possible.push(key.clone()),
                Err(error) if is_bad_value(&error) => {}
                // It would be the same with the others.
                Err(error) => return Err(self.fail()(error)),
            }
        }
        Ok(possible)
    }

    fn documents(&self, rows: Vec<ReadRow>) -> Documents {
        let mut documents = Vec::with_capacity(rows.len());
        let mut seen = BTreeSet::new();
        for (key, row_hash, columns, sku, metadata) in rows {
            if !seen.insert(key.clone()) {
                let reason =
                    format!("source `{}` has more than one row with the key {key:?}", self.settings.name);
                documents.retain(|document: &Result<Document, RenderFault>| {
                    document.as_ref().map_or_else(|fault| &fault.key, |document| &document.key) != &key
                });
                documents.push(Err(RenderFault { key, reason }));
                continue;
            }
            let row = Row { key, columns: columns.0.get(), sku, metadata: metadata.0, row_hash };
            documents.push(self.templates.render(row));
        }
        documents
    }
}

impl Catalogue for PostgresSource {
    fn list(&self) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        self.spooled(self.listing()).boxed()
    }

    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Documents>> {
        self.in_time(self.rows(keys)).boxed()
    }

    /// Connects, once, and checks that each column that the settings name is there, and that the source can be polled.
    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>> {
        self.in_time(self.polling().map_ok(|_| ())).boxed()
    }

    fn change_hints(&self) -> Option<&dyn ChangeHints> {
        Some(self)
    }
}

fn connect_options(settings: &Settings) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = settings.url.expose().parse()?;
    Ok(options.application_name("shopkeeper").options([
        ("statement_timeout", format!("{}ms", settings.statement_timeout.as_millis())),
        ("idle_in_transaction_session_timeout", "10min".to_owned()),
        // Of a host that was cut off nothing stays open for hours.
        ("tcp_keepalives_idle", "60".to_owned()),
        // How values are written must not depend on the role or the database.
        ("DateStyle", "ISO,YMD".to_owned()),
        ("IntervalStyle", "iso_8601".to_owned()),
        ("TimeZone", "UTC".to_owned()),
        ("extra_float_digits", "1".to_owned()),
        ("bytea_output", "hex".to_owned()),
    ]))
}

/// The columns that are read, or which setting names one that is not there.
fn check_columns(
    settings: &Settings,
    templates: &Templates,
    columns: &[String],
) -> Result<BTreeSet<String>, String> {
    let in_templates = templates.columns();
    let named = [("key", Some(&settings.rendering.key)), ("sku", settings.rendering.sku.as_ref())]
        .into_iter()
        .filter_map(|(setting, column)| Some((setting, column?)))
        .chain(settings.rendering.metadata.iter().map(|column| ("metadata", column)))
        .chain(in_templates.iter().map(|column| ("a template", column)));
    let mut faults = Vec::new();
    for (setting, column) in named {
        if !columns.contains(column) {
            faults.push(format!("{setting} names the column `{column}`"));
        }
    }
    if faults.is_empty() {
        return Ok(in_templates);
    }
    Err(format!("{}, but the source's columns are: {}", faults.join("; "), columns.join(", ")))
}

/// The key as text and the row's hash.
fn listed_columns(settings: &Settings, columns: &BTreeSet<String>, seed: i64) -> String {
    let key = quote(&settings.rendering.key);
    let read: BTreeSet<_> =
        columns.iter().chain(&settings.rendering.metadata).chain(&settings.rendering.sku).collect();
    let read: Vec<_> = read.into_iter().map(|column| format!("row_.{}", quote(column))).collect();
    format!("row_.{key}::text, hashtextextended(row({})::text, {seed})", read.join(", "))
}

/// Compares keys in their own type, so that the shop's index on them is used.
fn read_statement(
    settings: &Settings,
    relation: &str,
    row: &str,
    columns: &BTreeSet<String>,
    key_type: &str,
) -> String {
    let key = quote(&settings.rendering.key);
    let sku = settings.rendering.sku.as_ref().map_or("null".to_owned(), |sku| format!("row_.{}", quote(sku)));
    format!(
        "select {row}, {}, {sku}::text, {} from {relation} where row_.{key} = any($1::text[]::{key_type}[])",
        object(columns.iter()),
        object(settings.rendering.metadata.iter()),
    )
}

/// A JSON object of columns, built in the server so that numbers keep their digits. Built in slices,
/// because a function takes at most 100 arguments.
fn object<'a>(columns: impl Iterator<Item = &'a String>) -> String {
    let columns: Vec<_> = columns.collect();
    let slices = columns.chunks(50).map(|slice| {
        let pairs = slice.iter().map(|column| format!("{}, row_.{}", literal(column), quote(column)));
        format!("jsonb_build_object({})", pairs.collect::<Vec<_>>().join(", "))
    });
    let objects: Vec<_> = slices.collect();
    if objects.is_empty() { "'{}'::jsonb".to_owned() } else { objects.join(" || ") }
}

fn from_clause(relation: &Relation) -> String {
    match relation {
        Relation::Table { name, condition } => {
            format!("(select * from {}{}) as row_", table(name), filter(condition.as_deref()))
        }
        Relation::Query(query) => format!("({query}\n) as row_"),
    }
}

/// A table's name, quoted.
fn table(name: &str) -> String {
    name.split('.').map(|part| quote(part.trim_matches('"'))).collect::<Vec<_>>().join(".")
}

fn filter(condition: Option<&str>) -> String {
    condition.map(|condition| format!(" where ({condition}\n)")).unwrap_or_default()
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn unreachable(source: &str, reason: String) -> CatalogueError {
    CatalogueError::Unreachable { source_name: source.to_owned(), reason }
}

/// Whether a value is invalid for its type.
fn is_bad_value(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().is_some_and(|code| code.starts_with("22")))
}

/// An error of the shop's database either passes by itself or needs a change of the settings or the shop.
fn failure(source: &str, error: &sqlx::Error) -> CatalogueError {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if pg_connection::passes(&code) || code.starts_with("28") {
                return unreachable(source, database.message().to_owned());
            }
            CatalogueError::Misfit { source_name: source.to_owned(), reason: database.message().to_owned() }
        }
        other => unreachable(source, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_and_columns_are_quoted() {
        let table = Relation::Table { name: "my shop.It\"ems".into(), condition: Some("live -- yes".into()) };
        assert_eq!(
            from_clause(&table),
            "(select * from \"my shop\".\"It\"\"ems\" where (live -- yes\n)) as row_"
        );
        assert_eq!(literal("it's"), "'it''s'");
    }

    #[test]
    fn many_columns_are_built_in_slices() {
        let columns: Vec<_> = (0..120).map(|n| format!("c{n}")).collect();
        assert_eq!(object(columns.iter()).matches("jsonb_build_object").count(), 3);
        assert_eq!(object([].iter()), "'{}'::jsonb");
    }
}
