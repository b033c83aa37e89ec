//! How a server is reached: its address, and what is added to each request.

use std::time::Duration;

use async_openai::config::Config;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

/// How a server is reached.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServerSettings {
    pub base_url: String,
    /// The address without secrets, for errors.
    pub shown: String,
    /// Without a key, no `Authorization` header is sent.
    pub api_key: Option<SecretString>,
    pub headers: Vec<(String, SecretString)>,
    pub query: Vec<(String, SecretString)>,
    /// Merged into the JSON of each request.
    pub extra_body: Map<String, Value>,
    /// Of one request.
    pub timeout: Duration,
}

/// The address and the headers of requests. async-openai's own configuration sends `Authorization: Bearer ` even without
/// a key, and adds an organization and a project from the environment, whichever server they are for.
pub(super) struct Access {
    base_url: String,
    key: SecretString,
    headers: HeaderMap,
    query: Vec<(String, SecretString)>,
}

impl Access {
    /// Fails on a key or a header that HTTP cannot carry; the error quotes no value.
    pub(super) fn new(settings: &ServerSettings) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str, what: &str| {
            let unusable = |_| format!("{what} has characters that no HTTP header may have");
            let mut value = HeaderValue::from_str(value).map_err(unusable)?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok::<_, String>(())
        };
        let key = settings.api_key.as_ref().map_or("", ExposeSecret::expose_secret);
        if !key.is_empty() {
            add(AUTHORIZATION, &format!("Bearer {key}"), "its key")?;
        }
        for (name, value) in &settings.headers {
            let known = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no HTTP header"))?;
            add(known, value.expose_secret(), &format!("the value of its header {name}"))?;
        }
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        Ok(Self { base_url, key: key.into(), headers, query: settings.query.clone() })
    }
}

impl Config for Access {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}
