//! A product feed: a file, or an address from which one is downloaded.
//!
//! A feed cannot be asked for single rows. So a listing takes a copy: what the settings read of each row,
//! in a file without a name, and in memory the keys with the places and hashes of their rows. Documents are
//! read from the copy, which is taken anew when somebody listed another state of the feed. While one is taken,
//! which may be a long download, the one before is read.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Seek, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use reqwest::{
    StatusCode,
    header::{self, HeaderMap},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use url::Url;

use crate::{
    catalogue::{
        Catalogue, CatalogueError, CatalogueResult, Documents, ListedRow,
        render::{Rendering, Row, Templates},
    },
    http_client,
};

mod formats;

pub use formats::Format;

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
    Url(Url),
}

/// A feed.
pub struct FeedSource {
    settings: Settings,
    templates: Templates,
    seed: i64,
    http: reqwest::Client,
    /// The last one, never held for long.
    copy: Mutex<Option<Arc<FeedCopy>>>,
    /// Held by the one who takes a copy.
    taking: tokio::sync::Mutex<()>,
}

/// What a feed held when it was read.
struct FeedCopy {
    rows: Vec<RowPlace>,
    spool: File,
    /// Tells whether the feed is still the one that was read.
    state: State,
    taken: Instant,
    /// Whether it was taken because a listing had seen another state.
    is_sequel: bool,
}

/// One row of a copy; ordered by key.
struct RowPlace {
    key: Box<str>,
    hash: i64,
    at: u64,
    length: u32,
}

/// One row in the spool.
#[derive(Deserialize)]
struct SpooledRow {
    columns: Box<RawValue>,
    metadata: Box<RawValue>,
    sku: Option<String>,
}

/// What tells two states of a feed apart without reading it.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    file: Option<(u64, u64, i64, i64)>,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// How long a server may take to answer, and to send the next part.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a download may take in all, and what it may bring: more than a million products have.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(1);
const MAX_BYTES: u64 = 8 << 30;
/// How old a feed must be, by its server, so that it is not written again in the second of which it is; one second, and
/// one more for servers that remember the time for a while.
const MIN_AGE: TimeDelta = TimeDelta::seconds(2);
/// A copy is not taken more often than this when it differs from what was listed.
const COPY_INTERVAL: Duration = Duration::from_secs(10);

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
            .timeout(DOWNLOAD_TIMEOUT);
        let http = http_client::client(http).map_err(misfit)?;
        let seed = settings.rendering.seed(salt);
        Ok(Self {
            settings,
            templates,
            seed,
            http,
            copy: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
        })
    }

    /// The feed as it is now.
    async fn take(&self) -> CatalogueResult<Arc<FeedCopy>> {
        let _taking = self.taking.lock().await;
        self.fetch(false).await
    }

    /// The last copy that was taken; waits for the first one.
    async fn held(&self) -> CatalogueResult<Arc<FeedCopy>> {
        if let Some(copy) = self.last() {
            return Ok(copy);
        }
        let _taking = self.taking.lock().await;
        match self.last() {
            Some(copy) => Ok(copy),
            None => self.fetch(false).await,
        }
    }

    /// Takes a copy that holds what was listed, unless the last one does. What is being taken now may be it.
    async fn follow(&self, listed: &[(String, Option<i64>)]) -> CatalogueResult<()> {
        if self.held().await?.holds(listed) {
            return Ok(());
        }
        let _taking = self.taking.lock().await;
        let is_behind = |copy: &FeedCopy| {
            !copy.holds(listed) && (copy.taken.elapsed() > COPY_INTERVAL || !copy.is_sequel)
        };
        if self.last().is_none_or(|copy| is_behind(&copy)) {
            self.fetch(true).await?;
        }
        Ok(())
    }

    fn last(&self) -> Option<Arc<FeedCopy>> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a copy, unless the feed is still the one of the last; for who holds `taking`.
    async fn fetch(&self, is_sequel: bool) -> CatalogueResult<Arc<FeedCopy>> {
        let held = self.last();
        let fetched = match &self.settings.place {
            Place::Path(path) => self.open(path, held.as_deref()),
            Place::Url(url) => self.download(url, held.as_deref()).await,
        };
        let copy = match (fetched?, held) {
            (None, Some(same)) => same,
            (None, None) => return Err(self.broken("the server says that it did not change".to_owned())),
            (Some((file, state)), _) => {
                let (settings, columns, seed) = (self.settings.clone(), self.templates.columns(), self.seed);
                let copying = tokio::task::spawn_blocking(move || copy(&settings, &columns, seed, file));
                let (rows, spool) = copying.await.map_err(|error| self.broken(error.to_string()))??;
                Arc::new(FeedCopy { rows, spool, state, taken: Instant::now(), is_sequel })
            }
        };
        *self.copy.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy.clone());
        Ok(copy)
    }

    /// The file and its state; nothing when it is the one that is held.
    fn open(
        &self,
        path: &std::path::Path,
        held: Option<&FeedCopy>,
    ) -> CatalogueResult<Option<(File, State)>> {
        let unreadable = |error: std::io::Error| self.unreachable(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        let file_state = (about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        let state = State { file: Some(file_state), ..State::default() };
        if held.is_some_and(|held| held.state == state) {
            return Ok(None);
        }
        Ok(Some((file, state)))
    }

    async fn download(&self, url: &Url, held: Option<&FeedCopy>) -> CatalogueResult<Option<(File, State)>> {
        let failed = |error: reqwest::Error| self.unreachable(error.without_url().to_string());
        let spooling = |error: std::io::Error| self.unreachable(format!("it cannot be kept: {error}"));
        let mut request = self.http.get(url.clone());
        if let Some(FeedCopy { state, .. }) = held {
            for (name, value) in
                [(header::IF_NONE_MATCH, &state.etag), (header::IF_MODIFIED_SINCE, &state.last_modified)]
            {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let mut response = request.send().await.map_err(failed)?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if status.is_success() => {}
            status if status.is_client_error() => {
                return Err(self.broken(format!("the server answers {status}")));
            }
            status => return Err(self.unreachable(format!("the server answers {status}"))),
        }
        let state = state(response.headers());
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(spooling)?);
        let mut size = 0;
        while let Some(part) = response.chunk().await.map_err(failed)? {
            size += part.len() as u64;
            if size > MAX_BYTES {
                return Err(self.broken(format!("it is larger than {} GiB", MAX_BYTES >> 30)));
            }
            tokio::io::AsyncWriteExt::write_all(&mut file, &part).await.map_err(spooling)?;
        }
        let mut file = file.into_std().await;
        file.rewind().map_err(spooling)?;
        Ok(Some((file, state)))
    }

    fn unreachable(&self, reason: String) -> CatalogueError {
        CatalogueError::Unreachable { source_name: self.settings.name.clone(), reason }
    }

    fn broken(&self, reason: String) -> CatalogueError {
        CatalogueError::Broken { source_name: self.settings.name.clone(), reason }
    }

    async fn rows(&self, keys: Vec<String>) -> CatalogueResult<Documents> {
        let copy = self.held().await?;
        let reading = tokio::task::spawn_blocking(move || {
            let found = keys.iter().filter_map(|key| copy.find(key));
            found.map(|kept| Ok((kept.key.to_string(), kept.hash, copy.row(kept)?))).collect()
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

/// By what a server tells the states of a feed apart: nothing, when the feed may be written once more in the second of which
/// it is. Many servers make the `ETag` of that second, too, and of the length.
fn state(headers: &HeaderMap) -> State {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let time = |name| DateTime::parse_from_rfc2822(&text(name)?).ok();
    let last_modified = text(header::LAST_MODIFIED);
    let age = time(header::DATE).zip(time(header::LAST_MODIFIED)).map(|(sent, modified)| sent - modified);
    if last_modified.is_some() && age.is_none_or(|age| age < MIN_AGE) {
        return State::default();
    }
    State { file: None, etag: text(header::ETAG), last_modified }
}

impl FeedCopy {
    /// Whether these rows are as they were listed; one of which another was read since may be any.
    fn holds(&self, listed: &[(String, Option<i64>)]) -> bool {
        listed.iter().all(|(key, hash)| match (self.find(key), *hash) {
            (Some(_), Some(0)) => true,
            (kept, hash) => kept.map(|kept| kept.hash) == hash,
        })
    }

    fn find(&self, key: &str) -> Option<&RowPlace> {
        let at = self.rows.binary_search_by(|kept| (*kept.key).cmp(key)).ok()?;
        self.rows.get(at)
    }

    fn row(&self, kept: &RowPlace) -> std::io::Result<SpooledRow> {
        let mut bytes = vec![0; kept.length as usize];
        self.spool.read_exact_at(&mut bytes, kept.at)?;
        serde_json::from_slice(&bytes).map_err(std::io::Error::from)
    }
}

impl Catalogue for FeedSource {
    fn list(&self) -> BoxStream<'_, CatalogueResult<ListedRow>> {
        let listing = async_stream::try_stream! {
            let copy = self.take().await?;
            for kept in &copy.rows {
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

/// Reads a feed into a spool.
fn copy(
    settings: &Settings,
    in_templates: &BTreeSet<String>,
    seed: i64,
    file: File,
) -> CatalogueResult<(Vec<RowPlace>, File)> {
    let broken = |reason: String| CatalogueError::Broken { source_name: settings.name.clone(), reason };
    let spooling = |error: std::io::Error| format!("it cannot be kept: {error}");
    let spool = tempfile::tempfile().map_err(|error| broken(spooling(error)))?;
    let (mut spool, mut kept, mut at) = (BufWriter::new(spool), Vec::new(), 0);
    let (mut present, mut bytes) = (BTreeSet::new(), Vec::new());
    let reading = formats::read(settings.format, file, &mut |number, mut columns| {
        if present.len() < COLUMNS {
            present
                .extend(columns.keys().filter(|name| !present.contains(*name)).cloned().collect::<Vec<_>>());
        }
        let key = text(columns.get(&settings.rendering.key))
            .ok_or_else(|| format!("row {number} has no key: its `{}` is empty", settings.rendering.key))?;
        let picked =
            |columns: &formats::Columns, name: &String| columns.get(name).cloned().unwrap_or_default();
        let metadata: serde_json::Map<_, _> =
            settings.rendering.metadata.iter().map(|name| (name.clone(), picked(&columns, name))).collect();
        let sku = settings.rendering.sku.as_ref().and_then(|sku| text(columns.get(sku)));
        let columns: serde_json::Map<_, _> = in_templates
            .iter()
            .map(|name| (name.clone(), columns.remove(name).unwrap_or_default()))
            .collect();
        bytes.clear();
        let row = serde_json::json!({ "columns": columns, "metadata": metadata, "sku": sku });
        serde_json::to_writer(&mut bytes, &row).map_err(|error| error.to_string())?;
        spool.write_all(&bytes).map_err(spooling)?;
        let length = u32::try_from(bytes.len()).map_err(|_| format!("row {number} is too long"))?;
        let mut hash = [0; 8];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(&bytes).finalize_xof().fill(&mut hash);
        kept.push(RowPlace { key: key.into(), hash: i64::from_le_bytes(hash), at, length });
        at += u64::from(length);
        Ok(())
    });
    reading.map_err(&broken)?;
    let spool = spool.into_inner().map_err(|error| broken(spooling(error.into_error())))?;
    if kept.is_empty() {
        return Err(broken("it has no rows; an empty feed is taken for a broken one".to_owned()));
    }
    check_columns(settings, in_templates, &present)?;
    kept.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    kept.shrink_to_fit();
    if let Some([twice, _]) = kept.array_windows().find(|[one, other]| one.key == other.key) {
        return Err(broken(format!("it has more than one row with the key {:?}", twice.key)));
    }
    Ok((kept, spool))
}

/// Names of columns that are remembered for the error that lists them.
const COLUMNS: usize = 1000;

/// A value as text, when there is any.
fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Each column that the settings name must be in some row.
fn check_columns(
    settings: &Settings,
    in_templates: &BTreeSet<String>,
    present: &BTreeSet<String>,
) -> CatalogueResult<()> {
    let named = in_templates.iter().chain(&settings.rendering.metadata).chain(&settings.rendering.sku);
    let missing: BTreeSet<_> =
        named.filter(|name| !present.contains(*name)).map(|name| format!("`{name}`")).collect();
    if missing.is_empty() || present.len() >= COLUMNS {
        return Ok(());
    }
    let missing: Vec<_> = missing.into_iter().collect();
    let all: Vec<_> = present.iter().map(String::as_str).collect();
    let reason = format!(
        "the settings name the column {}, but no row has it; there are: {}",
        missing.join(", "),
        all.join(", ")
    );
    Err(CatalogueError::Misfit { source_name: settings.name.clone(), reason })
}
