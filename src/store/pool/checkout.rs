//! Checks connections before they are handed out: that they are alive and that their server is writable.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{PgConnection, Row, postgres::PgPoolOptions};

use crate::pg_connection::{self, PING_TIMEOUT};

/// How long a connection may be idle and still be considered alive.
const IDLE: Duration = Duration::from_secs(1);
/// When a server was last found to be read-only. For some time after that each connection is checked, and closed if its
/// server still is: the address may lead to another server by now.
static READ_ONLY: Mutex<Option<Instant>> = Mutex::new(None);
const SUSPICION: Duration = Duration::from_mins(1);

/// Returns options for a pool whose connections are checked; `writes` if their server must be writable.
pub(in crate::store) fn checked(connections: u32, timeout: Duration, writes: bool) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(timeout)
        // A connection that was just used needs no ping.
        .test_before_acquire(false)
        .before_acquire(move |connection, used| {
            Box::pin(async move {
                if writes && is_suspect() {
                    return is_writable(connection).await;
                }
                if used.idle_for > IDLE {
                    return pg_connection::is_alive(connection).await;
                }
                Ok(true)
            })
        })
}

/// Notes that a server was found to be read-only.
pub(in crate::store) fn suspect() {
    *READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

fn is_suspect() -> bool {
    let seen = READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    seen.is_some_and(|seen| seen.elapsed() < SUSPICION)
}

async fn is_writable(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let asked = sqlx::raw_sql("show transaction_read_only").fetch_one(connection);
    let row = tokio::time::timeout(PING_TIMEOUT, asked).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(row.try_get::<String, _>(0)? == "off")
}
