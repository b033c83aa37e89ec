//! A shop's PostgreSQL: a table, a view or a query with one row for each document. SELECT is enough.
//!
//! A listing is key and row hash, ordered by the bytes of the key, read from one repeatable-read
//! snapshot through a cursor, and kept until the snapshot is closed. The hash covers the columns that are read and the source's settings, so
//! an edited template is a change of every row. Session settings that decide how values are written
//! are fixed, so that a hash depends on nothing else.
//!
//! `postgres/nets.rs` finds changes sooner than a listing, `postgres/trigger.rs` installs the triggers.

use std::{collections::BTreeSet, time::Duration};

use futures::{FutureExt, StreamExt, TryFutureExt, future::BoxFuture, stream::BoxStream};
use serde_json::value::RawValue;
use sqlx::{
    AssertSqlSafe, Column, Connection, Executor, PgPool, Postgres, Row as _, SqlSafeStr, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    types::Json,
};

use tokio::sync::OnceCell;

use crate::{
    catalogue::{
        Catalogue, CatalogueError, Document, Listed, Nets, RenderFault,
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
pub struct Settings {
    /// The source's name.
    pub name: String,
    /// The shop's database.
    pub url: String,
    /// What is read, as something that can stand after `from`.
    pub relation: Relation,
    /// What a document is made of.
    pub rendering: Rendering,
    /// The column that says when a row was changed.
    pub updated_at: Option<String>,
    /// Whether answers read metadata from the shop, so that a stored copy may be an hour old.
    pub live_metadata: bool,
    /// Tables whose changes concern documents, for the triggers.
    pub related: Vec<triggers::Related>,
    /// Rows fetched at once.
    pub page_rows: u32,
    /// Connections of this daemon.
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

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
impl PostgresSource {
    /// Parses the settings; nothing is connected yet.
    ///
    /// `salt` identifies the settings outside of the source that decide what is indexed.
    pub fn new(settings: Settings, salt: &str) -> Result<Self, CatalogueError> {
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

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, CatalogueError>>,
    ) -> Result<T, CatalogueError> {
        pg_connection::in_time(self.patience, |late| failure(&self.settings.name, &late), work).await
    }

    async fn statements(&self) -> Result<&Statements, CatalogueError> {
        let look = async {
            let relation = from_clause(&self.settings.relation);
            let fail = |error: sqlx::Error| failure(&self.settings.name, &error);
            let (columns, key_type) =
                columns(&self.pool, &relation, &self.settings.rendering.key).await.map_err(fail)?;
            let read = check_columns(&self.settings, &self.templates, &columns).map_err(|reason| {
                CatalogueError::Misfit { source_name: self.settings.name.clone(), reason }
            })?;
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

    fn stream(&self) -> impl futures::Stream<Item = Result<Listed, CatalogueError>> + '_ {
        self.spooled(self.listing())
    }

    /// Gives the entries once nothing is open in the shop's database any more.
    fn spooled<'a>(
        &'a self,
        spooling: impl Future<Output = Result<Spool, CatalogueError>> + Send + 'a,
    ) -> impl futures::Stream<Item = Result<Listed, CatalogueError>> + Send + 'a {
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
    async fn listing(&self) -> Result<Spool, CatalogueError> {
        let fail = |error: sqlx::Error| failure(&self.settings.name, &error);
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
            (rows, spool) = tokio::try_join!(self.in_time(read.map_err(fail)), kept)?;
            if rows.is_empty() {
                break;
            }
            let without_key = || CatalogueError::Misfit {
                source_name: self.settings.name.clone(),
                reason: "a row has no key: the key column is null".to_owned(),
            };
            listed = rows
                .into_iter()
                .map(|(key, row_hash)| Ok(Listed { key: key.ok_or_else(without_key)?, row_hash }))
                .collect::<Result<_, _>>()?;
        }
        self.in_time(snapshot.rollback().map_err(fail)).await?;
        Ok(spool)
    }

    fn not_kept(&self, error: &std::io::Error) -> CatalogueError {
        unreachable(&self.settings.name, format!("its listing cannot be kept: {error}"))
    }

    async fn lent(&self) -> Result<BorrowedConnection, CatalogueError> {
        BorrowedConnection::acquire(&self.pool).await.map_err(|error| failure(&self.settings.name, &error))
    }

    /// A transaction with the cursor `listing`.
    async fn snapshot<'a>(
        &self,
        lent: &'a mut BorrowedConnection,
        statements: &Statements,
    ) -> Result<Transaction<'a, Postgres>, CatalogueError> {
        let fail = |error: sqlx::Error| failure(&self.settings.name, &error);
        let begin = "begin isolation level repeatable read read only";
        let mut snapshot = lent.begin_with(begin).await.map_err(fail)?;
        let declare = format!("declare listing no scroll cursor for {}", statements.list);
        sqlx::query(AssertSqlSafe(declare)).execute(&mut *snapshot).await.map_err(fail)?;
        Ok(snapshot)
    }

    async fn rows(&self, keys: &[String]) -> Result<Vec<Result<Document, RenderFault>>, CatalogueError> {
        let statements = self.statements().await?;
        let fail = |error: sqlx::Error| failure(&self.settings.name, &error);
        let read =
            |keys| sqlx::query(AssertSqlSafe(statements.read.as_str())).bind(keys).fetch_all(&self.pool);
        let rows = match read(keys.to_vec()).await {
            Err(error) if is_bad_value(&error) => read(self.possible(keys, statements).await?).await,
            rows => rows,
        };
        self.documents(rows.map_err(fail)?).map_err(fail)
    }

    /// The keys that a row can have: others may call for a refresh of what they like.
    async fn possible(
        &self,
        keys: &[String],
        statements: &Statements,
    ) -> Result<Vec<String>, CatalogueError> {
        let relation = from_clause(&self.settings.relation);
        let (_, key_type) = columns(&self.pool, &relation, &self.settings.rendering.key)
            .await
            .map_err(|error| failure(&self.settings.name, &error))?;
        if key_type != statements.key_type {
            // What has such a key is there, and must not be taken for removed.
            let (name, was) = (&self.settings.rendering.key, &statements.key_type);
            let reason = format!("its key `{name}` was {was} and is {key_type} now: reload the settings");
            return Err(CatalogueError::Misfit { source_name: self.settings.name.clone(), reason });
        }
        let mut possible = Vec::new();
        for key in keys {
            let cast =
                sqlx::query(AssertSqlSafe(statements.cast.as_str())).bind(key).execute(&self.pool).await;
            match cast {
                Ok(_) => possible.push(key.clone()),
                Err(error) if is_bad_value(&error) => {}
                // It would be the same with the others.
                Err(error) => return Err(failure(&self.settings.name, &error)),
            }
        }
        Ok(possible)
    }

    fn documents(&self, rows: Vec<PgRow>) -> Result<Vec<Result<Document, RenderFault>>, sqlx::Error> {
        let mut documents = Vec::with_capacity(rows.len());
        let mut seen = BTreeSet::new();
        for row in rows {
            let key: String = row.try_get(0)?;
            let (row_hash, columns): (_, Json<Box<RawValue>>) = (row.try_get(1)?, row.try_get(2)?);
            let (sku, metadata): (_, Json<Box<RawValue>>) = (row.try_get(3)?, row.try_get(4)?);
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
        Ok(documents)
    }
}

impl Catalogue for PostgresSource {
    fn list(&self) -> BoxStream<'_, Result<Listed, CatalogueError>> {
        self.stream().boxed()
    }

    fn read<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Result<Document, RenderFault>>, CatalogueError>> {
        self.in_time(self.rows(keys)).boxed()
    }

    /// Connects, once, and checks that each column that the settings name is there, and that the source can be polled.
    fn check(&self) -> BoxFuture<'_, Result<(), CatalogueError>> {
        self.in_time(self.polling().map_ok(|_| ())).boxed()
    }

    fn nets(&self) -> Option<&dyn Nets> {
        Some(self)
    }
}

fn connect_options(settings: &Settings) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = settings.url.parse()?;
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

/// Asks the server for the relation's columns and the key's type, without reading a row.
async fn columns(pool: &PgPool, relation: &str, key: &str) -> Result<(Vec<String>, String), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    // What was said of the relation before may not be true any more.
    connection.clear_cached_statements().await?;
    let statement = AssertSqlSafe(format!("select * from {relation} limit 0")).into_sql_str();
    let relation = connection.describe(statement).await?;
    let key_type = relation.columns().iter().find(|column| column.name() == key);
    let oid = key_type.and_then(|column| column.type_info().oid());
    let key_type: Option<String> =
        // With a length (-1 is any): without one, `char` is of one character.
        sqlx::query_scalar("select format_type($1, -1)").bind(oid).fetch_one(&mut *connection).await?;
    let columns = relation.columns().iter().map(|column| column.name().to_owned()).collect();
    Ok((columns, key_type.unwrap_or_else(|| "text".to_owned())))
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

/// Whether a value is none of its type.
fn is_bad_value(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().is_some_and(|code| code.starts_with("22")))
}

/// What the shop's database says is either passing or somebody's to mend.
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
