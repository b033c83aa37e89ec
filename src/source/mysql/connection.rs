//! Connections to a shop's database, and what its errors mean.

use std::time::Duration;

use sqlx::{
    ConnectOptions, Connection, MySqlConnection, MySqlPool,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions},
};

use crate::{
    address::MySqlUrl,
    catalogue::{CatalogueError, CatalogueResult},
    source::mysql::Settings,
};

/// Time limit for connecting.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a listing, which is one statement.
pub(super) const LISTING_TIMEOUT: Duration = Duration::from_hours(1);

/// Errors that pass by themselves: no connection, too many connections, shutdown, time limits, deadlocks, a
/// table that was altered meanwhile, and wrong passwords, which are put right at the server.
const PASSING: &[u16] = &[
    1040, 1042, 1044, 1045, 1047, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226,
    1412, 1927, 1969, 3024,
];

fn options(url: &MySqlUrl) -> Result<MySqlConnectOptions, sqlx::Error> {
    let url = url.expose();
    let url = url.strip_prefix("mariadb:").map_or_else(|| url.to_owned(), |rest| format!("mysql:{rest}"));
    // The session's time zone is UTC. `||` stays what the shop's views take it for.
    Ok(url.parse::<MySqlConnectOptions>()?.pipes_as_concat(false).no_engine_substitution(false))
}

/// A connection for once.
pub(super) async fn connect(url: &MySqlUrl) -> Result<MySqlConnection, sqlx::Error> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, options(url)?.connect()).await;
    connecting.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// A pool that connects when it is first used.
pub(super) fn pool(settings: &Settings) -> Result<MySqlPool, sqlx::Error> {
    let limit = settings.statement_timeout;
    let pool = MySqlPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move { limit_statements(connection, limit).await })
        });
    Ok(pool.connect_lazy_with(options(&settings.url)?))
}

/// A connection that reads one snapshot.
pub(super) struct Snapshot {
    pub connection: MySqlConnection,
    /// What the server knows it by.
    pub id: u64,
}

/// Takes a snapshot.
pub(super) async fn snapshot(settings: &Settings) -> CatalogueResult<Snapshot> {
    let fail = |error| failure(&settings.name, &error);
    let mut connection = connect(&settings.url).await.map_err(fail)?;
    limit_statements(&mut connection, LISTING_TIMEOUT).await.map_err(fail)?;
    for statement in [
        // A million keys and hashes are sorted in a few parts.
        "set session sort_buffer_size = 33554432",
        "set transaction isolation level repeatable read",
        "start transaction with consistent snapshot, read only",
    ] {
        sqlx::raw_sql(statement).execute(&mut connection).await.map_err(fail)?;
    }
    let id = sqlx::query_scalar("select connection_id()").fetch_one(&mut connection).await.map_err(fail)?;
    Ok(Snapshot { connection, id })
}

/// Sets the time limit of a session's statements: MariaDB counts seconds, MySQL milliseconds.
async fn limit_statements(connection: &mut MySqlConnection, limit: Duration) -> Result<(), sqlx::Error> {
    let version: String = sqlx::query_scalar("select version()").fetch_one(&mut *connection).await?;
    let statement = if version.contains("MariaDB") {
        format!("set session max_statement_time = {}", limit.as_secs_f64())
    } else {
        format!("set session max_execution_time = {}", limit.as_millis())
    };
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await?;
    connection.ping().await
}

fn number(error: &dyn DatabaseError) -> u16 {
    error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number)
}

/// Tells errors that pass by themselves from those that need a change of the settings or the shop.
pub(super) fn failure(source: &str, error: &sqlx::Error) -> CatalogueError {
    let source_name = source.to_owned();
    match error {
        sqlx::Error::Database(database) if !PASSING.contains(&number(&**database)) => {
            CatalogueError::Misfit { source_name, reason: database.message().to_owned() }
        }
        sqlx::Error::Database(database) => {
            CatalogueError::Unreachable { source_name, reason: database.message().to_owned() }
        }
        sqlx::Error::Configuration(reason) => {
            CatalogueError::Misfit { source_name, reason: reason.to_string() }
        }
        other => CatalogueError::Unreachable { source_name, reason: other.to_string() },
    }
}
