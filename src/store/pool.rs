//! A pool of connections, also through a pooler that gives each transaction whatever connection is free.
//!
//! There nothing may be left on a connection between transactions: no setting, and no prepared statement. sqlx
//! prepares in one round trip and executes in another, and every connection counts the names of its statements
//! from one. So behind a pooler each statement runs in a transaction; it begins by forgetting the statements that
//! others have left, and settings hold in it alone. That costs two round trips more; without a pooler statements
//! run as they are.

use std::sync::Arc;

use futures::{TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Connection, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
    Transaction,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

/// Connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pool: PgPool,
    /// Behind a pooler: how a transaction begins.
    begin: Option<Arc<str>>,
}

impl Pool {
    /// Connects when a connection is first needed; these settings hold on each.
    pub(super) fn new(
        pool: PgPoolOptions,
        options: PgConnectOptions,
        settings: &[(&str, String)],
        is_pooled: bool,
    ) -> Self {
        if !is_pooled {
            let settings = settings.iter().map(|(name, value)| (*name, value));
            return Self { pool: pool.connect_lazy_with(options.options(settings)), begin: None };
        }
        let settings = settings.iter().map(|(name, value)| format!("; set local {name} = '{value}'"));
        let begin = format!("begin; deallocate all{}", settings.collect::<String>());
        Self { pool: pool.connect_lazy_with(through_pooler(options)), begin: Some(begin.into()) }
    }

    /// As sqlx knows it, for what a pooler cannot do.
    pub(super) fn plain(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.begin_with("").await
    }

    /// Begins a transaction with more statements, each after a semicolon.
    pub(super) async fn begin_with(&self, more: &str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let begin = self.begin.as_deref().unwrap_or("begin");
        self.pool.begin_with(AssertSqlSafe(format!("{begin}{more}"))).await
    }

    /// Does work of several statements on a connection of this pool.
    pub(super) async fn run<T, E: From<sqlx::Error>>(
        &self,
        connection: &mut PgConnection,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(begin) = self.begin.clone() else { return work(connection).await };
        let mut transaction = connection.begin_with(AssertSqlSafe(begin)).await?;
        let done = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }
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
        if self.begin.is_none() {
            return self.pool.fetch_many(query);
        }
        Box::pin(async_stream::try_stream! {
            let mut transaction = self.begin().await?;
            {
                let mut steps = transaction.fetch_many(query);
                while let Some(step) = steps.try_next().await? {
                    yield step;
                }
            }
            transaction.commit().await?;
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.begin.is_none() {
            return self.pool.fetch_optional(query);
        }
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
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
        self.pool.prepare_with(sql, parameters)
    }

    #[doc(hidden)]
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        self.pool.describe(sql)
    }
}
