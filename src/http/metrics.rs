//! `/metrics` in Prometheus' text format, for those who watch.

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};

use super::Api;
use crate::telemetry;

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(api)
}

/// What this process counted, and what the database says now. When the database is away its figures are
/// left as they were.
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    match api.store.queue_status(api.kinds).await {
        Ok(kinds) => {
            for kind in &kinds {
                let depths = [
                    ("ready", if kind.paused { 0 } else { kind.ready }),
                    ("paused", if kind.paused { kind.ready } else { 0 }),
                    ("scheduled", kind.scheduled),
                    ("running", kind.running),
                    ("dead", kind.dead),
                ];
                telemetry::queue(&kind.kind, &depths, kind.oldest_ready_seconds.unwrap_or(0.0));
            }
        }
        Err(error) => tracing::warn!(%error, "the queue could not be counted for the metrics"),
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::metrics())
}
