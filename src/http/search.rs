//! `POST /v1/search`: retrieval alone.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api,
    answers::{check_question, check_sources},
    problem::{Code, Problem},
};
use crate::{
    answer::Found,
    jobs::{JobError, answer_question::AnswerQuestion},
};

/// Passages that may be asked for.
const MOST: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    query: String,
    top_k: Option<u32>,
    sources: Option<Vec<String>>,
}

/// Finds the passages nearest to a text.
pub(super) async fn search(State(api): State<Api>, body: Bytes) -> Result<Json<Value>, Problem> {
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))?;
    check_question(&api, "query", &request.query)?;
    check_sources(&api, request.sources.as_deref())?;
    let top_k = request.top_k.unwrap_or(api.retriever.settings.top_k);
    if !(1..=MOST).contains(&top_k) {
        return Err(Problem::invalid(format!("top_k must be from 1 to {MOST}, not {top_k}")));
    }
    let results = found(&api.retriever, &request, top_k).await.map_err(|error| {
        tracing::warn!(%error, "a search failed: {error}");
        let detail = "the embedding model or the database cannot be reached at the moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail)
    })?;
    Ok(Json(results))
}

async fn found(retriever: &Arc<AnswerQuestion>, request: &Request, top_k: u32) -> Result<Value, JobError> {
    let version = retriever.versions.active().await?;
    let found = retriever.retrieve(&version, &request.query, request.sources.as_deref(), top_k).await?;
    let results: Vec<_> = found.passages.iter().map(Found::of).collect();
    Ok(json!({ "object": "list", "results": results }))
}
