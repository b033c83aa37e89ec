//! A shop's JSON API over HTTP, read page by page.
//!
//! Single rows cannot be read in one way that every API has. So all pages are downloaded as JSON lines, and documents are
//! read from that copy as from a [feed](crate::source::feed).

use std::{collections::HashSet, io::Write};

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use url::Url;

use crate::{address::HttpUrl, clock, http_client, retry_hint::retry_after};

mod pace;
mod page;

use pace::Pace;
use page::{Page, link_to_next, pointer, select};

/// Where an API is, and how its pages follow each other.
#[derive(Clone, Debug)]
pub struct Api {
    /// The first page.
    pub url: HttpUrl,
    /// Where in a page its items are, as a JSON pointer whose `*` stands for every element of an array; empty for the page
    /// itself.
    pub items: String,
    /// How the next page is found; `None` if there is only one.
    pub next: Option<Next>,
    /// Sent with each request.
    pub headers: Vec<(String, SecretString)>,
    /// The body of each request, a template that sees the `cursor`; without one, requests are GET.
    pub body: Option<String>,
    /// How items that changed since a time are asked for.
    pub updated_since: Option<UpdatedSince>,
    /// The most requests in a minute.
    pub requests_per_minute: Option<u32>,
}

/// How the next page is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The response's header `Link` names it.
    LinkHeader,
    /// The page holds a cursor or the next address.
    Cursor {
        /// Where in the page.
        pointer: String,
        /// The parameter that takes the cursor; `None` if the body does, or if it is an address.
        parameter: Option<String>,
        /// Where in the page it says whether there are more.
        more: Option<String>,
    },
    /// Pages are numbered from 1, until one is empty.
    Page {
        /// The parameter that takes the number.
        parameter: String,
    },
    /// Items are skipped, until a page is empty.
    Offset {
        /// The parameter that takes the number of items.
        parameter: String,
    },
}

/// How items that changed since a time are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatedSince {
    /// The parameter that takes the time.
    pub parameter: String,
    /// How the time is written.
    pub format: TimeFormat,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum TimeFormat {
    /// `2026-01-31T12:00:00Z`.
    Rfc3339,
    /// Seconds since 1970.
    Unix,
}

/// Why pages could not be read.
#[derive(Debug)]
pub(super) enum ApiError {
    /// It may pass.
    Unreachable(String),
    /// What the API says cannot be understood.
    Broken(String),
}

/// The most pages of one listing.
const MOST_PAGES: u32 = 200_000;
/// How often a page is asked for before the listing is given up.
const ATTEMPTS: u32 = 5;
/// The most bytes of a listing.
const MAX_BYTES: u64 = 8 << 30;
/// The most bytes of one page.
const LONGEST_PAGE: usize = 256 << 20;

impl Api {
    /// Whether items may shift from one page to another while pages are read.
    pub(super) fn may_shift(&self) -> bool {
        matches!(self.next, Some(Next::Page { .. } | Next::Offset { .. }))
    }

    /// Writes the items of all pages as JSON lines, those that changed since a time if there is one. Returns their number.
    pub(super) async fn write_items(
        &self,
        http: &reqwest::Client,
        since: Option<&str>,
        mut output: impl Write,
    ) -> Result<u64, ApiError> {
        let mut limiter = Pace::new(self.requests_per_minute);
        let (mut page, mut count, mut bytes, mut seen) =
            (Page { number: 1, ..Page::default() }, 0, 0, HashSet::new());
        for _ in 0..MOST_PAGES {
            let (headers, body) = self.ask(http, &page, since, &mut limiter).await?;
            let json: &RawValue = serde_json::from_str(&body)
                .map_err(|error| broken(&page, format!("is not JSON: {error}")))?;
            let items = select(json, &self.items).ok_or_else(|| {
                let begin: String = body.chars().take(200).collect();
                broken(&page, format!("has no items at {:?}: {begin}", self.items))
            })?;
            let mut hash = blake3::Hasher::new();
            for item in &items {
                hash.update(item.get().as_bytes());
            }
            if !items.is_empty() && !seen.insert(*hash.finalize().as_bytes()) {
                return Err(broken(&page, "repeats an earlier page: `next` does not fit the API"));
            }
            bytes += body.len() as u64;
            if bytes > MAX_BYTES {
                return Err(broken(&page, format!("is beyond {} GiB", MAX_BYTES >> 30)));
            }
            for item in &items {
                let line = item.get().replace(['\n', '\r'], " ");
                writeln!(output, "{line}")
                    .map_err(|error| ApiError::Unreachable(format!("it cannot be kept: {error}")))?;
            }
            count += items.len() as u64;
            match self.next_page(&page, &headers, json, items.len())? {
                Some(next) => page = next,
                None => return Ok(count),
            }
        }
        Err(ApiError::Broken(format!("it has more than {MOST_PAGES} pages")))
    }

    fn next_page(
        &self,
        page: &Page,
        headers: &HeaderMap,
        json: &RawValue,
        items: usize,
    ) -> Result<Option<Page>, ApiError> {
        let number = page.number + 1;
        let at = |address: &str| {
            self.same_origin(address, page)
                .map(|url| Some(Page { url: Some(url), number, ..Page::default() }))
        };
        match &self.next {
            None => Ok(None),
            Some(Next::LinkHeader) => link_to_next(headers).map_or(Ok(None), |address| at(&address)),
            Some(Next::Page { .. } | Next::Offset { .. }) if items == 0 => Ok(None),
            Some(Next::Page { .. } | Next::Offset { .. }) => {
                Ok(Some(Page { number, offset: page.offset + items as u64, ..Page::default() }))
            }
            Some(Next::Cursor { pointer: place, parameter, more }) => {
                let has_more = match more {
                    None => None,
                    Some(more) => match pointer(json, more).map(RawValue::get) {
                        Some("true") => Some(true),
                        Some("false" | "null") => Some(false),
                        _ => {
                            return Err(broken(
                                page,
                                format!("does not say at {more:?} whether there are more"),
                            ));
                        }
                    },
                };
                let cursor =
                    pointer(json, place).and_then(|cursor| crate::catalogue::values::text(Some(cursor)));
                match cursor.filter(|_| has_more != Some(false)) {
                    None if has_more == Some(true) => {
                        Err(broken(page, format!("has no cursor at {place:?}")))
                    }
                    None => Ok(None),
                    Some(address) if parameter.is_none() && self.body.is_none() => at(&address),
                    Some(cursor) => Ok(Some(Page { cursor: Some(cursor), number, ..Page::default() })),
                }
            }
        }
    }

    /// The address of the next page. Another server would be sent the headers, which may hold a key.
    fn same_origin(&self, address: &str, page: &Page) -> Result<Url, ApiError> {
        let first = self.url.expose();
        let url = first.join(address).map_err(|_| broken(page, "names no address as the next page"))?;
        if url.origin() != first.origin() {
            return Err(broken(
                page,
                format!("names a next page on another server, {}", url.origin().ascii_serialization()),
            ));
        }
        Ok(url)
    }

    fn request(
        &self,
        http: &reqwest::Client,
        page: &Page,
        since: Option<&str>,
    ) -> Result<RequestBuilder, ApiError> {
        let mut url = page.url.clone().unwrap_or_else(|| self.url.expose().clone());
        let mut parameters: Vec<(&str, String)> = Vec::new();
        if page.url.is_none() {
            parameters.extend(
                self.updated_since.as_ref().zip(since).map(|(by, since)| (&*by.parameter, since.to_owned())),
            );
        }
        match (&self.next, &page.cursor) {
            (Some(Next::Cursor { parameter: Some(parameter), .. }), Some(cursor)) => {
                parameters.push((parameter, cursor.clone()));
            }
            (Some(Next::Page { parameter }), _) => parameters.push((parameter, page.number.to_string())),
            (Some(Next::Offset { parameter }), _) => parameters.push((parameter, page.offset.to_string())),
            _ => {}
        }
        if !parameters.is_empty() {
            // A parameter that the address has already is replaced.
            let kept: Vec<_> = url
                .query_pairs()
                .into_owned()
                .filter(|(name, _)| !parameters.iter().any(|(new, _)| new == name))
                .collect();
            url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(&parameters);
        }
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        let mut request = http.request(method, url).header("accept", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value.expose_secret());
        }
        if let Some(body) = &self.body {
            let context =
                minijinja::context! { cursor => page.cursor.clone(), page => page.number, since => since };
            let body = minijinja::Environment::new().render_str(body, context);
            let body = body.map_err(|error| ApiError::Broken(format!("body: {error}")))?;
            request = request.header("content-type", "application/json").body(body);
        }
        Ok(request)
    }

    /// Asks for a page, some times if the server is busy or away.
    async fn ask(
        &self,
        http: &reqwest::Client,
        page: &Page,
        since: Option<&str>,
        limiter: &mut Pace,
    ) -> Result<(HeaderMap, String), ApiError> {
        let mut attempt = 1;
        loop {
            limiter.wait().await;
            let (reason, wait) = match received(self.request(http, page, since)?).await {
                Ok(Received::Page(headers, body)) => return Ok((headers, body)),
                Ok(Received::Refused(status, body)) => {
                    return Err(broken(page, format!("is refused with {status}: {body}")));
                }
                Ok(Received::Busy(status, wait)) => (format!("the server answers {status}"), wait),
                Err(reason) => (reason, None),
            };
            if attempt == ATTEMPTS {
                return Err(ApiError::Unreachable(format!("page {}: {reason}", page.number)));
            }
            limiter.back_off(attempt, wait).await;
            attempt += 1;
        }
    }
}

enum Received {
    Page(HeaderMap, String),
    Busy(StatusCode, Option<std::time::Duration>),
    Refused(StatusCode, String),
}

async fn received(request: RequestBuilder) -> Result<Received, String> {
    let failed = |error: reqwest::Error| http_client::last_cause(&error.without_url());
    let mut response = request.send().await.map_err(failed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Ok(Received::Busy(status, retry_after(&headers, clock::now(), pace::LONGEST_WAIT)));
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST_PAGE {
            return Err(format!("the page is larger than {} MiB", LONGEST_PAGE >> 20));
        }
    }
    let body = String::from_utf8_lossy(&body).trim_start_matches('\u{feff}').to_owned();
    if status.is_success() {
        return Ok(Received::Page(headers, body));
    }
    Ok(Received::Refused(status, body.chars().take(200).collect()))
}

fn broken(page: &Page, reason: impl std::fmt::Display) -> ApiError {
    ApiError::Broken(format!("page {} {reason}", page.number))
}
