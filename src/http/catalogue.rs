//! `POST /v1/documents/{source}/{key}/refresh` and `POST /v1/sync`: other services say what changed.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api,
    problem::{Code, Problem},
};
use crate::{
    catalogue::DocumentId,
    jobs::{Job, sync_catalogue::SyncCatalogue},
};

/// Which source, and how; left out, all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    source: Option<String>,
    full: bool,
}

pub(super) async fn refresh(
    State(api): State<Api>,
    Path((source, key)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    known(&api, &source)?;
    if key.contains('\0') {
        return Err(Problem::invalid("key holds a NUL character"));
    }
    let id = DocumentId { source, key };
    api.store.refresh_one(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "source": id.source, "key": id.key }))))
}

pub(super) async fn sync(State(api): State<Api>, body: Bytes) -> Result<(StatusCode, Json<Value>), Problem> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let request: Request = serde_json::from_slice(body)
        .map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))?;
    if let Some(source) = &request.source {
        known(&api, source)?;
    }
    let sources = request.source.map_or_else(|| api.sources.to_vec(), |source| vec![source]);
    let payload = |source| json!({ "source": source, "full": request.full });
    let payloads: Vec<_> = sources.iter().map(payload).collect();
    api.store.enqueue(SyncCatalogue::KIND, &sources, &payloads).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "sources": sources }))))
}

fn known(api: &Api, source: &String) -> Result<(), Problem> {
    if api.sources.contains(source) {
        return Ok(());
    }
    let known = json!(api.sources.as_ref());
    let detail = format!("there is no source {source:?}; there are {known}");
    Err(Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail))
}
