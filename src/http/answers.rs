//! `POST /v1/answers` accepts a question, `GET /v1/answers/{id}` says how far it is, and it can be cancelled.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
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

/// What a customer thinks of an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    rating: Rating,
    comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rating {
    Up,
    Down,
}

/// Notes what a customer thinks of an answer; the last word counts.
pub(super) async fn rate(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Feedback { rating, comment } = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))?;
    comment.as_ref().map_or(Ok(()), |comment| check_text("comment", comment))?;
    let rating = match rating {
        Rating::Up => "up",
        Rating::Down => "down",
    };
    let rated = match id.parse() {
        Ok(id) => api.store.rate_answer(LOCAL, id, rating, comment.as_deref()).await?,
        Err(_) => false,
    };
    if !rated {
        return Err(no_answer());
    }
    Ok(Json(json!({ "object": "feedback", "answer_id": id, "rating": rating, "comment": comment })))
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

/// Which answers are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    session_id: Option<String>,
    status: Option<String>,
    cursor: Option<i64>,
    limit: Option<u32>,
}

/// Answers in a page.
const PAGE: u32 = 50;
/// The statuses there are.
const STATUSES: [&str; 7] =
    ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled", "expired"];

/// Lists answers, the newest first; `next_cursor` of a page is the `cursor` of the next one.
pub(super) async fn list(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::invalid(error.body_text()))?;
    filter.session_id.as_ref().map_or(Ok(()), |session| check_name("session_id", session))?;
    if let Some(status) = filter.status.as_deref().filter(|status| !STATUSES.contains(status)) {
        let known = STATUSES.join(", ");
        return Err(Problem::invalid(format!("status: there is no {status:?}; there are {known}")));
    }
    let limit = filter.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Problem::invalid(format!("limit must be from 1 to {PAGE}, not {limit}")));
    }
    let (session, status) = (filter.session_id.as_deref(), filter.status.as_deref());
    // One more than asked for tells whether there is another page.
    let mut answers = api.store.answers(LOCAL, session, status, filter.cursor, limit + 1).await?;
    let has_more = answers.len() > limit as usize;
    answers.truncate(limit as usize);
    let next = answers.last().filter(|_| has_more).map(|last| last.seq);
    Ok(Json(json!({ "object": "list", "data": answers, "next_cursor": next })))
}

fn found(answer: Option<AnswerObject>) -> Result<AnswerObject, Problem> {
    answer.ok_or_else(no_answer)
}

fn no_answer() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such answer")
}

pub(super) fn check_question(api: &Api, field: &str, text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if length > api.max_question_chars {
        let most = api.max_question_chars;
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Code::QuestionTooLong,
            format!("{field} has {length} characters; the most is {most}"),
        ));
    }
    if text.trim().is_empty() {
        return Err(Problem::invalid(format!("{field} is empty")));
    }
    check_text(field, text)
}

pub(super) fn check_sources(api: &Api, sources: Option<&[String]>) -> Result<(), Problem> {
    let known = &api.sources;
    if let Some(source) = sources.iter().copied().flatten().find(|source| !known.contains(source)) {
        let known = json!(known.as_ref());
        return Err(Problem::invalid(format!("sources: there is no source {source:?}; there are {known}")));
    }
    if sources.is_some_and(<[_]>::is_empty) {
        return Err(Problem::invalid("sources is empty: leave it out to search them all"));
    }
    Ok(())
}

fn check(api: &Api, request: &Question) -> Result<(), Problem> {
    check_question(api, "question", &request.question)?;
    check_sources(api, request.sources.as_deref())?;
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
