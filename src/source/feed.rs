//! A product feed: a file, an address from which one is downloaded, or the pages of an API.
//!
//! Single rows of a feed cannot be read. So a listing takes a copy, and documents are read from it. A new copy is taken
//! when another process listed another state of the feed. Meanwhile, since a download may be long, the previous copy is
//! read.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use reqwest::redirect::Policy;

use crate::{
    address::HttpUrl,
    catalogue::{
        Catalogue, CatalogueError, CatalogueResult, ChangeHints, Documents, ListedRow, Listing, RenderFault,
        render::{Rendering, Row, Templates},
    },
    http_client,
    source::api::Api,
};

mod copy;
mod fetch;
mod formats;
mod hints;
pub mod inspect;
mod latest_copy;

use copy::{FeedCopy, hash_of};
pub use formats::{Dialect, Escape, Format, Quoting};
use latest_copy::LatestCopy;

/// Where a feed is and how one of its documents is rendered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub name: String,
    pub place: Place,
    pub dialect: Dialect,
    pub rendering: Rendering,
}

/// Where a feed is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Place {
    Path(PathBuf),
    Url(HttpUrl),
    Api(Box<Api>),
}

impl Place {
    /// The API, if it is one.
    fn api(&self) -> Option<&Api> {
        if let Self::Api(api) = self { Some(api) } else { None }
    }
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
        let http = match settings.place.api() {
            // Another server would be sent the headers, which may hold a key.
            Some(_) => http.redirect(Policy::custom(|attempt| {
                let is_elsewhere =
                    attempt.previous().iter().any(|url| url.origin() != attempt.url().origin());
                if is_elsewhere || attempt.previous().len() > 10 { attempt.stop() } else { attempt.follow() }
            })),
            None => http,
        };
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
        let reading = move || keys.into_iter().filter_map(|key| read(&held.copy, key)).collect::<Vec<_>>();
        let reading = tokio::task::spawn_blocking(reading);
        let read = reading.await.map_err(|error| self.broken(error.to_string()))?;
        let unreadable =
            |error: std::io::Error| self.unreachable(format!("its copy cannot be read: {error}"));
        let documents = read.into_iter().map(|(key, rows)| {
            let Some((row_hash, rows)) = rows.transpose().map_err(unreadable)? else {
                let reason = "its row was set aside, as the last sync says".to_owned();
                return Ok(Err(RenderFault { key, reason, is_final: false }));
            };
            let rows = rows.iter().map(String::as_str).collect();
            Ok(self.templates.render(Row { key, rows, row_hash }))
        });
        documents.collect()
    }
}

/// The hash and the rows of a document.
type ReadRows = std::io::Result<(i64, Vec<String>)>;

/// Reads the rows with a key; `None` without any, and a key without rows if these were set aside.
fn read(copy: &FeedCopy, key: String) -> Option<(String, Option<ReadRows>)> {
    match copy.find(&key) {
        [] => copy.set_aside.keys.contains(&key).then_some((key, None)),
        rows => {
            let read: std::io::Result<_> = rows.iter().map(|row| copy.row(row)).collect();
            Some((key, Some(read.map(|read| (hash_of(rows), read)))))
        }
    }
}

impl Catalogue for FeedSource {
    fn templates(&self) -> &Templates {
        &self.templates
    }

    fn list(&self) -> BoxFuture<'_, CatalogueResult<Listing<'_>>> {
        let listing = async {
            let taken = self.take().await?;
            let (total, set_aside) = (taken.copy.documents().count() as u64, taken.copy.set_aside.clone());
            let rows = async_stream::stream! {
                for rows in taken.copy.documents() {
                    yield Ok(ListedRow { key: rows[0].key.to_string(), row_hash: hash_of(rows) });
                }
            };
            Ok(Listing { rows: rows.boxed(), total, set_aside })
        };
        listing.boxed()
    }

    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Documents>> {
        self.rows(keys.to_vec()).boxed()
    }

    fn sample(&self, limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<String>>> {
        let keys = async move {
            let held = self.held().await?;
            Ok(held.copy.documents().take(limit as usize).map(|rows| rows[0].key.to_string()).collect())
        };
        keys.boxed()
    }

    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>> {
        async { self.take().await.map(|_| ()) }.boxed()
    }

    fn change_hints(&self) -> Option<&dyn ChangeHints> {
        self.settings.place.api()?.updated_since.as_ref().map(|_| self as &dyn ChangeHints)
    }

    fn catch_up<'a>(&'a self, listed: &'a [(String, Option<i64>)]) -> BoxFuture<'a, CatalogueResult<()>> {
        self.follow(listed).boxed()
    }
}
