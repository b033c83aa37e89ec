//! `/livez` never touches the database; `/readyz` says whether new work is taken.

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};

use super::Api;

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).with_state(api)
}

async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let is_stopping = api.readiness.has_ended();
    let is_reachable = !is_stopping && api.store.is_reachable().await;
    let status = if is_reachable { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let database = match (is_stopping, is_reachable) {
        (true, _) => "not asked",
        (false, true) => "ok",
        (false, false) => "unreachable",
    };
    (status, Json(json!({ "ready": is_reachable, "stopping": is_stopping, "database": database })))
}
