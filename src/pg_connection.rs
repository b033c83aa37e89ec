//! What holds for every connection to a PostgreSQL, ours or a shop's: how long it may be silent, what becomes of it when
//! its work is given up, and which of its errors pass.

use std::{
    io,
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Connection, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction, pool::PoolConnection};

/// How long a connection that was unused, or is given back, may take to answer.
pub const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a connection answers; one that does not is an error, and is closed then.
pub async fn is_alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let ping = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    ping.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
}

/// A connection of a pool, as long as some work needs it.
///
/// It goes back once it has answered, which one that hangs does not: that one is closed. So is one whose work was given up
/// half-way. sqlx counts a transaction only when the reply to its `begin` was read, and a COPY's replies never: the next
/// user would work in an unknown transaction with an old snapshot, and its writes would never be committed, or it would
/// read the replies to other statements.
pub struct BorrowedConnection {
    connection: PoolConnection<Postgres>,
    is_at_rest: bool,
}

impl BorrowedConnection {
    /// Waits until the pool has one.
    pub async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: pool.acquire().await?, is_at_rest: true })
    }

    /// Does work; if that is given up, the connection is closed.
    pub async fn work<T>(&mut self, work: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
        self.is_at_rest = false;
        let done = work(&mut self.connection).await;
        self.is_at_rest = true;
        done
    }

    /// Begins a transaction with a statement; what is in it may be given up.
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.is_at_rest = false;
        let begun = self.connection.begin_with(statement).await;
        self.is_at_rest = begun.is_ok();
        begun
    }
}

impl Deref for BorrowedConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for BorrowedConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for BorrowedConnection {
    #[expect(clippy::disallowed_methods, reason = "the task ends within the time of a ping")]
    fn drop(&mut self) {
        if self.is_at_rest {
            tokio::spawn(tokio::time::timeout(PING_TIMEOUT, self.connection.return_to_pool()));
        } else {
            self.connection.close_on_drop();
        }
    }
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

/// Whether an error of this SQLSTATE passes by itself: connection, resources, shutdown, serialization, deadlock, and time
/// limits of locks and transactions, which a role or a database may have.
pub fn passes(code: &str) -> bool {
    ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class))
        || matches!(code, "55P03" | "25P03" | "25P04")
}
