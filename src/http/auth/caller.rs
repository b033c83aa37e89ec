//! What a caller may do, and which part of the data it sees.

use super::Caller;
use crate::{
    answering::{Question, object::AnswerObject},
    http::problem::Problem,
    store::tokens::{Grant, Scope},
};

impl Caller {
    pub(in crate::http) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.grant.has(scope) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("the token lacks the scope {scope}")))
    }

    /// Requires a scope for a request beyond one session, which no browser may make.
    pub(in crate::http) fn may_all(&self, scope: Scope) -> Result<(), Problem> {
        match self.grant.session_id {
            Some(_) => Err(Problem::forbidden("the token is for one session")),
            None => self.may(scope),
        }
    }

    pub(in crate::http) fn client(&self) -> &str {
        &self.grant.client
    }

    /// The client whose data the caller sees; `None` for all clients.
    pub(in crate::http) fn sees(&self) -> Option<&str> {
        if self.grant.has(Scope::Admin) { None } else { Some(&self.grant.client) }
    }

    /// The session of the request: a browser's own by default.
    pub(in crate::http) fn session(&self, given: Option<String>) -> Result<Option<String>, Problem> {
        match (&self.grant.session_id, given) {
            (Some(own), Some(given)) if *own != given => {
                Err(Problem::forbidden("the token is for another session"))
            }
            (Some(own), _) => Ok(Some(own.clone())),
            (None, given) => Ok(given),
        }
    }

    /// Whether a browser's token covers the session of an answer.
    pub(in crate::http) fn is_of_session(&self, answer: &AnswerObject) -> bool {
        self.grant.session_id.is_none() || self.grant.session_id == answer.session_id
    }

    /// The sources to search: those requested, if the caller may search all of them.
    pub(in crate::http) fn sources(
        &self,
        asked: Option<Vec<String>>,
    ) -> Result<Option<Vec<String>>, Problem> {
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
    pub(in crate::http) fn question(&self, asked: Question) -> Result<Question, Problem> {
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
    pub(in crate::http) fn idempotency_key(&self, given: String) -> String {
        match &self.grant.session_id {
            Some(session) => format!("{given}\n{session}"),
            None => given,
        }
    }

    /// The grant of a browser's token for a session of the caller.
    pub(in crate::http) fn browser(&self, session: &str, customer_id: Option<String>) -> Grant {
        Grant {
            client: self.grant.client.clone(),
            scopes: [Scope::AnswersWrite, Scope::AnswersRead].map(|scope| scope.to_string()).to_vec(),
            sources: self.grant.sources.clone(),
            session_id: Some(session.to_owned()),
            customer_id,
        }
    }
}
