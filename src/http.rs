//! The API for other services, and health for those who watch.
//!
//! Every error is a problem (RFC 9457) with a stable `code`. `/openapi.json` is made of the routes themselves, so
//! that there is none that it does not know.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, header},
    middleware,
    routing::get,
};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{answering::retrieve::Retriever, store::Store};

mod answers;
mod auth;
mod catalogue;
mod checks;
mod escalations;
mod events;
mod extract;
mod health;
mod metrics;
mod openapi;
mod operations;
mod problem;
mod search;
mod sessions;
mod waiting;

pub use auth::{Rate, Scope, new_token};
pub use metrics::LastCount;
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
    /// The webhooks that a question may name.
    pub webhooks: Arc<[String]>,
    /// Questions that may wait.
    pub max_queued: u32,
    /// Whether a caller without a token is refused.
    pub require_token: bool,
    /// Whether the API is for programs on this host alone.
    pub is_local: bool,
    /// The browsers' origins that may call.
    pub origins: Arc<[HeaderValue]>,
    /// How often each client may ask.
    pub rate: Rate,
    /// The kinds of jobs that there are.
    pub kinds: &'static [&'static str],
    /// Finds passages.
    pub retriever: Arc<Retriever>,
    /// The longest question.
    pub max_question_chars: usize,
    /// Those who wait for an answer.
    pub waiting: Waiting,
    /// Whether new work is taken.
    pub readiness: Readiness,
    /// When figures were last counted for the metrics.
    pub counted: LastCount,
}

/// Whether this process takes new work: until it is told to stop.
#[derive(Clone, Default)]
pub struct Readiness {
    ended: Arc<AtomicBool>,
    workers: Arc<OnceLock<Steady>>,
}

/// Says whether the workers get through to the database.
type Steady = Box<dyn Fn() -> bool + Send + Sync>;

impl Readiness {
    /// Says how it is seen that the workers get through to the database; the first time counts.
    pub fn watch(&self, are_steady: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.workers.set(Box::new(are_steady));
    }

    /// Says that no new work is taken any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Without workers there is none that does not get through.
    fn has_steady_workers(&self) -> bool {
        self.workers.get().is_none_or(|are_steady| are_steady())
    }
}

/// The routes for other services, with health.
pub fn api(api: Api) -> Router {
    let origins = api.origins.clone();
    let (routes, document) = OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(answers::ask, answers::list))
        .routes(routes!(answers::read))
        .routes(routes!(events::watch))
        .routes(routes!(answers::cancel))
        .routes(routes!(answers::rate))
        .routes(routes!(sessions::read, sessions::forget))
        .routes(routes!(sessions::set_owner))
        .routes(routes!(sessions::token))
        .routes(routes!(sessions::forget_customer))
        .routes(routes!(search::search))
        .routes(routes!(escalations::list))
        .routes(routes!(escalations::acknowledge))
        .routes(routes!(catalogue::refresh))
        .routes(routes!(catalogue::sync))
        .routes(routes!(operations::deliveries))
        .routes(routes!(operations::redeliver))
        .routes(routes!(operations::usage))
        .split_for_parts();
    let document = Arc::new(openapi::completed(document));
    let routes = routes
        .with_state(api.clone())
        .route("/openapi.json", get(async move || Json(document)))
        .merge(health::routes(api));
    if origins.is_empty() {
        return protect(routes);
    }
    let allowed = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("prefer"),
        HeaderName::from_static("last-event-id"),
    ];
    let cors = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(allowed)
        .expose_headers([header::LOCATION, header::RETRY_AFTER]);
    protect(routes).layer(cors)
}

/// The routes for those who watch.
pub fn admin(api: Api) -> Router {
    protect(health::routes(api.clone()).merge(metrics::routes(api)))
}

fn protect(routes: Router) -> Router {
    routes
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(middleware::from_fn(problem::within_time))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(problem::panicked))
}
