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

/// The error, as a word that programs can rely on.
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

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::QuestionTooLong | Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::SessionBusy => StatusCode::CONFLICT,
            Self::RateLimited | Self::QueueFull => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(5);

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
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let problem = Self {
            kind: "about:blank",
            title: "",
            status: 0,
            code,
            detail: detail.into(),
            retry_after: None,
        };
        problem.with_status(code.status())
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { title: status.canonical_reason().unwrap_or("Error"), status: status.as_u16(), ..self }
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// A problem for a thing, as in `answer`, that does not exist or belongs to another client.
    pub(super) fn not_found(thing: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {thing}"))
    }

    /// A problem for a failure that only the log describes.
    fn internal() -> Self {
        let detail = "the request failed for a reason that the log of the daemon names";
        Self::new(Code::Unavailable, detail).with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = self.retry_after.or(is_unavailable.then_some(RETRY_AFTER));
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
            StoreError::SessionBusy(detail) => return Self::new(Code::SessionBusy, detail),
            StoreError::IdempotencyMismatch(detail) => return Self::new(Code::IdempotencyMismatch, detail),
            // Another daemon's settings are newer than ours.
            StoreError::UnknownName(detail) => return Self::invalid(detail),
            _ => tracing::error!(%error, "a request failed: {error}"),
        }
        match error {
            StoreError::Unreachable(_) | StoreError::TooSlow(_) => Self::new(
                Code::Unavailable,
                "the database cannot be reached at the moment, or takes too long",
            ),
            _ => Self::internal(),
        }
    }
}

pub(super) async fn within_time(request: Request, next: Next) -> Response {
    let response = tokio::time::timeout(super::TIMEOUT, next.run(request)).await;
    response.unwrap_or_else(|_| Problem::new(Code::Unavailable, "the request took too long").into_response())
}

pub(super) async fn no_route() -> Problem {
    Problem::new(Code::NotFound, "there is nothing at this address")
}

pub(super) async fn no_method() -> Problem {
    Problem::invalid("this address exists, but not for this method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request ended in a panic");
    Problem::internal().into_response()
}
