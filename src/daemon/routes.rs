//! The state of the HTTP routes.

use std::num::NonZeroU32;

use anyhow::Context;
use axum::http::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::{Parts, Workers};
use crate::{
    config::{Config, RequireToken},
    http::{Api, LastCount, Rate, Readiness, Waiting},
    store::Store,
};

pub(super) fn api(
    config: &Config,
    store: &Store,
    parts: &Parts,
    stop: &CancellationToken,
) -> anyhow::Result<Api> {
    let is_local = config.http.listen.is_some_and(|address| address.ip().is_loopback());
    Ok(Api {
        store: store.clone(),
        sources: config.source_names().into(),
        webhooks: config.webhooks.iter().map(|webhook| webhook.name.clone()).collect(),
        max_queued: config.answers.max_queued.get(),
        require_token: match config.http.require_token {
            RequireToken::Always => true,
            RequireToken::UnlessLoopback => config.http.listen.is_some() && !is_local,
            RequireToken::Never => false,
        },
        is_local,
        origins: origins(config)?.into(),
        rate: Rate::per_minute(NonZeroU32::new(config.http.requests_per_minute)),
        kinds: Workers::KINDS,
        retriever: parts.retriever.clone(),
        max_question_chars: parts.answer.limits.max_question_chars.get() as usize,
        waiting: Waiting::new(stop.clone()),
        readiness: Readiness::default(),
        counted: LastCount::default(),
    })
}

/// The origins of browsers that may call the API.
fn origins(config: &Config) -> anyhow::Result<Vec<HeaderValue>> {
    let parse = |origin: &String| origin.parse().with_context(|| format!("http.cors_origins: {origin:?}"));
    config.http.cors_origins.iter().map(parse).collect()
}
