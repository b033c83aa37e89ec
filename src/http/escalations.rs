//! Escalations: questions that need a human.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    auth::{Caller, Scope},
    extract::{PAGE, Page, PathParams, QueryParams},
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
    responses((status = 200, description = "A page", body = Page<Escalation, Uuid>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(Filter { status, cursor }): QueryParams<Filter>,
) -> Result<Json<Page<Escalation, Uuid>>, Problem> {
    caller.may_all(Scope::AnswersRead)?;
    let read = api.store.escalations(caller.sees(), status, cursor, PAGE + 1).await?;
    Ok(Json(Page::new(read, PAGE, |last| last.id)))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Acknowledged {
    object: &'static str,
    id: Uuid,
    status: EscalationStatus,
}

/// Acknowledges an escalation
///
/// A human takes it. Repeating changes nothing.
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
    let none = || Problem::not_found("escalation");
    let id = id.parse().map_err(|_| none())?;
    if !api.store.acknowledge(caller.sees(), id).await? {
        return Err(none());
    }
    Ok(Json(Acknowledged { object: "escalation", id, status: EscalationStatus::Acknowledged }))
}
