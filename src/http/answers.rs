//! `POST /v1/answers` accepts a question, `GET /v1/answers/{id}` says how far it is.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Api,
    problem::{Code, Problem},
};
use crate::store::answers::{AnswerObject, NewQuestion};

/// What a caller sends. A field that is not known is an error, so that a typing error is not an answer
/// to another question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    question: String,
    session_id: Option<String>,
    sources: Option<Vec<String>>,
    metadata: Option<serde_json::Map<String, Value>>,
}

/// The longest name that a caller may give to a session or a request, in bytes.
const MAX_NAME: usize = 255;

pub(super) async fn ask(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))?;
    check(&api, &request)?;
    let question = NewQuestion {
        question: request.question,
        session_id: request.session_id,
        idempotency_key: idempotency_key(&headers)?,
        sources: request.sources,
        metadata: Value::Object(request.metadata.unwrap_or_default()),
    };
    let id = api.store.ask(&question).await?;
    let answer = found(api.store.answer(id).await?)?;
    if answer.question != question.question || answer.session_id != question.session_id {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Code::IdempotencyMismatch,
            "the Idempotency-Key was used before with another question or session",
        ));
    }
    let status = if answer.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(answer)).into_response();
    let location = HeaderValue::from_str(&format!("/v1/answers/{id}"));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    Ok(response)
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<AnswerObject>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else { return found(None).map(Json) };
    Ok(Json(found(api.store.answer(id).await?)?))
}

fn found(answer: Option<AnswerObject>) -> Result<AnswerObject, Problem> {
    answer.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such answer"))
}

fn check(api: &Api, request: &Request) -> Result<(), Problem> {
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
    if let Some(session) = &request.session_id {
        check_name("session_id", session)?;
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

fn check_name(field: &str, name: &str) -> Result<(), Problem> {
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
