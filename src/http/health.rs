//! `/livez` never touches the database; `/readyz` says whether new work is taken, and with `?verbose` what was looked at.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::Api;

/// How long the database may take to say which migrations it has.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).with_state(api)
}

/// The checks beside the database explain, and do not decide.
async fn ready(State(api): State<Api>, RawQuery(query): RawQuery) -> (StatusCode, Json<Value>) {
    let is_stopping = api.readiness.has_ended();
    let is_reachable = !is_stopping && api.store.is_reachable().await;
    let status = if is_reachable { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let database = match (is_stopping, is_reachable) {
        (true, _) => "not asked",
        (false, true) => "ok",
        (false, false) => "unreachable",
    };
    let mut body = json!({ "ready": is_reachable, "stopping": is_stopping, "database": database });
    let query = query.unwrap_or_default();
    if url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "verbose") {
        let stopping = if is_stopping { "finishing what runs" } else { "takes work" };
        let mut checks = vec![check("stopping", !is_stopping, stopping), workers(&api)];
        if !is_stopping {
            checks.push(check("database", is_reachable, database));
        }
        if is_reachable {
            checks.push(migrations(&api).await);
        }
        body["checks"] = checks.into();
    }
    (status, Json(body))
}

fn check(name: &str, is_ok: bool, detail: &str) -> Value {
    json!({ "name": name, "ok": is_ok, "detail": detail })
}

async fn migrations(api: &Api) -> Value {
    let detail = match tokio::time::timeout(PATIENCE, api.store.schema_state()).await {
        Err(_) => Err("the database does not say which it has".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(state)) => match state.missing() {
            0 => Ok("all are there".to_owned()),
            missing => Err(format!("{missing} are missing: run `shopkeeper migrate`")),
        },
    };
    let is_ok = detail.is_ok();
    check("migrations", is_ok, &detail.unwrap_or_else(|wrong| wrong))
}

fn workers(api: &Api) -> Value {
    let are_steady = api.readiness.has_steady_workers();
    let detail =
        if are_steady { "get through to the database" } else { "do not get through to the database" };
    check("workers", are_steady, detail)
}
