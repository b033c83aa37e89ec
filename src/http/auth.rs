//! Authentication and authorization of callers.
//!
//! A bearer token belongs to a client and has scopes; a client sees only its own sessions and answers, `admin` sees all.
//! A browser's token is for one session. Where the settings require no token, a caller without one is the client `local`
//! with every scope; the limits of a token that is sent always apply.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{
    Api,
    problem::{Code, Problem},
};
use crate::store::{
    answers::LOCAL,
    tokens::{Grant, hash},
};

mod caller;
mod rate;

pub(super) use crate::store::tokens::{Scope, new_token};
pub use rate::Rate;

/// A caller whose token was checked.
pub(super) struct Caller {
    pub(super) api: Api,
    grant: Grant,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = match bearer(parts)? {
            Some(token) => api.store.grant(&hash(token)).await?.ok_or_else(unauthorized)?,
            None if api.require_token => return Err(unauthorized()),
            None if api.is_foreign(&parts.headers) => {
                return Err(Problem::forbidden(
                    "without a token, only programs on this host have access, not web pages",
                ));
            }
            None => {
                Grant { client: LOCAL.to_owned(), scopes: vec![Scope::Admin.to_string()], ..Grant::default() }
            }
        };
        api.rate.check(&grant.client)?;
        Ok(Self { api: api.clone(), grant })
    }
}

impl Api {
    /// Whether a request without a token comes from a web page of another origin, or by a name that somebody else may
    /// have given to this host (DNS rebinding).
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_allowed =
            |origin: &str| self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
        if text(header::ORIGIN).is_some_and(|origin| !is_allowed(origin)) {
            return true;
        }
        let Some(host) = text(header::HOST) else { return false };
        // `[::1]:8080`, `[::1]`, `localhost:8080`, `127.0.0.1`
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        self.is_local && name != "localhost" && name.parse::<IpAddr>().is_err()
    }
}

fn bearer(parts: &Parts) -> Result<Option<&str>, Problem> {
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token.map(Some).ok_or_else(unauthorized)
}

fn unauthorized() -> Problem {
    let detail = "a valid token is needed: Authorization: Bearer …; `shopkeeper token create` makes one";
    Problem::new(Code::Unauthorized, detail)
}
