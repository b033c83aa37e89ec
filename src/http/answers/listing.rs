//! `GET /v1/answers` lists answers.

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    answering::object::{AnswerObject, AnswerStatus},
    http::{
        auth::{Caller, Scope},
        checks::{check_name, check_range},
        extract::{PAGE, Page, QueryParams},
        problem::Problem,
    },
};

/// Which answers are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Filter {
    /// Of this conversation.
    session_id: Option<String>,
    /// Of this status.
    #[param(inline)]
    status: Option<AnswerStatus>,
    /// `next_cursor` of the page before.
    cursor: Option<i64>,
    /// 1 to 50; 50 by default.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<u32>,
}

/// Lists answers, the newest first
#[utoipa::path(
    get, path = "/v1/answers", tag = "answers", params(Filter),
    responses((status = 200, description = "A page", body = Page<AnswerObject, Option<i64>>))
)]
pub(in crate::http) async fn list(
    caller: Caller,
    QueryParams(filter): QueryParams<Filter>,
) -> Result<Json<Page<AnswerObject, Option<i64>>>, Problem> {
    caller.may(Scope::AnswersRead)?;
    filter.session_id.as_ref().map_or(Ok(()), |session| check_name("session_id", session))?;
    let limit = filter.limit.unwrap_or(PAGE);
    check_range("limit", limit, 1..=PAGE)?;
    let session = caller.session(filter.session_id)?;
    let answers =
        caller.api.store.answers(caller.sees(), session.as_deref(), filter.status, filter.cursor, limit + 1);
    Ok(Json(Page::new(answers.await?, limit, |last| last.seq)))
}
