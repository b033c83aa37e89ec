//! Who may see and do what: one table of all pages and actions, and the guard before each of them.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    MAX_BODY, Pages, answer, answers, audit, bulk, catalogue, document, escalations, gaps, goto, index, job,
    jobs, layout, live, login, money, overview,
    page::{Fault, PageError},
    playground, queues, sessions, tokens, webhooks,
};
use crate::store::{
    answers::LOCAL,
    console::InboxState,
    tokens::{Grant, Scope},
};

/// What a visitor may do; each may do all that those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See the pages, without what customers wrote.
    Reader,
    /// See all, and operate.
    Operator,
    /// Also what cannot be undone, and tokens.
    Admin,
}

impl Role {
    fn of(grant: &Grant) -> Option<Self> {
        let roles = [
            (Scope::Admin, Self::Admin),
            (Scope::ConsoleOperate, Self::Operator),
            (Scope::ConsoleRead, Self::Reader),
        ];
        // A browser's token is a customer's.
        let is_service = grant.session_id.is_none();
        roles.into_iter().find(|(scope, _)| is_service && grant.has(*scope)).map(|(_, role)| role)
    }

    /// The scope that gives it.
    fn scope(self) -> Scope {
        match self {
            Self::Reader => Scope::ConsoleRead,
            Self::Operator => Scope::ConsoleOperate,
            Self::Admin => Scope::Admin,
        }
    }
}

/// A page or an action, and the least role that may have it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Access {
    pub method: Method,
    pub path: &'static str,
    pub role: Role,
}

/// A page or an action, and what handles it.
pub(super) struct Guarded {
    pub(super) access: Access,
    pub(super) handler: MethodRouter<Arc<Pages>>,
}

/// All pages and actions.
pub fn access() -> Vec<Access> {
    routes().into_iter().map(|route| route.access).collect()
}

fn page(path: &'static str, role: Role, handler: MethodRouter<Arc<Pages>>) -> Guarded {
    Guarded { access: Access { method: Method::GET, path, role }, handler }
}

fn action(path: &'static str, role: Role, handler: MethodRouter<Arc<Pages>>) -> Guarded {
    Guarded { access: Access { method: Method::POST, path, role }, handler }
}

pub(super) fn routes() -> Vec<Guarded> {
    use Role::{Admin, Operator, Reader};
    vec![
        page("/", Reader, get(overview::show)),
        page("/catalogue", Reader, get(catalogue::show)),
        page("/document", Reader, get(document::show)),
        page("/document/preview", Operator, get(document::preview)),
        page("/playground", Operator, get(playground::show)),
        page("/answers", Reader, get(answers::show)),
        page("/answers/export", Operator, get(answers::export)),
        page("/answers/{id}", Reader, get(answer::show)),
        page("/escalations", Reader, get(escalations::show)),
        page("/escalations/{id}", Reader, get(escalations::one)),
        page("/sessions", Reader, get(sessions::show)),
        page("/session", Reader, get(sessions::one)),
        page("/gaps", Reader, get(gaps::show)),
        page("/gaps/faq.csv", Operator, get(gaps::export)),
        page("/golden.jsonl", Operator, get(playground::golden)),
        page("/jobs", Reader, get(jobs::show)),
        page("/jobs/bulk", Operator, get(bulk::confirm)),
        page("/jobs/bulk/{id}", Reader, get(bulk::show)),
        page("/jobs/{id}", Reader, get(job::show)),
        page("/queues", Reader, get(queues::show)),
        page("/index", Reader, get(index::show)),
        page("/money", Reader, get(money::show)),
        page("/webhooks", Reader, get(webhooks::show)),
        page("/tokens", Admin, get(tokens::show)),
        page("/audit", Reader, get(audit::show)),
        page("/go", Reader, get(goto::go)),
        page("/live", Reader, get(live::stream)),
        action("/logout", Reader, post(login::log_out)),
        action("/do/stop", Operator, post(overview::stop)),
        action("/do/sync", Operator, post(catalogue::sync)),
        action("/do/allow-mass-delete", Admin, post(catalogue::allow_mass_delete)),
        action("/do/refresh", Operator, post(document::refresh)),
        action("/playground/try", Operator, post(playground::run)),
        action("/do/golden", Operator, post(playground::add_golden)),
        action("/do/ask-again", Operator, post(answer::ask_again)),
        action("/do/claim", Operator, post(escalations::claim)),
        action("/do/reply", Operator, post(escalations::reply)),
        action("/do/hand-back", Operator, post(escalations::hand_back)),
        action("/do/owner", Operator, post(sessions::set_owner)),
        action("/do/say", Operator, post(sessions::say)),
        action("/do/erase-session", Admin, post(sessions::erase)),
        action("/do/faq", Operator, post(gaps::draft)),
        action("/do/faq-delete", Operator, post(gaps::delete)),
        action("/do/dismiss", Operator, post(gaps::dismiss)),
        action("/do/jobs", Operator, post(jobs::change)),
        action("/do/restore", Operator, post(jobs::restore)),
        action("/do/bulk", Operator, post(bulk::start)),
        action("/do/bulk-cancel", Operator, post(bulk::cancel)),
        action("/do/queue", Operator, post(queues::set_queue)),
        action("/do/schedule", Operator, post(queues::set_schedule)),
        action("/do/schedule-run", Operator, post(queues::run_schedule)),
        action("/do/promote", Admin, post(index::promote)),
        action("/do/drop", Admin, post(index::drop_version)),
        action("/do/redeliver", Operator, post(webhooks::redeliver)),
        action("/do/token", Admin, post(tokens::create)),
        action("/do/token-revoke", Admin, post(tokens::revoke)),
    ]
}

/// Who visits a page.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The client of the token.
    pub(super) name: String,
    pub(super) role: Role,
    /// What each form must send back.
    pub(super) form_token: String,
    pub(super) has_login: bool,
    pub(super) open_escalations: i64,
    /// The server can only be read: it is a standby.
    pub(super) is_read_only: bool,
    /// The changes before the page was read.
    pub(super) seen: u64,
    /// The path and query of the page.
    pub(super) uri: Uri,
}

impl Visitor {
    pub(super) fn may(&self, role: Role) -> bool {
        self.role >= role
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        // The guard sets it; without a guard nobody is let in.
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| PageError::Forbidden("This page has no guard.".to_owned()))
    }
}

/// Lets a request pass to its page, or refuses it.
pub(super) async fn admit(
    State((pages, least)): State<(Arc<Pages>, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_change = request.method() == Method::POST;
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    if let Err(error) = check_host(&pages, &headers) {
        return error.into_response();
    }
    if !pages.requires_login && is_forwarded(&headers) {
        let detail = "The console is open to this host alone, and this request came through a proxy. Set \
                      http.require_token = \"always\" in the settings, so that a login is needed.";
        return PageError::Forbidden(detail.to_owned()).into_response();
    }
    let cookie = login::cookie(&headers);
    let visitor = match visitor(&pages, cookie.as_deref(), uri).await {
        Ok(Some(visitor)) => visitor,
        Ok(None) if is_change => {
            return PageError::Forbidden("The login has ended: log in again, and repeat it.".to_owned())
                .into_response();
        }
        Ok(None) => return login::redirect(request.uri()).into_response(),
        Err(error) => return error.into_response(),
    };
    if !visitor.may(least) {
        return PageError::Forbidden(format!("This needs a token with the scope {}.", least.scope()))
            .into_response();
    }
    if is_change {
        request = match check_form(&visitor, &headers, request).await {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
    }
    request.extensions_mut().insert(visitor.clone());
    let response = next.run(request).await;
    let Some(fault) = response.extensions().get::<Fault>() else { return response };
    let page = layout::page(&pages, &visitor, fault.title, &fault.body(is_change)).0;
    response.map(|_| Body::from(page))
}

async fn visitor(pages: &Pages, cookie: Option<&str>, uri: Uri) -> Result<Option<Visitor>, PageError> {
    let (name, role) = match cookie {
        Some(cookie) => match pages.store.logged_in(&login::hash(cookie)).await? {
            Some(grant) => match Role::of(&grant) {
                Some(role) => (grant.client, role),
                None => return Ok(None),
            },
            None if pages.requires_login => return Ok(None),
            None => (LOCAL.to_owned(), Role::Admin),
        },
        None if pages.requires_login => return Ok(None),
        None => (LOCAL.to_owned(), Role::Admin),
    };
    let seen = pages.live.seen();
    let InboxState { is_read_only, open_escalations } =
        pages.store.inbox_state(100).await.unwrap_or_default();
    let form_token = sign(pages, &format!("form {}", cookie.unwrap_or(LOCAL)));
    let has_login = cookie.is_some() && pages.requires_login;
    Ok(Some(Visitor { name, role, form_token, has_login, open_escalations, is_read_only, seen, uri }))
}

/// Signs a text with the key that all daemons share.
pub(super) fn sign(pages: &Pages, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(blake3::keyed_hash(&pages.key, text.as_bytes()).as_bytes())
}

/// A browser may be led here by another name than ours: to a page of somebody else, on our address.
pub(super) fn check_host(pages: &Pages, headers: &HeaderMap) -> Result<(), PageError> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host_name(host);
    if is_loopback(name) || pages.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(PageError::WrongHost(format!(
        "The console does not know the host {name:?}. Add it to console.hosts in the settings."
    )))
}

/// Whether a request came through a proxy, and so perhaps from anywhere.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// `[::1]:8081`, `localhost:8081`
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

pub(super) fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the connection that a browser sees is encrypted, or stays on its host.
pub(super) fn is_private(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let is_https = text("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    is_https || is_loopback(host_name(text("host").unwrap_or_default()))
}

/// Checks that a form was sent by one of our pages: by its origin, and by the token that only the page had.
async fn check_form(visitor: &Visitor, headers: &HeaderMap, request: Request) -> Result<Request, PageError> {
    check_origin(headers)?;
    if visitor.is_read_only {
        return Err(PageError::ReadOnly);
    }
    let (parts, body) = request.into_parts();
    let too_large = || PageError::Invalid(format!("The form is larger than {MAX_BODY} bytes."));
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?;
    let mut fields = url::form_urlencoded::parse(&bytes);
    let sent =
        fields.find(|(name, _)| name == "form").map(|(_, value)| value.into_owned()).unwrap_or_default();
    let is_ours = blake3::hash(sent.as_bytes()) == blake3::hash(visitor.form_token.as_bytes());
    if !is_ours {
        let detail = "This form has expired. Go back, reload the page, and try again.";
        return Err(PageError::Forbidden(detail.to_owned()));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), PageError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").unwrap_or_default();
    let is_ours = match text("origin") {
        Some(origin) => {
            origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
        }
        None => text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none")),
    };
    if is_ours {
        Ok(())
    } else {
        Err(PageError::Forbidden("The form was sent by a page of another site.".to_owned()))
    }
}

/// After an action: back to a page, with a note of what was done.
pub(super) fn done(path: &str, what: &str, number: u64) -> Response {
    let sign = if path.contains('?') { '&' } else { '?' };
    let (path, fragment) =
        path.split_once('#').map_or((path, String::new()), |(path, rest)| (path, format!("#{rest}")));
    let to = Redirect::to(&format!("{path}{sign}done={what}&n={number}{fragment}"));
    (StatusCode::SEE_OTHER, to).into_response()
}
