//! A shop of products and its index in one database.

use std::collections::BTreeMap;

use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;

use shopkeeper::{
    config::Config,
    daemon::{self, Parts},
    demo::{execute, models::OfflineServer, postgres::Postgres},
    store::Store,
};

use crate::common::create_database;

/// A database that is both the shop and the index, with the settings for them.
pub(crate) struct Place {
    /// The folder of `jobs.toml`.
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) parts: Parts,
    pub(crate) pool: PgPool,
    pub(crate) url: String,
}

impl Place {
    /// Creates a database of this name, executes the statements, which create a table `product`, and opens it. The
    /// settings follow those of `[database]`.
    pub(crate) async fn new(
        server: &Postgres,
        models: &OfflineServer,
        dimensions: u16,
        name: &str,
        statements: &str,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let url = create_database(server, name).await?;
        execute(&url, statements).await?;
        execute(&url, "vacuum analyze product").await?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("url"), &url)?;
        let settings = format!(
            "[openai]\nbase_url = \"{}\"\nrequests_per_minute = 1000000000\ntokens_per_minute = 4000000000\n\
             [embedding]\nmodel = \"hash\"\ndimensions = {dimensions}\n\
             [database]\nurl = {{ file = \"url\" }}\n{settings}",
            models.base_url(),
        );
        std::fs::write(folder.path().join("jobs.toml"), settings)?;
        let config = Config::load(&folder.path().join("jobs.toml"), &BTreeMap::new())?;
        let store = Store::open_migrated(&config.database).await?;
        let parts = daemon::prepare(&config, &store).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await?;
        Ok(Self { folder, config, store, parts, pool, url })
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.pool.close().await;
        self.store.close().await;
        Ok(self.folder.close()?)
    }
}
