//! OpenAI's error bodies.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::demo::models::{OfflineError, fault::whole_seconds, reply::Reply};

/// A request that is answered with an error body.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// The request is wrong; `param` names the field that is.
    pub(super) fn invalid(param: impl Into<Option<&'static str>>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            kind: "invalid_request_error",
            param: param.into(),
            code: None,
            retry_after: None,
        }
    }

    /// More inputs than one request may have.
    pub(super) fn too_many_inputs(limit: usize, inputs: usize) -> Self {
        let message = format!(
            "Invalid 'input': array too long. Expected an array with maximum length {limit}, but got an array with \
             length {inputs} instead."
        );
        Self { code: Some("array_above_max_length"), ..Self::invalid("input", message) }
    }

    /// A path or method that is not served.
    pub(super) fn unknown_url(method: &str, path: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some("unknown_url"),
            ..Self::invalid(None, format!("Unknown request URL: {method} {path}."))
        }
    }

    /// What OpenAI says with this status. A code that is not an error status counts as 500.
    pub(super) fn of_status(code: u16, retry_after: Option<Duration>) -> Self {
        let status = StatusCode::from_u16(code).ok();
        let status = status
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (message, kind, code) = match status.as_u16() {
            401 => ("Incorrect API key provided.", "invalid_request_error", Some("invalid_api_key")),
            404 => (
                "The model does not exist or you do not have access to it.",
                "invalid_request_error",
                Some("model_not_found"),
            ),
            429 => (
                "Rate limit reached for requests. Please try again later.",
                "requests",
                Some("rate_limit_exceeded"),
            ),
            400..=499 => ("The request was refused.", "invalid_request_error", None),
            503 => ("The engine is currently overloaded, please try again later.", "server_error", None),
            _ => (
                "The server had an error while processing your request. Sorry about that!",
                "server_error",
                None,
            ),
        };
        Self { status, message: message.to_owned(), kind, param: None, code, retry_after }
    }

    /// The account is out of money.
    pub(super) fn insufficient_quota() -> Self {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: message.to_owned(),
            kind: "insufficient_quota",
            param: None,
            code: Some("insufficient_quota"),
            retry_after: None,
        }
    }
}

/// Reads a JSON body, or says as OpenAI does that it is none.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid(None, format!("We could not parse the JSON body of your request: {error}."))
    })
}

impl From<OfflineError> for Refusal {
    fn from(error: OfflineError) -> Self {
        tracing::error!(%error, "an offline model failed");
        Self { message: error.to_string(), ..Self::of_status(500, None) }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, message, kind, param, code, retry_after } = refusal;
        let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
        let mut reply = Self::json(body.to_string());
        reply.status = status;
        if let Some(wait) = retry_after {
            reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        reply
    }
}
