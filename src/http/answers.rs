//! `POST /v1/answers` accepts a question, `GET /v1/answers/{id}` returns its state, and it can be cancelled and rated.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tracing::{Instrument, info_span};

use super::{
    auth::{Caller, Scope},
    checks::{check, check_name, check_settings},
    extract::{Body, PathParams, parse_id},
    problem::{Code, Problem},
    waiting::preferred_wait,
};
use crate::{
    answering::{Question, object::AnswerObject},
    telemetry,
};

pub(super) mod feedback;
pub(super) mod listing;

/// The `Retry-After` while the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Asks a question
///
/// `Prefer: wait=n` waits for the answer, for at most 25 seconds. The same `Idempotency-Key` with the same body within 24
/// hours is the same question, also while the queue is full. With a browser's token, `customer_id` (other than the
/// token's own), `priority`, `webhook` and `history` are `forbidden`, and keys are per session.
#[utoipa::path(
    post, path = "/v1/answers", tag = "answers", request_body = Question,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        ("Prefer" = Option<String>, Header, description = "`wait=n`: seconds"),
        ("traceparent" = Option<String>, Header, description = "The trace of the request (W3C Trace Context)"),
    ),
    responses(
        (status = 200, description = "It is settled", body = AnswerObject,
            headers(("Location" = String, description = "Where the answer is"))),
        (status = 202, description = "It is accepted", body = AnswerObject,
            headers(("Location" = String, description = "Where the answer will be"))),
        (status = 409, description = "`session_busy`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`question_too_long`, `idempotency_mismatch`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ask(
    caller: Caller,
    headers: HeaderMap,
    Body(question): Body<Question>,
) -> Result<Response, Problem> {
    caller.may(Scope::AnswersWrite)?;
    let question = caller.question(question)?;
    check(&question)?;
    let key = idempotency_key(&headers)?.map(|key| caller.idempotency_key(key));
    let wait = preferred_wait(&headers);
    // A question that was accepted before is not refused now, however full the queue is and whatever the settings are.
    let is_known = match &key {
        Some(key) => caller.api.store.knows_key(caller.client(), key).await?,
        None => false,
    };
    if !is_known {
        check_settings(&caller.api, &question)?;
        if caller.api.store.has_more_queued_than(caller.api.max_queued).await? {
            let detail = format!("more than {} questions are already waiting", caller.api.max_queued);
            return Err(Problem::new(Code::QueueFull, detail).retry_after(RETRY_AFTER));
        }
    }
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let span = info_span!("ask", otel.kind = "server");
    telemetry::follow(&span, parent, true);
    let traceparent = telemetry::traceparent(&span, parent);
    let id = caller.api.store.ask(caller.client(), key.as_deref(), &question, traceparent.as_deref());
    let id = id.instrument(span).await?;
    let store = &caller.api.store;
    let answer = caller.api.waiting.until_settled(store, Some(caller.client()), id, wait, !is_known).await?;
    let answer = answer.ok_or_else(no_answer)?;
    let status = if answer.status.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, [(header::LOCATION, format!("/v1/answers/{id}"))], Json(answer)).into_response())
}

/// Cancels a question
///
/// A settled one stays as it is.
#[utoipa::path(
    post, path = "/v1/answers/{id}/cancel", tag = "answers", params(("id" = String, Path)),
    responses((status = 200, description = "As it is now", body = AnswerObject))
)]
pub(super) async fn cancel(
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<AnswerObject>, Problem> {
    caller.may(Scope::AnswersWrite)?;
    let answer = find_answer(&caller, &id).await?;
    caller.api.store.cancel_answer(answer.id).await?;
    find_answer(&caller, &id).await.map(Json)
}

/// Reads an answer
///
/// `Prefer: wait=n` waits for it, for at most 25 seconds.
#[utoipa::path(
    get, path = "/v1/answers/{id}", tag = "answers",
    params(("id" = String, Path), ("Prefer" = Option<String>, Header, description = "`wait=n`: seconds")),
    responses((status = 200, description = "As it is now", body = AnswerObject))
)]
pub(super) async fn read(
    caller: Caller,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Json<AnswerObject>, Problem> {
    caller.may(Scope::AnswersRead)?;
    let wait = preferred_wait(&headers);
    let answer = find_answer(&caller, &id).await?;
    if wait.is_none() || answer.status.is_settled() {
        return Ok(Json(answer));
    }
    let store = &caller.api.store;
    let answer = caller.api.waiting.until_settled(store, caller.sees(), answer.id, wait, false).await?;
    Ok(Json(answer.ok_or_else(no_answer)?))
}

pub(super) async fn find_answer(caller: &Caller, id: &str) -> Result<AnswerObject, Problem> {
    let id = parse_id("answer", id)?;
    let answer = caller.api.store.answer(caller.sees(), id).await?;
    answer.filter(|answer| caller.is_of_session(answer)).ok_or_else(no_answer)
}

fn no_answer() -> Problem {
    Problem::not_found("answer")
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    check_name("Idempotency-Key", key)?;
    Ok(Some(key.to_owned()))
}
