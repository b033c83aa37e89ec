//! For operators: deliveries to webhooks, and cost.

use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    auth::{Caller, Scope},
    checks::check_range,
    extract::{Changed, PAGE, Page, PathParams, QueryParams, parse_id, require_found},
    problem::Problem,
};
use crate::{
    job::Job,
    store::{
        deliveries::{DeliveryShown, DeliveryStatus},
        usage::DayUsage,
    },
    webhook::job::DeliverWebhook,
};

/// Which deliveries are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// All by default.
    #[param(inline)]
    status: Option<DeliveryStatus>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Lists deliveries to webhooks, the newest first
#[utoipa::path(
    get, path = "/v1/webhooks/deliveries", tag = "operations", params(Filter),
    responses((status = 200, description = "A page", body = Page<DeliveryShown, Option<Uuid>>))
)]
pub(super) async fn deliveries(
    caller: Caller,
    QueryParams(Filter { status, cursor }): QueryParams<Filter>,
) -> Result<Json<Page<DeliveryShown, Option<Uuid>>>, Problem> {
    caller.may_all(Scope::Admin)?;
    let read = caller.api.store.deliveries(status, cursor, PAGE + 1).await?;
    Ok(Json(Page::new(read, PAGE, |last| last.id)))
}

/// Delivers a message once more
///
/// The message and its `webhook-id` stay the same.
#[utoipa::path(
    post, path = "/v1/webhooks/deliveries/{id}/redeliver", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, description = "It will be", body = Changed<DeliveryStatus>))
)]
pub(super) async fn redeliver(
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<(StatusCode, Json<Changed<DeliveryStatus>>), Problem> {
    caller.may_all(Scope::Admin)?;
    let id = parse_id("delivery", &id)?;
    require_found("delivery", caller.api.store.redeliver(id, DeliverWebhook::KIND).await?)?;
    Ok((StatusCode::ACCEPTED, Json(Changed { object: "delivery", id, status: DeliveryStatus::Pending })))
}

/// The period.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Days {
    /// 1 to 366; 30 by default.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
}

/// The cost of models.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    object: &'static str,
    /// The newest first, without days that cost nothing.
    data: Vec<DayUsage>,
}

/// Sums tokens and dollars by day (UTC)
#[utoipa::path(
    get, path = "/v1/usage", tag = "operations", params(Days),
    responses((status = 200, description = "The days", body = Usage))
)]
pub(super) async fn usage(
    caller: Caller,
    QueryParams(Days { days }): QueryParams<Days>,
) -> Result<Json<Usage>, Problem> {
    caller.may_all(Scope::Admin)?;
    let days = days.unwrap_or(30);
    check_range("days", days, 1..=366)?;
    Ok(Json(Usage { object: "list", data: caller.api.store.usage(days).await? }))
}
