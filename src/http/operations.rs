//! What operators ask: which webhooks were told what, and what it all cost.

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
    /// All when left out.
    #[param(inline)]
    status: Option<DeliveryStatus>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deliveries {
    object: &'static str,
    data: Vec<DeliveryShown>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<Uuid>,
}

/// Deliveries in a page.
const PAGE: u32 = 50;

/// Lists what webhooks were told, the newest first
#[utoipa::path(
    get, path = "/v1/webhooks/deliveries", tag = "operations", params(Filter),
    responses((status = 200, description = "A page", body = Deliveries))
)]
pub(super) async fn deliveries(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(Filter { status, cursor }): QueryParams<Filter>,
) -> Result<Json<Deliveries>, Problem> {
    caller.may_all(Scope::Admin)?;
    let read = api.store.deliveries(status, cursor, PAGE + 1).await?;
    let (data, next_cursor) = page(read, PAGE, |last| last.id);
    Ok(Json(Deliveries { object: "list", data, next_cursor }))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Redelivery {
    object: &'static str,
    id: Uuid,
    status: DeliveryStatus,
}

/// Tells a webhook once more
///
/// The message is the same, with the same `webhook-id`.
#[utoipa::path(
    post, path = "/v1/webhooks/deliveries/{id}/redeliver", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, description = "It will be", body = Redelivery))
)]
pub(super) async fn redeliver(
    State(api): State<Api>,
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<(StatusCode, Json<Redelivery>), Problem> {
    caller.may_all(Scope::Admin)?;
    let none = || Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such delivery");
    let id = id.parse().map_err(|_| none())?;
    if !api.store.redeliver(id, DeliverWebhook::KIND).await? {
        return Err(none());
    }
    Ok((StatusCode::ACCEPTED, Json(Redelivery { object: "delivery", id, status: DeliveryStatus::Pending })))
}

/// How many days are summed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Days {
    /// 1 to 366; 30 when left out.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
}

/// What models cost.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    object: &'static str,
    /// The newest first; a day without cost is left out.
    data: Vec<DayUsage>,
}

/// Sums tokens and dollars by day (UTC)
#[utoipa::path(
    get, path = "/v1/usage", tag = "operations", params(Days),
    responses((status = 200, description = "The days", body = Usage))
)]
pub(super) async fn usage(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(Days { days }): QueryParams<Days>,
) -> Result<Json<Usage>, Problem> {
    caller.may_all(Scope::Admin)?;
    let days = days.unwrap_or(30);
    if !(1..=366).contains(&days) {
        return Err(Problem::invalid(format!("days must be from 1 to 366, not {days}")));
    }
    Ok(Json(Usage { object: "list", data: api.store.usage(days).await? }))
}
