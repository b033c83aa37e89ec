//! A product feed: a file, or an address from which one is downloaded.
//!
//! Single rows of a feed cannot be read. So a listing takes a copy, and documents are read from it. A new copy is taken
//! when another process listed another state of the feed. Meanwhile, since a download may be long, the previous copy is
//! read.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};

use crate::{
    address::HttpUrl,
    catalogue::{
        Catalogue, CatalogueError, CatalogueResult, Documents, ListedRow,
        render::{Rendering, Row, Templates},
    },
    http_client,
};

mod copy;
mod fetch;
mod formats;
mod latest_copy;

use copy::SpooledRow;
pub use formats::Format;
use latest_copy::LatestCopy;

/// Where a feed is and how one of its documents is rendered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub name: String,
    pub place: Place,
    pub format: Format,
    pub rendering: Rendering,
}

/// Where a feed is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Place {
    Path(PathBuf),
    Url(HttpUrl),
}

/// A feed.
pub struct FeedSource {
    settings: Settings,
    templates: Templates,
    seed: i64,
    http: reqwest::Client,
    held: Mutex<Option<Arc<LatestCopy>>>,
    /// Held while a copy is taken.
    taking: tokio::sync::Mutex<()>,
}

/// Time limit for connecting, and for each read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

impl FeedSource {
    /// Parses the settings; nothing is read yet.
    ///
    /// `salt` identifies the settings outside of the source that decide what is indexed.
    pub fn new(settings: Settings, salt: &str) -> CatalogueResult<Self> {
        let misfit = |reason: String| CatalogueError::Misfit { source_name: settings.name.clone(), reason };
        let templates = settings.rendering.templates().map_err(|error| misfit(error.to_string()))?;
        let http = reqwest::Client::builder()
            .connect_timeout(READ_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .timeout(fetch::DOWNLOAD_TIMEOUT);
        let http = http_client::client(http).map_err(misfit)?;
        let seed = settings.rendering.seed(salt);
        Ok(Self {
            settings,
            templates,
            seed,
            http,
            held: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
        })
    }

    fn unreachable(&self, reason: String) -> CatalogueError {
        CatalogueError::Unreachable { source_name: self.settings.name.clone(), reason }
    }

    fn broken(&self, reason: String) -> CatalogueError {
        CatalogueError::Broken { source_name: self.settings.name.clone(), reason }
    }

    async fn rows(&self, keys: Vec<String>) -> CatalogueResult<Documents> {
        let held = self.held().await?;
        let reading = tokio::task::spawn_blocking(move || {
            let found = keys.iter().filter_map(|key| held.copy.find(key));
            found.map(|kept| Ok((kept.key.to_string(), kept.hash, held.copy.row(kept)?))).collect()
        });
        let read: std::io::Result<Vec<(String, i64, SpooledRow)>> =
            reading.await.map_err(|error| self.broken(error.to_string()))?;
        let read = read.map_err(|error| self.unreachable(format!("its copy cannot be read: {error}")))?;
        let documents = read.into_iter().map(|(key, row_hash, row)| {
            let row = Row { key, columns: row.columns.get(), sku: row.sku, metadata: row.metadata, row_hash };
            self.templates.render(row)
        });
        Ok(documents.collect())
    }
}

impl Catalogue for FeedSource {
    fn list(&self) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        let listing = async_stream::try_stream! {
            let taken = self.take().await?;
            for kept in &taken.copy.rows {
                yield ListedRow { key: kept.key.to_string(), row_hash: kept.hash };
            }
        };
        listing.boxed()
    }

    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Documents>> {
        self.rows(keys.to_vec()).boxed()
    }

    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>> {
        async { self.take().await.map(|_| ()) }.boxed()
    }

    fn catch_up<'a>(&'a self, listed: &'a [(String, Option<i64>)]) -> BoxFuture<'a, CatalogueResult<()>> {
        self.follow(listed).boxed()
    }
}
