//! Errors as callers see them: RFC 9457 problems with a stable code.

use std::{any::Any, time::Duration};

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// What went wrong, as a word that programs can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    InvalidRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    QuestionTooLong,
    SessionBusy,
    IdempotencyMismatch,
    RateLimited,
    QueueFull,
    Unavailable,
}

/// When what is down is asked again.
const LATER: Duration = Duration::from_secs(5);

/// A problem; `detail` says what was wrong and what would be right.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// `about:blank`: the status and the code say what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: Code,
    detail: String,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let (kind, status, detail) = ("about:blank", status.as_u16(), detail.into());
        Self { kind, title, status, code, detail, retry_after: None }
    }

    /// The same, to be tried again after so long.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(LATER));
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
            // Another daemon's settings are newer than ours.
            StoreError::UnknownName(detail) => return Self::invalid(detail),
            _ => tracing::error!(%error, "a request failed: {error}"),
        }
        match error {
            StoreError::Unreachable(_) | StoreError::TooSlow(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "the database cannot be reached at the moment, or takes too long",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unavailable,
                "the request failed for a reason that the log of the daemon names",
            ),
        }
    }
}

/// Ends a request that takes too long.
pub(super) async fn within_time(request: Request, next: Next) -> Response {
    let response = tokio::time::timeout(super::TIMEOUT, next.run(request)).await;
    response.unwrap_or_else(|_| {
        let detail = "the request took too long";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail).into_response()
    })
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
