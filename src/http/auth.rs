//! Who asks, and what he may do.
//!
//! A bearer token belongs to a client and has scopes; a client sees its own sessions and answers alone, `admin` all of
//! them. A browser's token is for one session. Where the settings ask for no token, a caller without one is the client
//! `local` with every scope; one that shows a token is held to it.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use tokio_util::sync::CancellationToken;

use super::{
    Api,
    problem::{Code, Problem},
};
use crate::{
    answering::{Question, object::AnswerObject},
    store::{answers::LOCAL, tokens::Grant},
};

/// How often clients are forgotten that do not ask any more.
const FORGET: Duration = Duration::from_mins(1);

/// What a token may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Ask, cancel, rate, hand over.
    AnswersWrite,
    /// Read answers, sessions and escalations, search.
    AnswersRead,
    /// Forget sessions and customers.
    SessionsErase,
    /// All of it, of every client, and the daemon's own affairs.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AnswersWrite, Self::AnswersRead, Self::SessionsErase, Self::Admin];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::AnswersWrite => "answers:write",
            Self::AnswersRead => "answers:read",
            Self::SessionsErase => "sessions:erase",
            Self::Admin => "admin",
        }
    }
}

/// A new token, and the hash that is kept of it.
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
    /// So many requests a minute; none is no limit.
    pub fn per_minute(requests: Option<NonZeroU32>) -> Self {
        Self(requests.map(|requests| Arc::new(RateLimiter::keyed(Quota::per_minute(requests)))))
    }

    fn check(&self, client: &str) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&client.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            let detail = format!("client {client} asks more often than http.requests_per_minute allows");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail).retry_after(wait)
        })
    }

    /// Forgets clients that did not ask for a while, until stopped.
    pub async fn keep(&self, stop: &CancellationToken) {
        let Some(limiter) = &self.0 else { return };
        while stop.run_until_cancelled(tokio::time::sleep(FORGET)).await.is_some() {
            limiter.retain_recent();
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller(Grant);

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let grant = match bearer(parts)? {
            Some(token) => api.store.grant(&hash(token)).await?.ok_or_else(unauthorized)?,
            None if api.require_token => return Err(unauthorized()),
            None if api.is_foreign(&parts.headers) => {
                return Err(forbidden("without a token only programs on this host may ask, and no web page"));
            }
            None => Grant {
                client: LOCAL.to_owned(),
                scopes: vec![Scope::Admin.word().to_owned()],
                ..Grant::default()
            },
        };
        api.rate.check(&grant.client)?;
        Ok(Self(grant))
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
    Problem::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, detail)
}

impl Caller {
    fn has(&self, scope: Scope) -> bool {
        let has = |scope: Scope| self.0.scopes.iter().any(|word| word == scope.word());
        has(scope) || has(Scope::Admin)
    }

    /// Goes on when the caller has a scope.
    pub(super) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        Err(forbidden(&format!("the token lacks the scope {}", scope.word())))
    }

    /// The same for what is not about one session: no browser may.
    pub(super) fn may_all(&self, scope: Scope) -> Result<(), Problem> {
        match self.0.session_id {
            Some(_) => Err(forbidden("the token is for one session")),
            None => self.may(scope),
        }
    }

    /// In whose name questions are asked.
    pub(super) fn client(&self) -> &str {
        &self.0.client
    }

    /// Whose things are seen; none is everybody's.
    pub(super) fn sees(&self) -> Option<&str> {
        if self.has(Scope::Admin) { None } else { Some(&self.0.client) }
    }

    /// The session that is meant: a browser's own, whatever it leaves out.
    pub(super) fn session(&self, given: Option<String>) -> Result<Option<String>, Problem> {
        match (&self.0.session_id, given) {
            (Some(own), Some(given)) if *own != given => Err(forbidden("the token is for another session")),
            (Some(own), _) => Ok(Some(own.clone())),
            (None, given) => Ok(given),
        }
    }

    /// Whether an answer is of the caller's session, where he has but one.
    pub(super) fn is_of_session(&self, answer: &AnswerObject) -> bool {
        self.0.session_id.is_none() || self.0.session_id == answer.session_id
    }

    /// The sources that are searched: those that were asked for, if the caller may search them all.
    pub(super) fn sources(&self, asked: Option<Vec<String>>) -> Result<Option<Vec<String>>, Problem> {
        let Some(own) = &self.0.sources else { return Ok(asked) };
        let Some(asked) = asked else { return Ok(Some(own.clone())) };
        match asked.iter().find(|source| !own.contains(source)) {
            Some(source) => Err(forbidden(&format!("the token may not search the source {source:?}"))),
            None => Ok(Some(asked)),
        }
    }

    /// The question as the caller may ask it: in its session, of its customer, in its sources.
    ///
    /// A browser speaks for a visitor. Whose the question is was fixed with the token, and how urgent it is, who is
    /// told of the answer and what was said before it are the shop's to say.
    pub(super) fn question(&self, asked: Question) -> Result<Question, Problem> {
        let session_id = self.session(asked.session_id)?;
        let sources = self.sources(asked.sources)?;
        if self.0.session_id.is_none() {
            return Ok(Question { session_id, sources, ..asked });
        }
        let customer_id = self.0.customer_id.clone();
        let fields = [
            ("customer_id", asked.customer_id.is_some() && asked.customer_id != customer_id),
            ("priority", asked.priority.is_some()),
            ("webhook", asked.webhook.is_some()),
            ("history", asked.history.is_some()),
        ];
        match fields.iter().find(|(_, is_set)| *is_set) {
            Some((field, _)) => Err(forbidden(&format!("a token for one session may not set {field}"))),
            None => Ok(Question { session_id, customer_id, sources, ..asked }),
        }
    }

    /// The key under which a request is known. A browser's keys are its session's own: it can neither find those
    /// of its client nor use them up. A line feed can stand in no key that came by HTTP.
    pub(super) fn idempotency_key(&self, given: String) -> String {
        match &self.0.session_id {
            Some(session) => format!("{given}\n{session}"),
            None => given,
        }
    }

    /// What a browser gets for a session of the caller, which may be a customer's.
    pub(super) fn browser(&self, session: &str, customer_id: Option<String>) -> Grant {
        Grant {
            client: self.0.client.clone(),
            scopes: [Scope::AnswersWrite, Scope::AnswersRead].map(|scope| scope.word().to_owned()).to_vec(),
            sources: self.0.sources.clone(),
            session_id: Some(session.to_owned()),
            customer_id,
        }
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, Code::Forbidden, detail)
}
