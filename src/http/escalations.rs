//! Escalations: questions that need a human.

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    auth::{Caller, Scope},
    extract::{Changed, PAGE, Page, PathParams, QueryParams, parse_id},
    problem::Problem,
};
use crate::{answering::object::EscalationStatus, store::escalations::Escalation};

/// Which escalations are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// `open` by default.
    #[serde(default)]
    #[param(inline)]
    status: EscalationStatus,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Lists escalations, the oldest first
#[utoipa::path(
    get, path = "/v1/escalations", tag = "escalations", params(Filter),
    responses((status = 200, description = "A page", body = Page<Escalation, Option<Uuid>>))
)]
pub(super) async fn list(
    caller: Caller,
    QueryParams(Filter { status, cursor }): QueryParams<Filter>,
) -> Result<Json<Page<Escalation, Option<Uuid>>>, Problem> {
    caller.may_all(Scope::AnswersRead)?;
    let read = caller.api.store.escalations(caller.sees(), status, cursor, PAGE + 1).await?;
    Ok(Json(Page::new(read, PAGE, |last| last.id)))
}

/// Acknowledges an escalation
///
/// A human takes it. Repeating changes nothing.
#[utoipa::path(
    post, path = "/v1/escalations/{id}/ack", tag = "escalations", params(("id" = String, Path)),
    responses((status = 200, description = "Noted", body = Changed<EscalationStatus>))
)]
pub(super) async fn acknowledge(
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<Changed<EscalationStatus>>, Problem> {
    caller.may_all(Scope::AnswersWrite)?;
    let id = parse_id("escalation", &id)?;
    let status = caller.api.store.acknowledge(caller.sees(), id).await?;
    let status = status.ok_or_else(|| Problem::not_found("escalation"))?;
    Ok(Json(Changed { object: "escalation", id, status }))
}
