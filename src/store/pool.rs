//! A pool of connections, also through a pooler that gives each transaction whatever connection is free.
//!
//! There nothing may be left on a connection between transactions: no setting, and no prepared statement. sqlx
//! prepares in one round trip and executes in another, and every connection counts the names of its statements
//! from one. So behind a pooler each statement runs in a transaction; it begins by forgetting the statements that
//! others have left, and settings hold in it alone. That costs two round trips more; without a pooler statements
//! run as they are.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{
    TryFutureExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Connection, Either, Execute, Executor, PgConnection, PgPool, Postgres, Row, SqlSafeStr,
    SqlStr,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::pg_connection::{BorrowedConnection, PING_TIMEOUT, in_time};

/// Connections to one server. As an executor it runs one statement, in a transaction where `begin` is set.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    plain: PgPool,
    /// Time limit for a statement or a transaction. It passes only when the network is cut.
    patience: Option<Duration>,
    /// Time limit for the same and the wait for a connection, where both must be short.
    limit: Option<Duration>,
    /// How each transaction begins. Statements need one behind a pooler, or for settings of their own.
    begin: Option<Arc<str>>,
}

/// The server probes a connection that is silent for ten seconds, and closes it after four probes without a reply: its
/// host was cut off, and its locks and its place are wanted.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "4")];

/// When a server was last found to be read-only. For some time after that, each connection is checked before it is lent,
/// and closed if its server still is: the address may lead to another server by now.
static READ_ONLY: Mutex<Option<Instant>> = Mutex::new(None);
const SUSPICION: Duration = Duration::from_mins(1);

pub(super) fn suspect() {
    *READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

pub(super) fn is_suspect() -> bool {
    let seen = READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    seen.is_some_and(|seen| seen.elapsed() < SUSPICION)
}

pub(super) async fn is_writable(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let asked = sqlx::raw_sql("show transaction_read_only").fetch_one(connection);
    let row = tokio::time::timeout(PING_TIMEOUT, asked).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(row.try_get::<String, _>(0)? == "off")
}

impl Pool {
    /// Connects when a connection is first needed; these settings hold on each.
    pub(super) fn new(
        pool: PgPoolOptions,
        options: PgConnectOptions,
        settings: &[(&str, String)],
        patience: Option<Duration>,
        is_pooled: bool,
    ) -> Self {
        if !is_pooled {
            let settings = settings.iter().map(|(name, value)| (*name, value.as_str())).chain(KEEPALIVE);
            let plain = pool.connect_lazy_with(options.options(settings));
            return Self { plain, patience, limit: None, begin: None };
        }
        let settings = settings.iter().map(|(name, value)| format!("; set local {name} = '{value}'"));
        let begin = format!("begin; deallocate all{}", settings.collect::<String>());
        let plain = pool.connect_lazy_with(through_pooler(options));
        Self { plain, patience, limit: None, begin: Some(begin.into()) }
    }

    /// The same connections with one time limit for the wait and the work.
    pub(super) fn within(&self, limit: Duration) -> Self {
        Self { limit: Some(limit), patience: None, ..self.clone() }
    }

    /// The same connections with plans that look rows up one by one in indexes: tables grow faster than their
    /// statistics, and a plan for a small table reads all of a large one.
    pub(super) fn by_index(&self) -> Self {
        self.set_local(
            "; set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_hashjoin = off; \
             set local enable_mergejoin = off; set local plan_cache_mode = force_generic_plan",
        )
    }

    /// The same connections with plans for the values of the parameters: a plan for any values reads all rows where a
    /// filter is optional.
    pub(super) fn by_values(&self) -> Self {
        self.set_local("; set local plan_cache_mode = force_custom_plan")
    }

    fn set_local(&self, settings: &str) -> Self {
        let begin = format!("{}{settings}", self.begin.as_deref().unwrap_or("begin"));
        Self { begin: Some(begin.into()), ..self.clone() }
    }

    /// As sqlx knows it, for what a pooler cannot do.
    pub(super) fn plain(&self) -> &PgPool {
        &self.plain
    }

    /// Listens over a connection of its own: one that was cut off takes no place in this pool.
    pub(super) async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let options = PgConnectOptions::clone(&self.plain.connect_options());
        let own = self.plain.options().clone().max_connections(1).max_lifetime(None).idle_timeout(None);
        PgListener::connect_with(&own.connect_lazy_with(options)).await
    }

    /// Runs several statements in a transaction.
    pub(super) async fn transact<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = AssertSqlSafe(self.begin.as_deref().unwrap_or("begin").to_owned());
        self.borrow(async |lent| {
            lent.work(async |connection| all_or_nothing(connection, begin, work).await).await
        })
        .await
    }

    /// Runs several statements on one connection.
    pub(super) async fn run<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.begin.is_some() {
            return self.transact(work).await;
        }
        self.borrow(async |lent| lent.work(work).await).await
    }

    /// Runs one statement, which may be given up on a connection that is used again: sqlx counts the replies that are
    /// still to come.
    async fn execute_one<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        if self.begin.is_some() {
            return self.transact(statement).await;
        }
        self.borrow(async |lent| statement(lent).await).await
    }

    async fn borrow<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut BorrowedConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        in_time(self.limit, E::from, async {
            let mut lent = BorrowedConnection::acquire(&self.plain).await?;
            in_time(self.patience, E::from, work(&mut lent)).await
        })
        .await
    }
}

async fn all_or_nothing<T, E: From<sqlx::Error>>(
    connection: &mut PgConnection,
    begin: impl SqlSafeStr,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let error = match connection.begin_with(begin).await {
        Ok(mut transaction) => {
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            return Ok(done);
        }
        Err(error) => error,
    };
    // It may have begun all the same, and one of its settings been refused.
    connection.execute("rollback").await.ok();
    Err(error.into())
}

/// Sends no parameters at the start of a connection that a pooler refuses to pass on.
pub(super) fn through_pooler(options: PgConnectOptions) -> PgConnectOptions {
    options.statement_cache_capacity(0).extra_float_digits(None)
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let all =
            self.execute_one(async |connection| connection.fetch_many(query).try_collect::<Vec<_>>().await);
        Box::pin(all.map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten_stream())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.execute_one(async |connection| connection.fetch_optional(query).await))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        self.plain.prepare_with(sql, parameters)
    }

    #[doc(hidden)]
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        self.plain.describe(sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_waited_for_no_longer_than_the_work_may_take() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("nobody");
        let pool = Pool::new(PgPoolOptions::new(), options, &[], None, false);
        let pool = pool.within(Duration::from_millis(20));
        let error = pool.run(async |_| Ok::<_, sqlx::Error>(())).await.unwrap_err();
        assert!(error.to_string().ends_with("no reply within 20ms"), "{error}");
    }
}
