//! Connections to a shop's database, and what its errors mean.

use futures::FutureExt;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;

use crate::{catalogue::CatalogueError, pg_connection, source::postgres::Settings};

/// Time limit for connecting.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool that connects when it is first used.
pub(super) fn pool(settings: &Settings, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(CONNECT_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| pg_connection::is_alive(connection).boxed())
        .after_release(|connection, _| pg_connection::is_alive(connection).boxed());
    let options: PgConnectOptions = settings.url.expose().parse()?;
    Ok(pool.connect_lazy_with(options.application_name("shopkeeper").options([
        ("statement_timeout", format!("{}ms", settings.statement_timeout.as_millis())),
        ("idle_in_transaction_session_timeout", "10min".to_owned()),
        // Without keepalives, a connection to a host that is cut off stays open for hours.
        ("tcp_keepalives_idle", "60".to_owned()),
        // How values are written, and so the hash of a row, must not depend on the role or the database.
        ("DateStyle", "ISO,YMD".to_owned()),
        ("IntervalStyle", "iso_8601".to_owned()),
        ("TimeZone", "UTC".to_owned()),
        ("extra_float_digits", "1".to_owned()),
        ("bytea_output", "hex".to_owned()),
    ])))
}

/// Whether a value is invalid for its type.
pub(super) fn is_bad_value(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().is_some_and(|code| code.starts_with("22")))
}

/// Whether a text has a character that the server refuses.
pub(super) fn is_bad_text(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().is_some_and(|code| code == "22P05" || code == "22021"))
}

/// Tells errors that pass by themselves, wrong passwords among them, from those that need a change of the settings or
/// the shop.
pub(super) fn failure(source: &str, error: &sqlx::Error) -> CatalogueError {
    let source_name = source.to_owned();
    match error {
        sqlx::Error::Database(database) => {
            let (code, reason) = (database.code().unwrap_or_default(), database.message().to_owned());
            if pg_connection::passes(&code) || code.starts_with("28") {
                return CatalogueError::Unreachable { source_name, reason };
            }
            CatalogueError::Misfit { source_name, reason }
        }
        other => CatalogueError::Unreachable { source_name, reason: other.to_string() },
    }
}
