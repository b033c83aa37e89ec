//! The login: a token becomes a cookie.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages,
    access::{Visitor, check_host, check_origin, is_private},
    page::{Fields, PageError, Parameters, bare},
};
use crate::store::tokens;

/// The prefix binds the cookie to this host, and to https.
const COOKIE: &str = "__Host-shopkeeper";
/// How long a login lasts.
const LENGTH: Duration = Duration::from_hours(12);
/// Attempts a minute, of all visitors of this daemon together.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(20).expect("it is above zero");

/// Limits the attempts to log in.
pub(super) struct Logins(DefaultDirectRateLimiter);

impl Default for Logins {
    fn default() -> Self {
        Self(RateLimiter::direct(Quota::per_minute(ATTEMPTS)))
    }
}

/// The cookie of a request.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// The hash under which a cookie is stored.
pub(super) fn hash(cookie: &str) -> [u8; 32] {
    tokens::hash(cookie)
}

/// To the login, and back to the page afterwards.
pub(super) fn redirect(page: &Uri) -> Redirect {
    let page = page.path_and_query().map_or("/", |page| page.as_str());
    let next: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    Redirect::to(&format!("/login?next={next}"))
}

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    Parameters(Next { next }): Parameters<Next>,
) -> Response {
    if let Err(error) = check_host(&pages, &headers) {
        return error.into_response();
    }
    if !pages.requires_login {
        return Redirect::to("/").into_response();
    }
    form(&pages, &headers, &next, None).into_response()
}

pub(super) async fn log_in(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    Fields(Login { token, next }): Fields<Login>,
) -> Result<Response, PageError> {
    check_host(&pages, &headers)?;
    check_origin(&headers)?;
    if pages.logins.0.check().is_err() {
        return Err(PageError::Forbidden("Too many attempts to log in. Wait a minute.".to_owned()));
    }
    if !is_private(&headers) {
        return Ok(form(&pages, &headers, &next, None).into_response());
    }
    let cookie = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    if !pages.console.store.log_in(&tokens::hash(token.trim()), &hash(&cookie), LENGTH).await? {
        let wrong = "There is no such token, it is revoked or expired, or it has no scope for the console.";
        return Ok(form(&pages, &headers, &next, Some(wrong)).into_response());
    }
    // Only a path of ours: `//elsewhere` would be another host.
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = is_plain && next.starts_with('/') && !next.starts_with("//");
    let to = Redirect::to(if is_ours { &next } else { "/" });
    let set =
        format!("{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}", LENGTH.as_secs());
    Ok(with_cookie(&set, to))
}

pub(super) async fn log_out(
    State(pages): State<Arc<Pages>>,
    _: Visitor,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let Some(cookie) = cookie(&headers) {
        pages.console.store.log_out(&hash(&cookie)).await?;
    }
    let gone = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(with_cookie(&gone, Redirect::to("/login")))
}

fn with_cookie(set: &str, to: Redirect) -> Response {
    let mut response = to.into_response();
    if let Ok(value) = HeaderValue::from_str(set) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn form(pages: &Pages, headers: &HeaderMap, next: &str, wrong: Option<&str>) -> Html<String> {
    Html(bare("Log in", &content(pages, is_private(headers), next, wrong)).into_string())
}

fn content(pages: &Pages, is_private: bool, next: &str, wrong: Option<&str>) -> Markup {
    html! {
        h1 { "Log in to " (pages.look.name) }
        @if is_private {
            form.panel method="post" action="/login" {
                @if let Some(wrong) = wrong { p.banner.bad role="alert" { (wrong) } }
                input type="hidden" name="next" value=(next);
                label { "Token" input type="password" name="token" autocomplete="current-password" required autofocus; }
                button.primary type="submit" { "Log in" }
            }
            p.hint { "A token with the scope console:read, console:operate or admin: " code { "shopkeeper token create NAME --scope console:operate" } }
        } @else {
            p.banner.bad role="alert" {
                "This connection is not encrypted, so that a token would be sent in the open. Put https in front of the \
                 console (with X-Forwarded-Proto), or open it over loopback, as with an SSH tunnel."
            }
        }
    }
}
