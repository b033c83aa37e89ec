//! Errors with OpenAI's bodies.

use std::time::Duration;

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Reply;

const INVALID: &str = "invalid_request_error";

impl Reply {
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

    /// The request is invalid; `param` names the faulty field.
    pub(crate) fn invalid(param: impl Into<Option<&'static str>>, message: impl Into<Value>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, INVALID, param.into(), None, message)
    }

    pub(crate) fn too_many_inputs(limit: usize, inputs: usize) -> Self {
        let message = format!(
            "Invalid 'input': array too long. Expected an array with maximum length {limit}, but got an array with \
             length {inputs} instead."
        );
        let code = Some("array_above_max_length");
        Self::error(StatusCode::BAD_REQUEST, INVALID, Some("input"), code, message)
    }

    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!("Unknown request URL: {method} {path}.");
        let code = Some("unknown_url");
        Self::error(StatusCode::NOT_FOUND, INVALID, None, code, message)
    }

    pub(crate) fn unknown_model(model: &str, offered: &str) -> Self {
        let message = format!("The model `{model}` does not exist. Offered are: {offered}.");
        Self::error(StatusCode::NOT_FOUND, INVALID, Some("model"), Some("model_not_found"), message)
    }

    /// OpenAI's error with this status. A code that is not an error status counts as 500.
    pub(crate) fn status(code: u16, retry_after: Option<Duration>) -> Self {
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
        let headers = seconds.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
        Self { headers, ..Self::error(status, kind, None, code, message) }
    }

    pub(crate) fn insufficient_quota() -> Self {
        let (kind, status) = ("insufficient_quota", StatusCode::TOO_MANY_REQUESTS);
        let message = "You exceeded your current quota, please check your plan and billing details.";
        Self::error(status, kind, None, Some(kind), message)
    }

    pub(crate) fn model_failure(error: &anyhow::Error) -> Self {
        tracing::error!("an offline model failed: {error:#}");
        let message = format!("the model failed: {error:#}");
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, None, message)
    }
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| {
        Reply::invalid(None, format!("We could not parse the JSON body of your request: {error}."))
    })
}
