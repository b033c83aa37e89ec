//! Questions that a human is asked to see to.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    auth::{Caller, Scope},
    extract::{PathParams, QueryParams, page},
    problem::{Code, Problem},
};
use crate::store::escalations::Escalation;

/// Which escalations are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// `open` when left out.
    #[serde(default)]
    #[param(inline)]
    status: Status,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = EscalationStatus)]
pub(super) enum Status {
    #[default]
    Open,
    Acknowledged,
}

/// A page of escalations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Escalations {
    object: &'static str,
    data: Vec<Escalation>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<Uuid>,
}

/// Escalations in a page.
const PAGE: u32 = 50;

/// Lists escalations, the oldest first
#[utoipa::path(
    get, path = "/v1/escalations", tag = "escalations", params(Filter),
    responses((status = 200, description = "A page", body = Escalations))
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(Filter { status, cursor }): QueryParams<Filter>,
) -> Result<Json<Escalations>, Problem> {
    caller.may_all(Scope::AnswersRead)?;
    let status = match status {
        Status::Open => "open",
        Status::Acknowledged => "acknowledged",
    };
    let read = api.store.escalations(caller.sees(), status, cursor, PAGE + 1).await?;
    let (data, next_cursor) = page(read, PAGE, |last| last.id);
    Ok(Json(Escalations { object: "list", data, next_cursor }))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Acknowledged {
    object: &'static str,
    id: Uuid,
    status: Status,
}

/// Says that a human sees to it
///
/// Saying so again changes nothing.
#[utoipa::path(
    post, path = "/v1/escalations/{id}/ack", tag = "escalations", params(("id" = String, Path)),
    responses((status = 200, description = "Noted", body = Acknowledged))
)]
pub(super) async fn acknowledge(
    State(api): State<Api>,
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<Acknowledged>, Problem> {
    caller.may_all(Scope::AnswersWrite)?;
    let none = || Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such escalation");
    let id = id.parse().map_err(|_| none())?;
    if !api.store.acknowledge(caller.sees(), id).await? {
        return Err(none());
    }
    Ok(Json(Acknowledged { object: "escalation", id, status: Status::Acknowledged }))
}
