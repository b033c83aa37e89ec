//! Authentication and authorization of callers.
//!
//! A bearer token belongs to a client and has scopes; a client sees only its own sessions and answers, `admin` sees all.
//! A browser's token is for one session. Where the settings require no token, a caller without one is the client `local`
//! with every scope; the limits of a token that is sent always apply.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use tokio_util::sync::CancellationToken;

use super::{
    Api,
    problem::{Code, Problem},
};
use crate::{
    answering::{Question, object::AnswerObject},
    store::{answers::LOCAL, tokens::Grant},
};

/// How often idle clients are removed from the rate limiter.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(1);

/// The permissions of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantNames)]
pub enum Scope {
    /// Ask, cancel, rate, hand over.
    #[strum(serialize = "answers:write")]
    AnswersWrite,
    /// Read answers, sessions and escalations, search.
    #[strum(serialize = "answers:read")]
    AnswersRead,
    /// Erase sessions and customers.
    #[strum(serialize = "sessions:erase")]
    SessionsErase,
    /// Everything, for every client, and the operation of the daemon.
    #[strum(serialize = "admin")]
    Admin,
}

/// Makes a token, and the hash that is stored of it.
pub fn new_token() -> (String, [u8; 32]) {
    let token = format!("skt_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let hash = hash(&token);
    (token, hash)
}

/// A token is as long as the hash and as random: it needs no salt.
fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// How often each client may ask this daemon.
#[derive(Clone)]
pub struct Rate(Option<Arc<DefaultKeyedRateLimiter<String>>>);

impl Rate {
    /// Allows this many requests a minute; any number without a limit.
    pub fn per_minute(requests: Option<NonZeroU32>) -> Self {
        Self(requests.map(|requests| Arc::new(RateLimiter::keyed(Quota::per_minute(requests)))))
    }

    fn check(&self, client: &str) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&client.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            let detail = format!("client {client} exceeded http.requests_per_minute");
            Problem::new(Code::RateLimited, detail).retry_after(wait)
        })
    }

    /// Removes idle clients, until stopped.
    pub async fn keep(&self, stop: &CancellationToken) {
        let Some(limiter) = &self.0 else { return };
        while stop.run_until_cancelled(tokio::time::sleep(CLEANUP_INTERVAL)).await.is_some() {
            limiter.retain_recent();
        }
    }
}

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

impl Caller {
    fn has(&self, scope: Scope) -> bool {
        let has = |scope: Scope| self.grant.scopes.iter().any(|word| word == <&str>::from(scope));
        has(scope) || has(Scope::Admin)
    }

    pub(super) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("the token lacks the scope {scope}")))
    }

    /// Requires a scope for a request beyond one session, which no browser may make.
    pub(super) fn may_all(&self, scope: Scope) -> Result<(), Problem> {
        match self.grant.session_id {
            Some(_) => Err(Problem::forbidden("the token is for one session")),
            None => self.may(scope),
        }
    }

    pub(super) fn client(&self) -> &str {
        &self.grant.client
    }

    /// The client whose data the caller sees; `None` for all clients.
    pub(super) fn sees(&self) -> Option<&str> {
        if self.has(Scope::Admin) { None } else { Some(&self.grant.client) }
    }

    /// The session of the request: a browser's own by default.
    pub(super) fn session(&self, given: Option<String>) -> Result<Option<String>, Problem> {
        match (&self.grant.session_id, given) {
            (Some(own), Some(given)) if *own != given => {
                Err(Problem::forbidden("the token is for another session"))
            }
            (Some(own), _) => Ok(Some(own.clone())),
            (None, given) => Ok(given),
        }
    }

    /// Whether a browser's token covers the session of an answer.
    pub(super) fn is_of_session(&self, answer: &AnswerObject) -> bool {
        self.grant.session_id.is_none() || self.grant.session_id == answer.session_id
    }

    /// The sources to search: those requested, if the caller may search all of them.
    pub(super) fn sources(&self, asked: Option<Vec<String>>) -> Result<Option<Vec<String>>, Problem> {
        let Some(own) = &self.grant.sources else { return Ok(asked) };
        let Some(asked) = asked else { return Ok(Some(own.clone())) };
        match asked.iter().find(|source| !own.contains(source)) {
            Some(source) => {
                Err(Problem::forbidden(format!("the token may not search the source {source:?}")))
            }
            None => Ok(Some(asked)),
        }
    }

    /// The question as the caller may ask it: in its session, of its customer, in its sources.
    ///
    /// A browser acts for a visitor: the token fixes the customer, and only the shop sets the priority, the webhook and
    /// the history.
    pub(super) fn question(&self, asked: Question) -> Result<Question, Problem> {
        let session_id = self.session(asked.session_id)?;
        let sources = self.sources(asked.sources)?;
        if self.grant.session_id.is_none() {
            return Ok(Question { session_id, sources, ..asked });
        }
        let customer_id = self.grant.customer_id.clone();
        let fields = [
            ("customer_id", asked.customer_id.is_some() && asked.customer_id != customer_id),
            ("priority", asked.priority.is_some()),
            ("webhook", asked.webhook.is_some()),
            ("history", asked.history.is_some()),
        ];
        match fields.iter().find(|(_, is_set)| *is_set) {
            Some((field, _)) => {
                Err(Problem::forbidden(format!("a token for one session may not set {field}")))
            }
            None => Ok(Question { session_id, customer_id, sources, ..asked }),
        }
    }

    /// The stored idempotency key. A browser's keys are per session, so that it can neither find nor use up those of its
    /// client. A key sent by HTTP contains no line feed.
    pub(super) fn idempotency_key(&self, given: String) -> String {
        match &self.grant.session_id {
            Some(session) => format!("{given}\n{session}"),
            None => given,
        }
    }

    /// The grant of a browser's token for a session of the caller.
    pub(super) fn browser(&self, session: &str, customer_id: Option<String>) -> Grant {
        Grant {
            client: self.grant.client.clone(),
            scopes: [Scope::AnswersWrite, Scope::AnswersRead].map(|scope| scope.to_string()).to_vec(),
            sources: self.grant.sources.clone(),
            session_id: Some(session.to_owned()),
            customer_id,
        }
    }
}
