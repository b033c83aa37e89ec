//! How real servers differ from `OpenAI`'s: each quirk was reported of a server, or is a neighbour of one that was.
//!
//! A quirk changes the reply to a request, or refuses the request. `models serve --quirk NAME` shows what the program makes
//! of it.

use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{fault::Operation, reply::Reply};

mod access;
mod chat;
mod edits;
mod embedding;

/// One way in which a server differs.
#[derive(Clone, Copy)]
pub struct Quirk(&'static Row);

/// A quirk's name, the requests that it is about, and what it makes of a reply.
pub(super) struct Row {
    name: &'static str,
    operation: Operation,
    change: fn(&Request<'_>, Reply) -> Reply,
}

/// A request as a quirk sees it.
pub(super) struct Request<'a> {
    pub body: &'a Value,
    pub headers: &'a HeaderMap,
    pub query: &'a str,
    /// Whether it came to the address that a redirect names.
    pub is_redirected: bool,
}

impl Quirk {
    /// The quirk of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|quirk| quirk.name() == name)
    }

    /// All quirks.
    pub fn all() -> impl Iterator<Item = Self> {
        embedding::ROWS.iter().chain(chat::ROWS).chain(access::ROWS).map(Self)
    }

    /// Its name: a server, and what it does.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Changes the reply to a request.
    pub(super) fn change(self, operation: Operation, request: &Request<'_>, reply: Reply) -> Reply {
        if self.0.operation == operation { (self.0.change)(request, reply) } else { reply }
    }
}

impl std::fmt::Debug for Quirk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Request<'_> {
    pub(super) fn has(&self, key: &str) -> bool {
        self.body.get(key).is_some()
    }

    pub(super) fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    /// The texts to embed.
    pub(super) fn inputs(&self) -> Vec<&str> {
        let inputs = self.body["input"].as_array();
        inputs.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether one of the texts is one that the server cannot embed.
    pub(super) fn is_poisoned(&self) -> bool {
        self.inputs().iter().any(|input| is_poison(input))
    }
}

/// A text that a server with such a quirk cannot embed.
fn is_poison(text: &str) -> bool {
    text.contains("poison")
}

/// A refusal with this body.
fn refusal(status: u16, body: &Value) -> Reply {
    Reply::with(StatusCode::from_u16(status).unwrap_or_default(), body.to_string())
}
