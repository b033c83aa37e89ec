//! `[openai]` and `[budget]`: model servers, and how much may be asked of them.

use std::{num::NonZeroU32, time::Duration};

use secrecy::SecretString;
use serde_json::{Map, Value as Json, json};
use url::{Host, Url};

use super::access::{NamedValues, elsewhere, extra_body, is_secret, named_values, quoted};
use super::{ReadError, Section, Setting, Table, Value, defaults::count, table};
use crate::address::HttpUrl;

const OPENAI: &str = "https://api.openai.com/v1";

/// The default limits of a server, unless it is on this host.
const REQUESTS_PER_MINUTE: u32 = 3000;
const TOKENS_PER_MINUTE: u32 = 1_000_000;

table! {
    /// A model server: `[openai]`, from which `[embedding]`, `[answers]` and `[rerank]` inherit.
    pub struct Endpoint, section {
        base_url: HttpUrl = with(base_url),
        headers: NamedValues = with(named_values),
        query: NamedValues = with(named_values),
        extra_body: Map<String, Json> = with(extra_body),
        api_key: Option<SecretString> = with(api_key),
        requests_per_minute: RateLimit = with(|section, key| rate_limit(section, key, REQUESTS_PER_MINUTE)),
        tokens_per_minute: RateLimit = with(|section, key| rate_limit(section, key, TOKENS_PER_MINUTE)),
    }
}

pub(super) fn openai() -> HttpUrl {
    OPENAI.parse().expect("it is an https address")
}

/// A query would end up in the middle of each address.
fn base_url(section: &Section<'_>, key: &str) -> Result<HttpUrl, ReadError> {
    let base_url: HttpUrl = section.get(key, openai())?;
    let url = base_url.expose();
    if url.query().is_none() {
        return Ok(base_url);
    }
    let pairs = url.query_pairs().map(|(name, value)| {
        if is_secret(&name) { elsewhere(&name) } else { format!("{} = {value:?}", quoted(&name)) }
    });
    let query = pairs.collect::<Vec<_>>().join(", ");
    Err(section.fault_of_value(key, format!("must not have a query: write query = {{ {query} }} beside it")))
}

/// OpenAI's own server needs a key; local ones often need none.
fn api_key(section: &Section<'_>, key: &str) -> Result<Option<SecretString>, ReadError> {
    let (api_key, base_url) = (section.get(key, None::<SecretString>)?, section.get("base_url", openai())?);
    if api_key.is_some()
        || section.is_present("headers")
        || base_url != openai()
        || section.path() == "openai"
    {
        return Ok(api_key);
    }
    Err(if section.is_written("base_url") {
        section.fault(key, "is required, since this base_url is not the one that has a key")
    } else {
        let message = "is required, here or as the environment's OPENAI_API_KEY";
        section.fault_elsewhere("openai.api_key", message)
    })
}

/// Notes the faults of `[openai]`; the sections that inherit from it read their own copies.
pub(super) fn check_openai(root: &Section<'_>) {
    let section = root.section("openai");
    let _ = (Endpoint::read(&section), section.optional::<Duration>("timeout"));
    section.finish();
}

/// How much all daemons together may ask of a model per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// Shown as `unlimited`; cannot be written in the file.
    Unlimited,
    /// At most this many.
    PerMinute(NonZeroU32),
}

impl RateLimit {
    /// The limit; `None` is no limit.
    pub fn per_minute(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::PerMinute(most) => Some(most.get()),
        }
    }
}

impl Setting for RateLimit {
    fn read(value: &Value) -> Result<Self, String> {
        NonZeroU32::read(value).map(Self::PerMinute)
    }

    fn show(&self) -> Json {
        self.per_minute().map_or_else(|| json!("unlimited"), Json::from)
    }
}

/// A server on this host is unlimited by default, since no other host shares it.
fn rate_limit(section: &Section<'_>, key: &str, default: u32) -> Result<RateLimit, ReadError> {
    let (written, base_url) = (section.optional(key), section.get("base_url", openai()));
    let default = || match base_url {
        Ok(base_url) if is_loopback(base_url.expose()) => Ok(RateLimit::Unlimited),
        Ok(_) => Ok(RateLimit::PerMinute(count(default))),
        Err(faulty) => Err(faulty),
    };
    written?.map_or_else(default, Ok)
}

/// Whether a URL names this host by a loopback address.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

table! {
    /// `[budget]`: dollars per day (UTC); zero is no limit.
    pub struct Budget, section {
        embedding_usd: f64 = get(0.0),
        answers_usd: f64 = get(0.0),
    }
}
