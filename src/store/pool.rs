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

use futures::{TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Connection, Either, Execute, Executor, PgConnection, PgPool, Postgres, Row, SqlStr,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::pg_connection::{Lent, PING_TIMEOUT, in_time};

/// Connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    plain: PgPool,
    /// The longest that a statement is waited for, or a transaction.
    patience: Option<Duration>,
    /// Behind a pooler: how a transaction begins.
    begin: Option<Arc<str>>,
}

/// The server asks a connection that says nothing for ten seconds whether it is there, four times, and ends it then: it
/// is of a host that was cut off, and its locks and its place are wanted.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "4")];

/// When a server was last found that can only be read. As long after that, each connection is asked before it is lent, and
/// closed if it is of such a server: by now its address may lead to another.
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
    /// Connects when a connection is first needed; these settings hold on each. Whoever waits for a reply
    /// loses his patience only when the network is cut and nobody says so.
    pub(super) fn new(
        pool: PgPoolOptions,
        options: PgConnectOptions,
        settings: &[(&str, String)],
        patience: Option<Duration>,
        is_pooled: bool,
    ) -> Self {
        if !is_pooled {
            let settings = settings.iter().map(|(name, value)| (*name, value.as_str())).chain(KEEPALIVE);
            return Self { plain: pool.connect_lazy_with(options.options(settings)), patience, begin: None };
        }
        let settings = settings.iter().map(|(name, value)| format!("; set local {name} = '{value}'"));
        let begin = format!("begin; deallocate all{}", settings.collect::<String>());
        let plain = pool.connect_lazy_with(through_pooler(options));
        Self { plain, patience, begin: Some(begin.into()) }
    }

    /// As sqlx knows it, for what a pooler cannot do.
    pub(super) fn plain(&self) -> &PgPool {
        &self.plain
    }

    /// Listens over a connection that has no place in this pool: one that was cut off is left by itself, and takes
    /// nobody's.
    pub(super) async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let options = PgConnectOptions::clone(&self.plain.connect_options());
        let own = self.plain.options().clone().max_connections(1).max_lifetime(None).idle_timeout(None);
        PgListener::connect_with(&own.connect_lazy_with(options)).await
    }

    /// Does work of several statements in a transaction that begins with more statements, each after a semicolon.
    pub(super) async fn transact<T, E: From<sqlx::Error>>(
        &self,
        more: &str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = AssertSqlSafe(format!("{}{more}", self.begin.as_deref().unwrap_or("begin")));
        let mut lent = Lent::of(&self.plain).await?;
        let work = lent.work(async |connection| all_or_nothing(connection, begin, work).await);
        in_time(self.patience, E::from, work).await
    }

    /// Does work of several statements on a connection of this pool; a limit is also one of the waiting for a connection.
    pub(super) async fn run<T, E: From<sqlx::Error>>(
        &self,
        limit: Option<Duration>,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let patience = self.patience.filter(|_| limit.is_none());
        in_time(limit, E::from, async {
            let mut lent = Lent::of(&self.plain).await?;
            let work = lent.work(async |connection| {
                let Some(begin) = self.begin.clone() else { return work(connection).await };
                all_or_nothing(connection, AssertSqlSafe(begin), work).await
            });
            in_time(patience, E::from, work).await
        })
        .await
    }

    /// Waits for one reply.
    async fn reply<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        in_time(self.patience, |late| late, work).await
    }
}

async fn all_or_nothing<T, E: From<sqlx::Error>>(
    connection: &mut PgConnection,
    begin: impl sqlx::SqlSafeStr,
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

/// Says nothing at the start of a connection that a pooler refuses to pass on.
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
        Box::pin(async_stream::try_stream! {
            let mut lent = Lent::of(&self.plain).await?;
            let Some(begin) = self.begin.clone() else {
                let mut steps = lent.fetch_many(query);
                while let Some(step) = self.reply(steps.try_next()).await? {
                    yield step;
                }
                return;
            };
            let mut transaction = self.reply(lent.begin_with(AssertSqlSafe(begin))).await?;
            {
                let mut steps = transaction.fetch_many(query);
                while let Some(step) = self.reply(steps.try_next()).await? {
                    yield step;
                }
            }
            self.reply(transaction.commit()).await?;
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async {
            if self.begin.is_some() {
                return self.run(None, async |connection| connection.fetch_optional(query).await).await;
            }
            let mut lent = Lent::of(&self.plain).await?;
            // One statement may be given up: what is left of its replies is counted.
            self.reply(lent.fetch_optional(query)).await
        })
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
        let limit = Duration::from_millis(20);
        let error = pool.run(Some(limit), async |_| Ok::<_, sqlx::Error>(())).await.unwrap_err();
        assert!(error.to_string().ends_with("no reply within 20ms"), "{error}");
    }
}
