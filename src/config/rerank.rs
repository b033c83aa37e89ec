//! `[rerank]`: a model that orders passages anew.

use std::{num::NonZeroU32, time::Duration};

use super::defaults::{count, milliseconds};
use super::{Section, endpoint::Endpoint, endpoint::openai, table};

table! {
    /// `[rerank]`.
    pub struct Rerank, section {
        endpoint: Endpoint = flat(),
        model: String = required(),
        candidates: NonZeroU32 = get(count(30)),
        timeout: Duration = get(milliseconds(800)),
        usd_per_million_tokens: f64 = get(0.0),
    }
    check {
        check_server(section);
    }
}

/// `OpenAI` has no rerankers: the server must be named.
fn check_server(section: &Section<'_>) {
    if section.get("base_url", openai()).is_ok_and(|base_url| base_url == openai()) {
        section.fault("base_url", "is required: OpenAI has no rerankers");
    }
}
