//! Shops on a private MariaDB.

use shopkeeper::demo::mariadb::MariaDb;
use sqlx::MySqlConnection;
use tokio::sync::OnceCell;

use crate::prelude::*;

static SERVER: OnceCell<Option<MariaDb>> = OnceCell::const_new();

/// Creates a database; `None` where there is no MariaDB.
pub(crate) async fn database() -> Option<String> {
    let start = || async { tokio::task::spawn_blocking(|| MariaDb::start().unwrap()).await.unwrap() };
    let Some(server) = SERVER.get_or_init(start).await else {
        aloud("skipped: there is no MariaDB (package mariadb-server)");
        return None;
    };
    Some(server.create_database(&format!("shop_{}", Uuid::now_v7().simple())).await.unwrap())
}

/// Runs statements in a shop.
pub(crate) async fn run(url: &str, statements: &str) {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A world whose shop is a MariaDB with these tables.
pub(crate) async fn world(statements: &str, source: &str) -> Option<(World, String)> {
    let url = database().await?;
    run(&url, statements).await;
    Some((World::with_files("select 1", source, &[("mysql.url", &url)]).await, url))
}
