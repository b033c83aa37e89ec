//! `POST /v1/search`: retrieval without an answer.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    auth::{Caller, Scope},
    checks::{check_filter, check_question, check_range, check_sources},
    extract::Body,
    problem::{Code, Problem},
};
use crate::{answering::Passage, store::search::SearchFilter};

const MAX_TOP_K: u32 = 100;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// A text.
    query: String,
    /// Passages, 1 to 100; `answers.top_k` by default.
    #[schema(minimum = 1, maximum = 100)]
    top_k: Option<u32>,
    /// The sources to search; all by default.
    sources: Option<Vec<String>>,
    /// Metadata that documents must have: `{"brand": "Daybird", "price": {"lt": 300}}`.
    filter: Option<Map<String, Value>>,
}

/// Passages, the nearest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results {
    object: &'static str,
    results: Vec<Passage>,
}

/// Finds the passages nearest to a text
#[utoipa::path(
    post, path = "/v1/search", tag = "search", request_body = Search,
    responses(
        (status = 200, description = "The passages", body = Results),
        (status = 422, description = "`question_too_long`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn search(caller: Caller, Body(request): Body<Search>) -> Result<Json<Results>, Problem> {
    caller.may_all(Scope::AnswersRead)?;
    check_question(&caller.api, "query", &request.query)?;
    check_sources(&caller.api, request.sources.as_deref())?;
    let filter = check_filter(request.filter.as_ref())?;
    let top_k = request.top_k.unwrap_or(caller.api.retriever.top_k);
    check_range("top_k", top_k, 1..=MAX_TOP_K)?;
    let sources = caller.sources(request.sources)?;
    let within = SearchFilter { sources: sources.as_deref(), metadata: Some(&filter) };
    let results = caller.api.retriever.look_up(&request.query, within, top_k).await.map_err(|error| {
        tracing::warn!(%error, "a search failed: {error}");
        let detail = "the embedding model or the database cannot be reached at the moment";
        Problem::new(Code::Unavailable, detail)
    })?;
    Ok(Json(Results { object: "list", results }))
}
