//! The console: pages for operators, and for people who work in the shop, on the admin listener.
//!
//! The server renders each page; none needs JavaScript, and no page loads anything from another host. `console/access.rs` decides who
//! may see and do what, and refuses a request before any page handles it. A page reads through
//! [`Store::for_pages`], whose statements are stopped after a second, and shows 50 rows at most; what reads whole tables is
//! counted apart from pages (`console/figures.rs`). State changes only by POST.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    answering::{complete::Composer, retrieve::Retriever},
    catalogue::{Catalogue, DocumentId},
    indexing::chunking::Chunking,
    store::{Result, Store},
};

mod access;
mod answer;
mod answers;
mod assets;
mod audit;
mod bulk;
mod catalogue;
mod charts;
mod document;
mod escalations;
mod figures;
mod gaps;
mod goto;
mod index;
mod job;
mod jobs;
mod layout;
mod live;
mod login;
mod money;
mod overview;
mod page;
mod parts;
mod playground;
mod queues;
mod sessions;
mod tokens;
mod webhooks;

use access::Guarded;
pub use access::{Access, Role, access};
use figures::Figures;
pub use live::Live;

/// The largest body, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The longest duration of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the console shows and uses.
#[expect(missing_docs, reason = "the names say it")]
pub struct Console {
    pub store: Store,
    pub look: Look,
    /// Names by which browsers may address the console, besides those of loopback.
    pub hosts: Vec<String>,
    /// Whether a login is needed.
    pub requires_login: bool,
    pub sources: BTreeMap<String, Arc<dyn Catalogue>>,
    pub kinds: &'static [&'static str],
    /// How many jobs of each kind run at once.
    pub concurrency: BTreeMap<&'static str, Concurrency>,
    pub schedules: Vec<ShownSchedule>,
    pub retriever: Arc<Retriever>,
    pub composer: Arc<Composer>,
    pub chunking: Arc<Chunking>,
    pub prices: Prices,
    /// Dollars for a million tokens, by the models of the settings.
    pub embedding_prices: BTreeMap<String, f64>,
    pub max_question_chars: usize,
    pub live: Live,
    pub stop: CancellationToken,
    /// Work that goes on after its request.
    pub tasks: TaskTracker,
}

/// How an instance is told from others.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Look {
    pub name: String,
    /// As in `#a02020`.
    pub colour: Option<String>,
    /// Whether its name must be typed before what cannot be undone.
    pub is_production: bool,
}

/// The budgets and prices of the settings.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Prices {
    /// Dollars a day; zero is no limit.
    pub embedding_daily_usd: f64,
    /// Dollars a day; zero is no limit.
    pub answers_daily_usd: f64,
    pub embedding_usd_per_million: f64,
}

/// How many jobs of a kind run at once.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// In this daemon.
    pub here: u32,
    /// In all daemons; `None` is no limit.
    pub fleet: Option<u32>,
}

/// A schedule of the settings.
#[expect(missing_docs, reason = "the names say it")]
pub struct ShownSchedule {
    pub name: String,
    pub cron: String,
    /// The same in words.
    pub words: String,
    pub zone: chrono_tz::Tz,
    pub kind: &'static str,
    pub keys: Vec<String>,
    pub payloads: Vec<serde_json::Value>,
    /// The first tick after a time.
    pub next: Box<dyn Fn(DateTime<Utc>) -> Option<DateTime<Utc>> + Send + Sync>,
}

/// What the handlers of pages share.
struct Pages {
    console: Console,
    /// The same store, for the statements of pages.
    store: Store,
    /// Signs forms; all daemons have the same.
    key: [u8; 32],
    figures: Figures,
    logins: login::Logins,
}

impl std::ops::Deref for Pages {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.console
    }
}

impl Pages {
    /// The document that `source/key` names, as pages show it.
    fn document(&self, shown: &str) -> Option<DocumentId> {
        let (source, key) = shown.split_once('/').filter(|(source, _)| self.sources.contains_key(*source))?;
        Some(DocumentId { source: source.to_owned(), key: key.to_owned() })
    }

    /// In production, the name of the instance must be typed before what cannot be undone.
    fn check_confirmed(&self, typed: &str) -> Result<(), page::PageError> {
        if !self.look.is_production || typed.trim() == self.look.name {
            return Ok(());
        }
        Err(page::PageError::Invalid(format!(
            "Type {:?}, the name of this instance, to confirm.",
            self.look.name
        )))
    }
}

/// The pages.
pub async fn routes(console: Console) -> Result<Router> {
    let (key, store) = (console.store.console_key().await?, console.store.for_pages());
    let key = blake3::derive_key("shopkeeper console 2026-11 forms", &key);
    let figures = Figures::new(&console.store.for_figures(), console.kinds, &console.tasks, &console.stop);
    let pages = Arc::new(Pages { store, key, figures, logins: login::Logins::default(), console });
    let guarded = access::routes().into_iter().fold(Router::new(), |router, Guarded { access, handler }| {
        let state = (pages.clone(), access.role);
        router.route(access.path, handler.route_layer(middleware::from_fn_with_state(state, access::admit)))
    });
    let open = Router::new()
        .route("/login", get(login::page).post(login::log_in))
        .route("/assets/{name}", get(assets::asset));
    Ok(guarded
        .merge(open)
        .with_state(pages)
        .layer(middleware::from_fn(within_time))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(page::panicked))
        .layer(middleware::from_fn(with_headers)))
}

async fn within_time(request: Request, next: Next) -> Response {
    let response = tokio::time::timeout(TIMEOUT, next.run(request)).await;
    response.unwrap_or_else(|_| page::PageError::Slow.into_response())
}

/// Nothing may be loaded from elsewhere, no script or style may stand in a page, and no other page may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
