//! `POST /v1/answers` accepts a question, `GET /v1/answers/{id}` says how far it is, and it can be cancelled.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Api,
    problem::{Code, Problem},
    waiting::preferred,
};
use crate::{
    answer::Question,
    store::answers::{AnswerObject, LOCAL},
};

/// The longest name that a caller may give to a session or a request, in bytes.
const MAX_NAME: usize = 255;

/// The longest that an answer can be waited for, in seconds: a year.
const MAX_SECONDS: f64 = 31_536_000.0;

pub(super) async fn ask(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let question: Question = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))?;
    check(&api, &question)?;
    let key = idempotency_key(&headers)?;
    let wait = preferred(&headers)?;
    let id = api.store.ask(LOCAL, key.as_deref(), &question).await?;
    let answer = found(api.waiting.settled(&api.store, id, wait).await?)?;
    let status = if answer.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(answer)).into_response();
    let location = HeaderValue::from_str(&format!("/v1/answers/{id}"));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    Ok(response)
}

/// Cancels a question; one that is settled stays as it is.
pub(super) async fn cancel(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<AnswerObject>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else { return found(None).map(Json) };
    api.store.cancel_answer(id).await?;
    Ok(Json(found(api.store.answer(id).await?)?))
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<AnswerObject>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else { return found(None).map(Json) };
    let wait = preferred(&headers)?;
    Ok(Json(found(api.waiting.settled(&api.store, id, wait).await?)?))
}

fn found(answer: Option<AnswerObject>) -> Result<AnswerObject, Problem> {
    answer.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such answer"))
}

fn check(api: &Api, request: &Question) -> Result<(), Problem> {
    let length = request.question.chars().count();
    if length > api.max_question_chars {
        let most = api.max_question_chars;
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Code::QuestionTooLong,
            format!("question has {length} characters; the most is {most}"),
        ));
    }
    if request.question.trim().is_empty() {
        return Err(Problem::invalid("question is empty"));
    }
    check_text("question", &request.question)?;
    let names = [
        ("session_id", &request.session_id),
        ("customer_id", &request.customer_id),
        ("locale", &request.locale),
    ];
    for (field, name) in names {
        name.as_ref().map_or(Ok(()), |name| check_name(field, name))?;
    }
    for message in request.history.iter().flatten() {
        check_text("history", &message.content)?;
    }
    if let Some(seconds) = request.cancel_after_s.filter(|seconds| !(0.0..MAX_SECONDS).contains(seconds)) {
        return Err(Problem::invalid(format!(
            "cancel_after_s must be from 0 to {MAX_SECONDS}, not {seconds}"
        )));
    }
    let known = &api.sources;
    let unknown = request.sources.iter().flatten().find(|source| !known.contains(source));
    if let Some(source) = unknown {
        let known = json!(known.as_ref());
        return Err(Problem::invalid(format!("sources: there is no source {source:?}; there are {known}")));
    }
    if request.sources.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::invalid("sources is empty: leave it out to search them all"));
    }
    let metadata = request.metadata.as_ref().map(|metadata| json!(metadata).to_string());
    check_text("metadata", metadata.as_deref().unwrap_or_default())
}

/// PostgreSQL cannot keep the character NUL.
fn check_text(field: &str, text: &str) -> Result<(), Problem> {
    if text.contains('\0') || text.contains("\\u0000") {
        return Err(Problem::invalid(format!("{field} holds a NUL character")));
    }
    Ok(())
}

pub(super) fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.len() > MAX_NAME {
        let length = name.len();
        return Err(Problem::invalid(format!("{field} must have 1 to {MAX_NAME} bytes, not {length}")));
    }
    check_text(field, name)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    check_name("Idempotency-Key", key)?;
    Ok(Some(key.to_owned()))
}
