//! Sessions and customers: reading, handing over, erasing, tokens for browsers.

use axum::{Json, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::{Caller, Scope, new_token},
    checks::check_name,
    extract::{Body, PathParams, require_found},
    problem::Problem,
};
use crate::{answering::object::SessionOwner, clock, store::sessions::Session};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOwner {
    owner: SessionOwner,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnedSession {
    object: &'static str,
    id: String,
    owner: SessionOwner,
}

/// Hands a session over to a human, or back
///
/// While a human has it, its questions are stored but not answered.
#[utoipa::path(
    put, path = "/v1/sessions/{id}/owner", tag = "sessions", params(("id" = String, Path)),
    request_body = NewOwner, responses((status = 200, description = "Done", body = OwnedSession))
)]
pub(super) async fn set_owner(
    caller: Caller,
    PathParams(id): PathParams<String>,
    Body(NewOwner { owner }): Body<NewOwner>,
) -> Result<Json<OwnedSession>, Problem> {
    caller.may_all(Scope::AnswersWrite)?;
    check_name("session_id", &id)?;
    require_found("session", caller.api.store.set_owner(caller.sees(), &id, owner).await?)?;
    Ok(Json(OwnedSession { object: "session", id, owner }))
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionShown {
    object: &'static str,
    #[serde(flatten)]
    session: Session,
}

/// Reads a session
///
/// Its questions are listed by `GET /v1/answers?session_id=…`.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, description = "The session", body = SessionShown))
)]
pub(super) async fn read(
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<SessionShown>, Problem> {
    caller.may(Scope::AnswersRead)?;
    check_name("session_id", &id)?;
    caller.session(Some(id.clone()))?;
    let session = caller.api.store.session(caller.sees(), &id).await?;
    let session = session.ok_or_else(|| Problem::not_found("session"))?;
    Ok(Json(SessionShown { object: "session", session }))
}

/// The result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Erasure {
    object: &'static str,
    id: String,
    deleted: bool,
    /// The number of erased questions.
    answers: u64,
}

/// Erases a session and everything that belongs to it
///
/// A session that does not exist is erased already.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, description = "Erased", body = Erasure))
)]
pub(super) async fn erase(
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<Erasure>, Problem> {
    caller.may_all(Scope::SessionsErase)?;
    check_name("session_id", &id)?;
    let answers = caller.api.store.erase_session(caller.sees(), &id).await?;
    Ok(Json(Erasure { object: "session", id, deleted: true, answers }))
}

/// Erases all sessions and questions of a customer
#[utoipa::path(
    delete, path = "/v1/customers/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, description = "Erased", body = Erasure))
)]
pub(super) async fn erase_customer(
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<Erasure>, Problem> {
    caller.may_all(Scope::SessionsErase)?;
    check_name("customer_id", &id)?;
    let answers = caller.api.store.erase_customer(caller.sees(), &id).await?;
    Ok(Json(Erasure { object: "customer", id, deleted: true, answers }))
}

/// The customer of a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// The customer of every question asked with the token; none by default.
    #[schema(min_length = 1, max_length = 255)]
    customer_id: Option<String>,
}

/// A browser's token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionToken {
    object: &'static str,
    token: String,
    session_id: String,
    expires_at: DateTime<Utc>,
}

const MINUTES: i64 = 15;

/// Makes a token for a browser
///
/// It can ask and read in this session only, for fifteen minutes. With it, `customer_id` (other than the token's own),
/// `priority`, `webhook` and `history` of a question are `forbidden`. `metadata` is set by the visitor.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/token", tag = "sessions", params(("id" = String, Path)),
    request_body(content = Option<NewToken>, description = "May be left out"),
    responses((status = 201, description = "Made", body = SessionToken))
)]
pub(super) async fn create_token(
    caller: Caller,
    PathParams(id): PathParams<String>,
    body: Result<Body<NewToken>, Problem>,
) -> Result<(StatusCode, Json<SessionToken>), Problem> {
    caller.may_all(Scope::AnswersWrite)?;
    check_name("session_id", &id)?;
    let Body(NewToken { customer_id }) = body?;
    customer_id.as_ref().map_or(Ok(()), |customer| check_name("customer_id", customer))?;
    let (token, hash) = new_token();
    let expires_at = clock::now() + TimeDelta::minutes(MINUTES);
    caller.api.store.add_token(&hash, &caller.browser(&id, customer_id), Some(expires_at)).await?;
    Ok((StatusCode::CREATED, Json(SessionToken { object: "token", token, session_id: id, expires_at })))
}
