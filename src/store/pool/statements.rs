//! Runs statements on a pool, in transactions where they need one.

use futures::{
    TryFutureExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Connection, Either, Execute, Executor, PgConnection, Postgres, SqlSafeStr, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::Pool;
use crate::pg_connection::{BorrowedConnection, in_time};

impl Pool {
    pub(in crate::store) async fn transact<T, E: From<sqlx::Error>>(
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
    pub(in crate::store) async fn run<T, E: From<sqlx::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.begin.is_some() {
            return self.transact(work).await;
        }
        self.borrow(async |lent| lent.work(work).await).await
    }

    /// Runs one statement, which may be cancelled without closing the connection: sqlx counts outstanding replies.
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
    // The transaction may have begun, and one of its settings been refused.
    connection.execute("rollback").await.ok();
    Err(error.into())
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
