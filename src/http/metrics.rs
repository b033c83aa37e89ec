//! `/metrics` in Prometheus' text format, for those who watch.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::sync::{Mutex, MutexGuard};

use super::Api;
use crate::{store::StoreError, telemetry};

pub(super) fn routes(api: Api) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(api)
}

/// When the database was last asked for figures.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    jobs: Arc<Seldom>,
    documents: Arc<Seldom>,
}

/// Documents are counted no more often than this: it reads them all.
const DOCUMENTS: Duration = Duration::from_mins(1);

/// What this process counted, and what the database says now. When the database is away its figures are
/// left as they were.
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let (used, idle) = api.store.connections();
    telemetry::connections(used, idle);
    let Counted { jobs, documents } = &api.counted;
    for kind in jobs.count("the queue", Duration::ZERO, api.store.queue_status(api.kinds)).await {
        let depths = [
            ("ready", if kind.paused { 0 } else { kind.ready }),
            ("paused", if kind.paused { kind.ready } else { 0 }),
            ("scheduled", kind.scheduled),
            ("running", kind.running),
            ("dead", kind.dead),
        ];
        telemetry::queue(&kind.kind, &depths, kind.oldest_ready_seconds.unwrap_or(0.0));
    }
    for source in documents.count("the documents", DOCUMENTS, api.store.document_states()).await {
        let states = [("fresh", source.fresh), ("stale", source.stale), ("failed", source.failed)];
        telemetry::documents(&source.source, &states);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::metrics())
}

/// Counts so seldom that it takes no more than a twentieth of the time, however much there is to be counted and
/// however often somebody asks.
#[derive(Debug, Default)]
struct Seldom(Mutex<Option<Instant>>);

/// A count that is under way. Who asked may go away before its end.
struct Count<'a> {
    next: MutexGuard<'a, Option<Instant>>,
    began: Instant,
    pause: Duration,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        *self.next = Some(Instant::now() + rest(self.began.elapsed()).max(self.pause));
    }
}

impl Seldom {
    /// What there is, or nothing when it is too early or cannot be said; not before `pause` is over.
    async fn count<T>(
        &self,
        what: &str,
        pause: Duration,
        counting: impl Future<Output = Result<Vec<T>, StoreError>>,
    ) -> Vec<T> {
        // Whoever holds it counts.
        let Ok(next) = self.0.try_lock() else { return Vec::new() };
        let began = Instant::now();
        if next.is_some_and(|next| began < next) {
            return Vec::new();
        }
        let _count = Count { next, began, pause };
        counting.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "{what} could not be counted for the metrics");
            Vec::new()
        })
    }
}

/// How long nobody counts after a count that took so long.
fn rest(took: Duration) -> Duration {
    took * 19
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_counted_a_moment_ago_is_not_counted_again_and_what_takes_long_the_more_seldom() {
        let seldom = Seldom::default();
        let count = || async { Ok(vec![7]) };
        assert_eq!(seldom.count("it", DOCUMENTS, count()).await, [7]);
        assert!(seldom.count("it", DOCUMENTS, count()).await.is_empty());
        assert_eq!(rest(Duration::from_secs(2)), Duration::from_secs(38));
    }

    #[tokio::test]
    async fn a_count_that_was_given_up_is_not_begun_again_at_once() {
        let seldom = Seldom::default();
        let slow = std::future::pending::<Result<Vec<i32>, StoreError>>();
        let given_up = tokio::time::timeout(Duration::from_millis(1), seldom.count("it", DOCUMENTS, slow));
        assert!(given_up.await.is_err());
        assert!(seldom.count("it", DOCUMENTS, async { Ok(vec![7]) }).await.is_empty());
    }
}
