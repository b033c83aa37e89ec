//! The address of a server and the key that is sent to it.

use async_openai::config::Config;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::SecretString;

/// The address and the headers of requests. async-openai's own configuration sends `Authorization: Bearer ` even without
/// a key, and adds an organization and a project from the environment, whichever server they are for.
pub(super) struct Access {
    base_url: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Access {
    /// Fails on a key that a header cannot carry; the error does not quote it.
    pub(super) fn new(base_url: &str, key: Option<&str>) -> Result<Self, &'static str> {
        let mut headers = HeaderMap::new();
        let key = key.unwrap_or_default();
        if !key.is_empty() {
            let bearer = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut bearer = bearer.map_err(|_| "its key has characters that no HTTP header may have")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), key: key.into(), headers })
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
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}
