//! Extractors whose rejections are problems (axum's own are plain text), and pages of lists.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;
use uuid::Uuid;

use super::problem::Problem;

pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let problem = Problem::invalid(format!("the body is larger than {} bytes", super::MAX_BODY));
                return problem.with_status(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Problem::invalid(format!("the body cannot be read: {}", rejection.body_text()))
        })?;
        // If every field is optional, so is the body.
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // Serde would read a list as an object whose fields come in order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::invalid("the body is not a request: it is no JSON object"));
        }
        let value = serde_json::from_slice(bytes);
        value.map(Self).map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))
    }
}

pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// Parses the id of a thing, as in `answer`; an invalid one is not found.
pub(super) fn parse_id(thing: &str, id: &str) -> Result<Uuid, Problem> {
    id.parse().map_err(|_| Problem::not_found(thing))
}

pub(super) fn require_found(thing: &str, is_found: bool) -> Result<(), Problem> {
    if is_found { Ok(()) } else { Err(Problem::not_found(thing)) }
}

/// A thing whose state was changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Changed)]
pub(super) struct Changed<S> {
    pub(super) object: &'static str,
    pub(super) id: Uuid,
    pub(super) status: S,
}

pub(super) const PAGE: u32 = 50;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct Page<T, C> {
    object: &'static str,
    data: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: C,
}

impl<T, C> Page<T, Option<C>> {
    /// Makes a page of `limit` items. One more than these in `read` means that there is a next page.
    pub(super) fn new(mut read: Vec<T>, limit: u32, cursor: impl Fn(&T) -> C) -> Self {
        let has_more = read.len() > limit as usize;
        read.truncate(limit as usize);
        let next_cursor = read.last().filter(|_| has_more).map(cursor);
        Self { object: "list", data: read, next_cursor }
    }
}
