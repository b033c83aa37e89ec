//! `/metrics` in Prometheus' text format, for those who watch.

use std::time::{Duration, Instant};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};

use super::Api;
use crate::telemetry;

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(api)
}

/// Documents are counted no more often than this: it reads them all.
const DOCUMENTS: Duration = Duration::from_mins(1);

/// What this process counted, and what the database says now. When the database is away its figures are
/// left as they were.
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let (used, idle) = api.store.connections();
    telemetry::connections(used, idle);
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
    if let Ok(mut counted) = api.documents_counted.try_lock()
        && counted.is_none_or(|at| at.elapsed() > DOCUMENTS)
    {
        *counted = Some(Instant::now());
        match api.store.source_status().await {
            Ok(sources) => {
                for source in &sources {
                    let states =
                        [("fresh", source.fresh), ("stale", source.stale), ("failed", source.failed)];
                    telemetry::documents(&source.source, &states);
                }
            }
            Err(error) => tracing::warn!(%error, "the documents could not be counted for the metrics"),
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::metrics())
}
