//! What holds for every connection to a PostgreSQL, ours or a shop's: how long it may be silent, and which of its errors
//! pass.

use std::{io, time::Duration};

use sqlx::{Connection, PgConnection};

/// How long a connection that was unused, or is given back, may take to answer.
pub const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a connection answers; one that does not is an error, and is closed then.
pub async fn is_alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let ping = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    ping.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
}

/// Waits for the database as long as this, if that is limited.
pub async fn in_time<T, E>(
    limit: Option<Duration>,
    error: impl FnOnce(sqlx::Error) -> E,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let reason = format!("no reply within {}", humantime::format_duration(limit));
        Err(error(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, reason))))
    })
}

/// Whether an error of this SQLSTATE passes by itself: connection, resources, shutdown, serialization, deadlock.
pub fn passes(code: &str) -> bool {
    ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class))
}
