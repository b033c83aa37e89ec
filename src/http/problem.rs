//! Errors as callers see them: RFC 9457 problems with a stable code.

use std::any::Any;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::store::StoreError;

/// What went wrong, as a word that programs can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    InvalidRequest,
    NotFound,
    QuestionTooLong,
    SessionBusy,
    IdempotencyMismatch,
    Unavailable,
}

/// A problem; `detail` says what was wrong and what would be right.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: Code,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), code, detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::SessionBusy(detail) => {
                return Self::new(StatusCode::CONFLICT, Code::SessionBusy, detail);
            }
            StoreError::IdempotencyMismatch(detail) => {
                return Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::IdempotencyMismatch, detail);
            }
            _ => tracing::error!(%error, "a request failed: {error}"),
        }
        match error {
            StoreError::Unreachable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "the database cannot be reached at the moment",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unavailable,
                "the request failed for a reason that the log of the daemon names",
            ),
        }
    }
}

pub(super) async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is nothing at this address")
}

pub(super) async fn no_method() -> Problem {
    let detail = "this address exists, but not for this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidRequest, detail)
}

pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request ended in a panic");
    let detail = "the request failed for a reason that the log of the daemon names";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unavailable, detail).into_response()
}
