//! What a request holds, or the problem with it: axum's own refusals are plain text. And how lists are cut into pages.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// The body, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let code = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Code::InvalidRequest,
                _ => return Problem::invalid(format!("the body cannot be read: {}", rejection.body_text())),
            };
            let detail = format!("the body is larger than {} bytes", super::MAX_BODY);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code, detail)
        })?;
        // Where everything may be left out, so may the body.
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A list would be taken for an object whose fields come in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::invalid("the body is not a request: it is no JSON object"));
        }
        let value = serde_json::from_slice(bytes);
        value.map(Self).map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))
    }
}

/// The names in the address.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// What stands after the question mark.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// A page out of what was read, one more than it holds, and the cursor of the next page if there is one.
pub(super) fn page<T, C>(mut read: Vec<T>, limit: u32, cursor: impl Fn(&T) -> C) -> (Vec<T>, Option<C>) {
    let has_more = read.len() > limit as usize;
    read.truncate(limit as usize);
    let next = read.last().filter(|_| has_more).map(cursor);
    (read, next)
}
