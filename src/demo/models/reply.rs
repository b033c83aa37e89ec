//! An answer before it is sent: the models' own, and OpenAI's error bodies.

use std::io;
use std::time::Duration;

use async_stream::stream;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const EVENT_STREAM: &str = "text/event-stream";

/// A whole answer. Functions that refuse a request return it as their error.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    /// Headers beside the content type, all of which are numbers.
    pub(super) headers: Vec<(&'static str, u64)>,
    body: String,
}

impl Reply {
    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, headers: Vec::new(), body }
    }

    /// One JSON document.
    pub(super) fn json(body: String) -> Self {
        Self::new(StatusCode::OK, "application/json", body)
    }

    /// Server-sent events, one for each text.
    pub(super) fn events(data: impl IntoIterator<Item = String>) -> Self {
        let body = data.into_iter().flat_map(|data| ["data: ".to_owned(), data, "\n\n".to_owned()]);
        Self::new(StatusCode::OK, EVENT_STREAM, body.collect())
    }

    /// The page of a proxy that should not have been asked.
    pub(super) fn nonsense() -> Self {
        let page = "<!doctype html><html><head><title>Welcome</title></head><body>It works!</body></html>";
        Self::new(StatusCode::OK, "text/html", page.to_owned())
    }

    /// An error as OpenAI writes it.
    fn error(
        status: StatusCode,
        kind: &str,
        param: Option<&str>,
        code: Option<&str>,
        message: impl Into<Value>,
    ) -> Self {
        let message = message.into();
        let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
        Self::new(status, "application/json", body.to_string())
    }

    /// The request is wrong; `param` names the field that is.
    pub(super) fn invalid(param: impl Into<Option<&'static str>>, message: impl Into<Value>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "invalid_request_error", param.into(), None, message)
    }

    /// More inputs than one request may have.
    pub(super) fn too_many_inputs(limit: usize, inputs: usize) -> Self {
        let message = format!(
            "Invalid 'input': array too long. Expected an array with maximum length {limit}, but got an array with \
             length {inputs} instead."
        );
        let code = Some("array_above_max_length");
        Self::error(StatusCode::BAD_REQUEST, "invalid_request_error", Some("input"), code, message)
    }

    /// A path or method that is not served.
    pub(super) fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!("Unknown request URL: {method} {path}.");
        let code = Some("unknown_url");
        Self::error(StatusCode::NOT_FOUND, "invalid_request_error", None, code, message)
    }

    /// What OpenAI says with this status. A code that is not an error status counts as 500.
    pub(super) fn status(code: u16, retry_after: Option<Duration>) -> Self {
        const INVALID: &str = "invalid_request_error";
        let status = StatusCode::from_u16(code).ok().filter(|_| (400..=599).contains(&code));
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (kind, code, message) = match status.as_u16() {
            401 => (INVALID, Some("invalid_api_key"), "Incorrect API key provided."),
            404 => (
                INVALID,
                Some("model_not_found"),
                "The model does not exist or you do not have access to it.",
            ),
            429 => (
                "requests",
                Some("rate_limit_exceeded"),
                "Rate limit reached for requests. Please try again later.",
            ),
            400..=499 => (INVALID, None, "The request was refused."),
            503 => ("server_error", None, "The engine is currently overloaded, please try again later."),
            _ => (
                "server_error",
                None,
                "The server had an error while processing your request. Sorry about that!",
            ),
        };
        let seconds = retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        let headers = seconds.map(|seconds| ("retry-after", seconds)).into_iter().collect();
        Self { headers, ..Self::error(status, kind, None, code, message) }
    }

    /// The account is out of money.
    pub(super) fn insufficient_quota() -> Self {
        let (kind, status) = ("insufficient_quota", StatusCode::TOO_MANY_REQUESTS);
        let message = "You exceeded your current quota, please check your plan and billing details.";
        Self::error(status, kind, None, Some(kind), message)
    }

    /// The model failed on an input.
    pub(super) fn model_failure(error: &anyhow::Error) -> Self {
        tracing::error!("an offline model failed: {error:#}");
        let message = format!("the model failed: {error:#}");
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, None, message)
    }

    /// Makes the JSON end too early.
    pub(super) fn break_json(&mut self) {
        if self.content_type == EVENT_STREAM {
            self.body = String::from("data: {\"id\":\n\n");
        } else {
            let half = self.body.floor_char_boundary(self.body.len() / 2);
            self.body.truncate(half);
        }
    }

    /// Sends the answer whole.
    pub(super) fn send(self) -> Response {
        let Self { status, content_type, headers, body } = self;
        let body = if content_type == EVENT_STREAM {
            Body::from_stream(futures::stream::iter([Ok::<_, io::Error>(body)]))
        } else {
            Body::from(body)
        };
        let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        response.headers_mut().extend(
            headers.into_iter().map(|(name, number)| (header::HeaderName::from_static(name), number.into())),
        );
        response
    }

    /// Sends half of the answer, and the rest after a pause. Without one, and when the server stops, the connection
    /// breaks: an error in a body closes it without the end that the client waits for.
    pub(super) fn send_in_halves(mut self, pause: Option<Duration>, stop: CancellationToken) -> Response {
        let mut first = Bytes::from(std::mem::take(&mut self.body));
        let rest = first.split_off(first.len() / 2);
        self.send().map(|_| {
            Body::from_stream(stream! {
                yield Ok(first);
                let is_over = if let Some(pause) = pause {
                    stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
                } else {
                    // Lets the first half leave before the error.
                    tokio::task::yield_now().await;
                    false
                };
                yield if is_over { Ok(rest) } else { Err(io::Error::from(io::ErrorKind::ConnectionAborted)) };
            })
        })
    }
}

/// Reads a JSON body, or says as OpenAI does that it is not one.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| {
        Reply::invalid(None, format!("We could not parse the JSON body of your request: {error}."))
    })
}
