//! `/livez` never touches the database; `/readyz` reports whether new work is taken, and its checks with `?verbose`.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::Api;

const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).with_state(api)
}

/// Only the database decides; the other checks are for information.
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
    match tokio::time::timeout(TIMEOUT, api.store.schema_state())
        .await
        .map(|state| state.map(|state| state.missing()))
    {
        Ok(Ok(0)) => check("migrations", true, "all are applied"),
        Ok(Ok(missing)) => {
            check("migrations", false, &format!("{missing} are missing: run `shopkeeper migrate`"))
        }
        Ok(Err(error)) => check("migrations", false, &error.to_string()),
        Err(_) => check("migrations", false, "the database did not report them in time"),
    }
}

fn workers(api: &Api) -> Value {
    let are_steady = api.readiness.has_steady_workers();
    check("workers", are_steady, if are_steady { "reach the database" } else { "do not reach the database" })
}
