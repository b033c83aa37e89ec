//! A shop's MySQL or MariaDB: a table, a view or a query. SELECT is enough.
//!
//! A listing is the key and the hash of each row, both written by the server, ordered by the bytes of the key, from one
//! snapshot. With an `updated_at`, changes are found sooner by polls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture};
use serde_json::value::RawValue;
use sqlx::{MySqlConnection, MySqlPool, Row as _, mysql::MySqlRow};
use tokio::sync::Mutex;

use crate::{
    address::MySqlUrl,
    catalogue::{
        Catalogue, CatalogueError, CatalogueResult, ChangeHints, Documents, Listing, RenderFault, SetAside,
        render::{Rendering, Row, RowsAre, Templates},
    },
    pg_connection,
    source::{
        Relation,
        listed::Page,
        spool::{Spool, not_kept, spooled},
    },
};

mod column;
mod connection;
mod hints;
pub mod inspect;
mod poll;
mod statements;

use connection::{CONNECT_TIMEOUT, LISTING_TIMEOUT, Snapshot, failure};
use statements::Statements;

/// Where a source is and how one of its documents is rendered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub name: String,
    /// The shop's database.
    pub url: MySqlUrl,
    pub relation: Relation,
    pub rendering: Rendering,
    /// The column with the time of a row's last change.
    pub updated_at: Option<String>,
    /// Whether answers read metadata from the shop. If so, a stored copy may be an hour old.
    pub live_metadata: bool,
    /// Rows kept in memory at once.
    pub page_rows: u32,
    pub max_connections: u32,
    /// Time limit of a statement; zero for none.
    pub statement_timeout: Duration,
}

/// A source. Its database is first connected to when it is needed.
pub struct MySqlSource {
    settings: Settings,
    templates: Templates,
    pool: MySqlPool,
    /// Time limit of one step. The shop's server ends a statement sooner, unless the network is cut.
    patience: Option<Duration>,
    seed: i64,
    statements: Mutex<Option<Arc<Statements>>>,
}

impl MySqlSource {
    /// Parses the settings; nothing is connected yet.
    ///
    /// `salt` identifies the settings outside of the source that decide what is indexed.
    pub fn new(settings: Settings, salt: &str) -> CatalogueResult<Self> {
        let misfit = |reason: String| CatalogueError::Misfit { source_name: settings.name.clone(), reason };
        let templates = settings.rendering.templates().map_err(|error| misfit(error.to_string()))?;
        let pool = connection::pool(&settings).map_err(|error| misfit(error.to_string()))?;
        let seed = settings.rendering.seed(salt);
        let limit = settings.statement_timeout;
        let patience = (!limit.is_zero()).then(|| 2 * limit + CONNECT_TIMEOUT);
        Ok(Self { settings, templates, pool, patience, seed, statements: Mutex::default() })
    }

    async fn in_time<T>(&self, work: impl Future<Output = CatalogueResult<T>>) -> CatalogueResult<T> {
        pg_connection::in_time(self.patience, |late| failure(&self.settings.name, &late), work).await
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> CatalogueError {
        move |error| failure(&self.settings.name, &error)
    }

    fn misfit(&self, reason: String) -> CatalogueError {
        CatalogueError::Misfit { source_name: self.settings.name.clone(), reason }
    }

    fn is_grouped(&self) -> bool {
        self.settings.rendering.rows == RowsAre::Group
    }

    /// Reads the listing to its end and closes its snapshot. The columns are described anew, as the shop may have altered
    /// its tables.
    async fn listing(&self) -> CatalogueResult<Listing<'_>> {
        let statements = self.in_time(self.describe_again()).await?;
        // A connection of its own: if the listing is given up, it is closed.
        let Snapshot { mut connection, id } = self.in_time(connection::snapshot(&self.settings)).await?;
        let listed = self.read_listing(&mut connection, &statements).await;
        if listed.is_err() {
            // The server may be sorting, and not notice that nobody reads the result.
            let kill = sqlx::AssertSqlSafe(format!("kill {id}"));
            let _ = self.in_time(sqlx::raw_sql(kill).execute(&self.pool).map(|_| Ok(()))).await;
        }
        let (spool, set_aside) = listed?;
        let total = spool.entries();
        let rows = spooled(&self.settings.name, std::future::ready(Ok(spool))).boxed();
        Ok(Listing { rows, total, set_aside })
    }

    async fn read_listing(
        &self,
        connection: &mut MySqlConnection,
        statements: &Statements,
    ) -> CatalogueResult<(Spool, SetAside)> {
        let name = &self.settings.name;
        let (mut spool, mut page) = (Spool::new(), Page::new(self.is_grouped()));
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(statements.list.as_str())).fetch(connection);
        // The first row comes after the sort.
        let mut limit = Some(LISTING_TIMEOUT);
        loop {
            let late = |late| failure(name, &late);
            let row = pg_connection::in_time(limit, late, rows.try_next().map_err(self.fail())).await?;
            let Some(row) = row else { break };
            limit = self.patience;
            match self.listed(&row)? {
                (key, Some(row_hash)) => page.add(key, row_hash),
                (key, None) => page.refuse(key, "it is longer than the server's max_allowed_packet"),
            }
            if page.listed.len() >= self.settings.page_rows as usize {
                let listed = std::mem::take(&mut page.listed);
                spool = spool.append(listed).await.map_err(|error| not_kept(name, &error))?;
            }
        }
        page.listed.extend(page.last.take());
        let spool = spool.append(page.listed).await.map_err(|error| not_kept(name, &error))?;
        Ok((spool, page.set_aside))
    }

    /// The key and the hash of a row.
    fn listed(&self, row: &MySqlRow) -> CatalogueResult<(Option<String>, Option<i64>)> {
        let hash: Option<String> = row.try_get(1).map_err(self.fail())?;
        let hash = hash.and_then(|hash| u64::from_str_radix(hash.get(..16)?, 16).ok());
        Ok((row.try_get(0).map_err(self.fail())?, hash.map(u64::cast_signed)))
    }

    async fn documents(&self, keys: &[String]) -> CatalogueResult<Documents> {
        let (statements, rows) = self.by_keys(|statements| &statements.read, keys).await?;
        let asked: BTreeSet<_> = keys.iter().collect();
        let mut found: BTreeMap<String, (i64, Vec<String>)> = BTreeMap::new();
        for row in rows {
            let (Some(key), hash) = self.listed(&row)? else { continue };
            if asked.contains(&key) {
                let json = statements.object(&row).map_err(self.fail())?;
                let document = found.entry(key).or_default();
                document.0 = document.0.wrapping_add(hash.unwrap_or_default());
                document.1.push(json);
            }
        }
        let documents = found.into_iter().map(|(key, (row_hash, mut rows))| {
            if rows.len() > 1 && !self.is_grouped() {
                let reason =
                    format!("source `{}` has more than one row with the key {key:?}", self.settings.name);
                return Err(RenderFault { key, reason, is_final: false });
            }
            // The server's order depends on its plan.
            rows.sort_unstable();
            self.templates.render(Row { key, rows: rows.iter().map(String::as_str).collect(), row_hash })
        });
        Ok(documents.collect())
    }

    /// Runs a statement for the rows with these keys; keys that no row can have are left out. Before one is, and after an
    /// error, the columns are described anew.
    async fn by_keys(
        &self,
        statement: impl Fn(&Statements) -> &String,
        keys: &[String],
    ) -> CatalogueResult<(Arc<Statements>, Vec<MySqlRow>)> {
        let key = &self.settings.rendering.key;
        let possible = |statements: &Statements| -> Vec<_> {
            keys.iter().filter_map(|wanted| statements.key_values(key, wanted)).collect()
        };
        let mut statements = self.statements().await?;
        let mut values = possible(&statements);
        let has_all = values.len() == keys.len();
        let mut rows = if has_all {
            self.by_values(&statements, statement(&statements), keys, &values).await
        } else {
            Ok(Vec::new())
        };
        if !has_all || matches!(rows, Err(CatalogueError::Misfit { .. })) {
            statements = self.describe_again().await?;
            values = possible(&statements);
            rows = self.by_values(&statements, statement(&statements), keys, &values).await;
        }
        Ok((statements, rows?))
    }

    async fn by_values(
        &self,
        statements: &Statements,
        statement: &str,
        keys: &[String],
        values: &[Vec<String>],
    ) -> CatalogueResult<Vec<MySqlRow>> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let is_ascii = keys.iter().all(|key| key.is_ascii());
        let statement = statement.replace(statements::WANTED, &statements.wanted(values, !is_ascii));
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await;
        rows.map_err(self.fail())
    }
}

impl Catalogue for MySqlSource {
    fn templates(&self) -> &Templates {
        &self.templates
    }

    fn list(&self) -> BoxFuture<'_, CatalogueResult<Listing<'_>>> {
        self.listing().boxed()
    }

    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Documents>> {
        self.in_time(self.documents(keys)).boxed()
    }

    fn sample(&self, limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<String>>> {
        let keys = async move {
            let statement = format!("{} limit {limit}", self.statements().await?.some);
            let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await;
            let mut keys = Vec::new();
            for row in &rows.map_err(self.fail())? {
                keys.extend(row.try_get::<Option<String>, _>(0).map_err(self.fail())?);
            }
            keys.dedup();
            Ok(keys)
        };
        self.in_time(keys).boxed()
    }

    /// Connects, and checks that the columns in the settings exist and that the source can be polled.
    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>> {
        let check = async {
            let statements = self.describe_again().await?;
            self.polling(&statements).map(drop)
        };
        self.in_time(check).boxed()
    }

    fn change_hints(&self) -> Option<&dyn ChangeHints> {
        self.settings.updated_at.is_some().then_some(self)
    }
}

/// A JSON object of columns.
fn object<'a>(columns: impl Iterator<Item = (&'a String, Box<RawValue>)>) -> String {
    let columns: BTreeMap<&String, Box<RawValue>> = columns.collect();
    serde_json::to_string(&columns).unwrap_or_default()
}
