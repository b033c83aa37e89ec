//! `POST /v1/documents/{source}/{key}/refresh` and `POST /v1/sync`: other services report changes.

use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Api,
    auth::{Caller, Scope},
    checks::check_text,
    extract::{Body, PathParams},
    problem::{Code, Problem},
};
use crate::{catalogue::DocumentId, job::Job, sync::reconcile::SyncCatalogue};

/// What to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sync {
    /// All sources by default.
    source: Option<String>,
    /// Also refresh unchanged documents.
    #[serde(default)]
    full: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncReceipt {
    sources: Vec<String>,
}

/// The longest key, in bytes.
const MAX_KEY: usize = 1024;

/// Has one document read again
#[utoipa::path(
    post, path = "/v1/documents/{source}/{key}/refresh", tag = "catalogue",
    params(("source" = String, Path), ("key" = String, Path)),
    responses((status = 202, description = "It will be", body = DocumentId))
)]
pub(super) async fn refresh(
    caller: Caller,
    PathParams((source, key)): PathParams<(String, String)>,
) -> Result<(StatusCode, Json<DocumentId>), Problem> {
    caller.may_all(Scope::Admin)?;
    check_source(&caller.api, &source)?;
    check_text("key", &key)?;
    if key.len() > MAX_KEY {
        return Err(Problem::invalid(format!("key has {} bytes; the most is {MAX_KEY}", key.len())));
    }
    let id = DocumentId { source, key };
    caller.api.store.refresh_one(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(id)))
}

/// Has sources compared with the index
#[utoipa::path(
    post, path = "/v1/sync", tag = "catalogue", request_body = Sync,
    responses((status = 202, description = "They will be", body = SyncReceipt))
)]
pub(super) async fn sync(
    caller: Caller,
    Body(request): Body<Sync>,
) -> Result<(StatusCode, Json<SyncReceipt>), Problem> {
    caller.may_all(Scope::Admin)?;
    if let Some(source) = &request.source {
        check_source(&caller.api, source)?;
    }
    let sources = request.source.map_or_else(|| caller.api.sources.to_vec(), |source| vec![source]);
    let payload = |source| json!({ "source": source, "full": request.full });
    let payloads: Vec<_> = sources.iter().map(payload).collect();
    // A full sync has its own key: otherwise a later job would replace it.
    let suffix = if request.full { "/full" } else { "" };
    let keys: Vec<_> = sources.iter().map(|source| format!("{source}{suffix}")).collect();
    caller.api.store.enqueue(SyncCatalogue::KIND, &keys, &payloads).await?;
    Ok((StatusCode::ACCEPTED, Json(SyncReceipt { sources })))
}

fn check_source(api: &Api, source: &String) -> Result<(), Problem> {
    if api.sources.contains(source) {
        return Ok(());
    }
    let known = json!(api.sources.as_ref());
    let detail = format!("there is no source {source:?}; there are {known}");
    Err(Problem::new(Code::NotFound, detail))
}
