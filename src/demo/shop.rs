//! The databases of the demo, and a sample shop in one of them.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A sample shop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum SampleShop {
    /// Outdoor and household goods, with questions and policies.
    #[default]
    Household,
    /// Consumer electronics in variants, with help pages.
    Electronics,
}

impl SampleShop {
    pub(super) fn files(self) -> &'static ShopFiles {
        match self {
            Self::Household => &HOUSEHOLD,
            Self::Electronics => &ELECTRONICS,
        }
    }
}

/// What a sample shop consists of.
pub(super) struct ShopFiles {
    /// The name of its data folders.
    pub(super) folder: &'static str,
    /// Replaces its tables with empty ones.
    tables: &'static str,
    /// Its rows by table, as CSV with a header.
    rows: &'static [(&'static str, &'static str)],
    /// Its sources in the settings.
    pub(super) sources: &'static str,
    /// Questions and the documents that answer them, one JSON object per line.
    pub(super) golden: &'static str,
}

const HOUSEHOLD: ShopFiles = ShopFiles {
    folder: "demo",
    tables: include_str!("household/shop.sql"),
    rows: &[
        ("shop_product", include_str!("household/shop_product.csv")),
        ("shop_faq", include_str!("household/shop_faq.csv")),
        ("shop_policy", include_str!("household/shop_policy.csv")),
    ],
    sources: include_str!("household/sources.toml"),
    golden: include_str!("household/golden.jsonl"),
};

const ELECTRONICS: ShopFiles = ShopFiles {
    folder: "demo-electronics",
    tables: include_str!("electronics/shop.sql"),
    rows: &[
        ("product", include_str!("electronics/product.csv")),
        ("help", include_str!("electronics/help.csv")),
    ],
    sources: include_str!("electronics/sources.toml"),
    golden: include_str!("electronics/golden.jsonl"),
};

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
pub(super) async fn load_shop(url: &str, shop: &ShopFiles) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(shop.tables).execute(&mut *transaction).await?;
    for (table, rows) in shop.rows {
        let (columns, _) = rows.split_once('\n').context("a CSV file has a header")?;
        let statement = format!("copy public.{table} ({columns}) from stdin (format csv, header)");
        let mut copy = transaction.copy_in_raw(&statement).await?;
        copy.send(rows.as_bytes()).await?;
        copy.finish().await?;
    }
    transaction.commit().await?;
    Ok(connection.close().await?)
}
