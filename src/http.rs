//! The API for other services, and the admin routes.
//!
//! Every error is a problem (RFC 9457) with a stable `code`. `/openapi.json` is generated from the routes, so that it
//! contains all of them.

use std::{sync::Arc, time::Duration};

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
mod change_reports;
mod checks;
mod escalations;
mod events;
mod extract;
mod health;
mod metrics;
mod openapi;
mod operations;
mod problem;
mod readiness;
mod search;
mod sessions;
mod waiting;

pub use auth::Rate;
pub use metrics::LastCount;
pub use readiness::Readiness;
pub use waiting::Waiting;

/// The largest body, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The longest duration of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The state of the routes.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Api {
    pub store: Store,
    pub sources: Arc<[String]>,
    pub webhooks: Arc<[String]>,
    pub max_queued: u32,
    pub require_token: bool,
    /// Whether only programs on this host can call.
    pub is_local: bool,
    /// The origins of browsers that may call.
    pub origins: Arc<[HeaderValue]>,
    pub rate: Rate,
    pub kinds: &'static [&'static str],
    pub retriever: Arc<Retriever>,
    pub max_question_chars: usize,
    pub waiting: Waiting,
    pub readiness: Readiness,
    /// When the metrics were last counted.
    pub counted: LastCount,
}

/// The routes for other services, with health.
pub fn api(api: Api) -> Router {
    let origins = api.origins.clone();
    let (routes, document) = OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(answers::ask, answers::listing::list))
        .routes(routes!(answers::read))
        .routes(routes!(events::stream))
        .routes(routes!(answers::cancel))
        .routes(routes!(answers::feedback::rate))
        .routes(routes!(sessions::read, sessions::erase))
        .routes(routes!(sessions::set_owner))
        .routes(routes!(sessions::create_token))
        .routes(routes!(sessions::erase_customer))
        .routes(routes!(search::search))
        .routes(routes!(escalations::list))
        .routes(routes!(escalations::acknowledge))
        .routes(routes!(change_reports::refresh))
        .routes(routes!(change_reports::sync))
        .routes(routes!(operations::deliveries))
        .routes(routes!(operations::redeliver))
        .routes(routes!(operations::usage))
        .split_for_parts();
    let document = Arc::new(openapi::complete(document));
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

/// Admin routes: health and metrics.
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
