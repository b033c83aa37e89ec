//! `/metrics` in Prometheus' text format.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::sync::Mutex;

use super::Api;
use crate::{clock, store::StoreError, telemetry};

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(api)
}

/// When the figures in the database were last counted.
#[derive(Clone, Debug, Default)]
pub struct LastCount {
    jobs: Throttle,
    documents: Throttle,
}

/// The shortest interval between counts of documents, each of which reads all of them.
const DOCUMENTS_INTERVAL: Duration = Duration::from_mins(1);

/// Returns the metrics of this process, and figures from the database. If the database is down, these stay as they were.
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let (used, idle) = api.store.connections();
    telemetry::connections(used, idle);
    let LastCount { jobs, documents } = &api.counted;
    let (store, kinds) = (api.store.clone(), api.kinds);
    let queue = async move {
        for kind in store.queue_status(kinds).await? {
            let depths = [
                ("ready", if kind.paused { 0 } else { kind.ready }),
                ("paused", if kind.paused { kind.ready } else { 0 }),
                ("scheduled", kind.scheduled),
                ("running", kind.running),
                ("dead", kind.dead),
            ];
            telemetry::queue(&kind.kind, &depths, kind.oldest_ready_seconds.unwrap_or(0.0));
        }
        let waits = store.budget_waits().await?;
        telemetry::budget_waits(waits.into_iter().map(|wait| {
            let age = (clock::now() - wait.since).as_seconds_f64().max(0.0);
            let labels = [
                ("kind", wait.kind),
                ("waits_for", <&str>::from(wait.waits_for).to_owned()),
                ("server", wait.server.unwrap_or_default()),
                ("model", wait.model.unwrap_or_default()),
            ];
            (labels, wait.jobs, age)
        }));
        Ok(())
    };
    jobs.count("the queue", Duration::ZERO, queue).await;
    let (store, sources) = (api.store.clone(), api.sources.clone());
    let states = async move {
        for source in store.document_states().await? {
            let states = [("fresh", source.fresh), ("stale", source.stale), ("failed", source.failed)];
            let is_gone =
                !sources.contains(&source.source) && states.iter().all(|(_, documents)| *documents == 0);
            telemetry::documents(&source.source, &states, is_gone);
        }
        Ok(())
    };
    documents.count("the documents", DOCUMENTS_INTERVAL, states).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::metrics())
}

/// Limits counting to a twentieth of the time, however long a count takes and however often it is requested.
#[derive(Clone, Debug, Default)]
struct Throttle(Arc<Mutex<Option<Instant>>>);

impl Throttle {
    /// Counts, unless a count is running or was made within `pause`. A count continues after its request has ended: the
    /// next request gets the result.
    #[expect(clippy::disallowed_methods, reason = "it ends with its statements")]
    async fn count(
        &self,
        what: &'static str,
        pause: Duration,
        counting: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        let Ok(mut next) = self.0.clone().try_lock_owned() else { return };
        let began = Instant::now();
        if next.is_some_and(|next| began < next) {
            return;
        }
        let counting = tokio::spawn(async move {
            if let Err(error) = counting.await {
                tracing::warn!(%error, "{what} could not be counted for the metrics");
            }
            *next = Some(Instant::now() + rest(began.elapsed()).max(pause));
        });
        drop(counting.await);
    }
}

/// The pause after a count of this duration.
fn rest(took: Duration) -> Duration {
    took * 19
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_was_counted_a_moment_ago_is_not_counted_again_and_what_takes_long_the_more_seldom() {
        let (throttle, counts) = (Throttle::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let counts = counts.clone();
            let count = async move {
                counts.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            throttle.count("it", DOCUMENTS_INTERVAL, count).await;
        }
        assert_eq!(counts.load(Ordering::Relaxed), 1);
        assert_eq!(rest(Duration::from_secs(2)), Duration::from_secs(38));
    }

    #[tokio::test]
    async fn a_count_is_finished_also_when_whoever_asked_goes_away() {
        let throttle = Throttle::default();
        let (send, received) = tokio::sync::oneshot::channel();
        let slow = async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            send.send("counted").unwrap();
            Ok(())
        };
        let asked =
            tokio::time::timeout(Duration::from_millis(1), throttle.count("it", DOCUMENTS_INTERVAL, slow));
        assert!(asked.await.is_err());
        assert_eq!(received.await.unwrap(), "counted");
    }
}
