//! The API for other services, and health for those who watch.
//!
//! Every error is a problem (RFC 9457) with a stable `code`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
    time::Instant,
};

use axum::{
    Router,
    http::StatusCode,
    routing::{delete, get, post, put},
};
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer};

use crate::{jobs::answer_question::AnswerQuestion, store::Store};

mod answers;
mod catalogue;
mod health;
mod metrics;
mod problem;
mod search;
mod sessions;
mod waiting;

pub use waiting::Waiting;

/// The largest body that is read, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The longest that a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the routes share.
#[derive(Clone)]
pub struct Api {
    /// Where questions and answers are.
    pub store: Store,
    /// The sources that a question may name.
    pub sources: Arc<[String]>,
    /// Characters of one question.
    pub max_question_chars: usize,
    /// The kinds of jobs that there are.
    pub kinds: &'static [&'static str],
    /// Finds passages.
    pub retriever: Arc<AnswerQuestion>,
    /// Those who wait for an answer.
    pub waiting: Waiting,
    /// Whether new work is taken.
    pub readiness: Readiness,
    /// When the documents were last counted for the metrics.
    pub documents_counted: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

/// Whether this process takes new work: until it is told to stop.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says that no new work is taken any more.
    pub fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The routes for other services, with health.
pub fn api(api: Api) -> Router {
    let routes = Router::new()
        .route("/v1/answers", post(answers::ask).get(answers::list))
        .route("/v1/answers/{id}", get(answers::read))
        .route("/v1/answers/{id}/cancel", post(answers::cancel))
        .route("/v1/answers/{id}/feedback", post(answers::rate))
        .route("/v1/sessions/{id}", get(sessions::read).delete(sessions::forget))
        .route("/v1/search", post(search::search))
        .route("/v1/sessions/{id}/owner", put(sessions::set_owner))
        .route("/v1/customers/{id}", delete(sessions::forget_customer))
        .route("/v1/documents/{source}/{key}/refresh", post(catalogue::refresh))
        .route("/v1/sync", post(catalogue::sync))
        .with_state(api.clone());
    protect(routes.merge(health::routes(api)))
}

/// The routes for those who watch.
pub fn admin(api: Api) -> Router {
    protect(health::routes(api.clone()).merge(metrics::routes(api)))
}

fn protect(routes: Router) -> Router {
    routes
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(CatchPanicLayer::custom(problem::panicked))
}
