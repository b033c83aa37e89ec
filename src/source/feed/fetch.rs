//! Opens or downloads a feed, unless it is in the same state as before.

use std::{
    fs::File,
    io::{BufWriter, Seek},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use chrono::{DateTime, TimeDelta};
use reqwest::{
    Response, StatusCode, Version,
    header::{self, HeaderMap},
};
use url::Url;

use crate::{
    catalogue::CatalogueResult,
    source::{
        api::{Api, ApiError},
        feed::FeedSource,
    },
};

/// Limits of a whole download, above those of a million products.
pub(super) const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(1);
const MAX_BYTES: u64 = 8 << 30;
/// The age, by its server's clock, from which a feed is no longer written within the second of its `Last-Modified`: one
/// second, and one more for servers that cache the time.
const MIN_AGE: TimeDelta = TimeDelta::seconds(2);

/// Tells two states of a feed apart without reading it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    file: Option<(u64, u64, i64, i64)>,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// A feed that was opened.
pub(super) struct Fetched {
    pub file: File,
    pub state: State,
    /// Whether it is known that nothing is missing at its end.
    pub is_whole: bool,
}

impl FeedSource {
    /// Opens the feed's file; `None` if it is still in the state that is held.
    pub(super) fn open(&self, path: &Path, held: Option<&State>) -> CatalogueResult<Option<Fetched>> {
        let unreadable = |error: std::io::Error| self.unreachable(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let file_state = (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let state = State { file: Some(file_state), ..State::default() };
        if held == Some(&state) {
            return Ok(None);
        }
        Ok(Some(Fetched { file, state, is_whole: false }))
    }

    /// Downloads the feed; `None` if the server says that it is still in the state that is held.
    pub(super) async fn download(&self, url: &Url, held: Option<&State>) -> CatalogueResult<Option<Fetched>> {
        let failed = |error: reqwest::Error| self.unreachable(error.without_url().to_string());
        let spooling = |error: std::io::Error| self.unreachable(format!("it cannot be kept: {error}"));
        let mut request = self.http.get(url.clone());
        if let Some(state) = held {
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
        let (state, is_whole) = (state(response.headers()), states_its_end(&response));
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
        Ok(Some(Fetched { file, state, is_whole }))
    }
}

impl FeedSource {
    /// Downloads the items of an API as JSON lines.
    pub(super) async fn download_items(&self, api: &Api, since: Option<&str>) -> CatalogueResult<Fetched> {
        let kept = |error: std::io::Error| self.unreachable(format!("it cannot be kept: {error}"));
        let mut output = BufWriter::new(tempfile::tempfile().map_err(kept)?);
        let written = api.write_items(&self.http, since, &mut output).await;
        written.map_err(|error| match error {
            ApiError::Unreachable(reason) => self.unreachable(reason),
            ApiError::Broken(reason) => self.broken(reason),
        })?;
        let mut file = output.into_inner().map_err(|error| kept(error.into_error()))?;
        file.rewind().map_err(kept)?;
        Ok(Fetched { file, state: State::default(), is_whole: true })
    }
}

/// Whether a response that ends early would have been an error.
fn states_its_end(response: &Response) -> bool {
    let has = |name| response.headers().contains_key(name);
    response.version() >= Version::HTTP_2 || has(header::CONTENT_LENGTH) || has(header::TRANSFER_ENCODING)
}

/// The state of a download by its headers; empty if the feed may be written again within the second of its
/// `Last-Modified`, from which many servers make the `ETag`, too.
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
