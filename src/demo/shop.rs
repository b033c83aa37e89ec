//! The databases of the demo, and the sample shop in one of them.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Replaces the tables of the sample shop with empty ones.
const SHOP: &str = include_str!("shop.sql");

/// The rows of the sample shop by table, as CSV with a header.
const SHOP_ROWS: [(&str, &str); 3] = [
    ("shop_product", include_str!("shop/shop_product.csv")),
    ("shop_faq", include_str!("shop/shop_faq.csv")),
    ("shop_policy", include_str!("shop/shop_policy.csv")),
];

pub(super) async fn create_databases(url: &str, names: &[&str]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let missing =
        "select name from unnest($1::text[]) as name where name not in (select datname from pg_database)";
    let missing: Vec<String> = sqlx::query_scalar(missing).bind(names).fetch_all(&mut connection).await?;
    for name in missing {
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Replaces the sample shop in this database, in one transaction.
pub(super) async fn load_shop(url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SHOP).execute(&mut *transaction).await?;
    for (table, rows) in SHOP_ROWS {
        let (columns, _) = rows.split_once('\n').context("a CSV file has a header")?;
        let statement = format!("copy public.{table} ({columns}) from stdin (format csv, header)");
        let mut copy = transaction.copy_in_raw(&statement).await?;
        copy.send(rows.as_bytes()).await?;
        copy.finish().await?;
    }
    transaction.commit().await?;
    Ok(connection.close().await?)
}
