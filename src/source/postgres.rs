//! A shop's PostgreSQL: a table, a view or a query with one row for each document. SELECT is enough.
//!
//! A listing is the key and the hash of each row. The hash covers the columns that are read and the source's settings, so
//! that an edited template is a change of every row, and nothing else.
//!
//! `postgres/change_hints.rs` finds changes sooner than a listing does: it polls, and reads what triggers noted.
//! `postgres/triggers.rs` installs the triggers.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::{
    catalogue::{
        Catalogue, CatalogueError, CatalogueResult, ChangeHints, Documents, Listing, render::Templates,
    },
    pg_connection::{self, BorrowedConnection},
};

mod change_hints;
mod connection;
mod documents;
pub mod inspect;
mod listing;
mod poll;
mod settings;
mod sql;
mod statements;
pub mod triggers;
mod yielding;

use connection::{CONNECT_TIMEOUT, failure};
pub use settings::{RelatedTable, Settings};
use statements::Statements;

/// A source. Its database is first connected to when it is needed, so that a shop that is down does not stop answers.
pub struct PostgresSource {
    settings: Settings,
    templates: Templates,
    pool: PgPool,
    /// A connection that is free while others read: it finds out who waits for them.
    bystander: PgPool,
    /// Time limit of one step. The shop's server ends a statement sooner, unless the network is cut.
    patience: Option<Duration>,
    seed: i64,
    statements: Mutex<Option<Arc<Statements>>>,
}

impl PostgresSource {
    /// Parses the settings; nothing is connected yet.
    ///
    /// `salt` identifies the settings outside of the source that decide what is indexed.
    pub fn new(settings: Settings, salt: &str) -> CatalogueResult<Self> {
        let misfit = |reason: String| CatalogueError::Misfit { source_name: settings.name.clone(), reason };
        let templates = settings.rendering.templates().map_err(|error| misfit(error.to_string()))?;
        let pool =
            |connections| connection::pool(&settings, connections).map_err(|error| misfit(error.to_string()));
        let (pool, bystander) = (pool(settings.max_connections)?, pool(1)?);
        let seed = settings.rendering.seed(salt);
        let limit = settings.statement_timeout;
        let patience = (!limit.is_zero()).then(|| 2 * limit + CONNECT_TIMEOUT);
        Ok(Self { settings, templates, pool, bystander, patience, seed, statements: Mutex::default() })
    }

    async fn in_time<T>(&self, work: impl Future<Output = CatalogueResult<T>>) -> CatalogueResult<T> {
        pg_connection::in_time(self.patience, |late| failure(&self.settings.name, &late), work).await
    }

    async fn borrow(&self) -> CatalogueResult<BorrowedConnection> {
        BorrowedConnection::acquire(&self.pool).await.map_err(self.fail())
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> CatalogueError {
        move |error| failure(&self.settings.name, &error)
    }

    fn misfit(&self, reason: String) -> CatalogueError {
        CatalogueError::Misfit { source_name: self.settings.name.clone(), reason }
    }
}

impl Catalogue for PostgresSource {
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
        self.in_time(self.some_keys(limit)).boxed()
    }

    /// Connects, once, and checks that the columns in the settings exist and that the source can be polled.
    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>> {
        let check =
            move |statements: Arc<Statements>| async move { self.polling(&statements).await.map(drop) };
        self.in_time(self.with_statements(check)).boxed()
    }

    fn change_hints(&self) -> Option<&dyn ChangeHints> {
        Some(self)
    }
}
