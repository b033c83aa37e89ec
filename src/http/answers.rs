//! `POST /v1/answers` accepts a question, `GET /v1/answers/{id}` says how far it is, and it can be cancelled.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tracing::{Instrument, info_span};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    auth::{Caller, Scope},
    checks::{check, check_name, check_settings, check_text},
    extract::{Body, PathParams, QueryParams, page},
    problem::{Code, Problem},
    waiting::preferred,
};
use crate::{
    answering::{Question, object::AnswerObject},
    telemetry,
};

/// When a client whose question was not taken may ask again.
const LATER: std::time::Duration = std::time::Duration::from_secs(5);

/// Asks a question
///
/// With `Prefer: wait=n` the answer is waited for, 25 seconds at most. The same `Idempotency-Key` with the same body
/// within 24 hours is the same question, also while the queue is full. With a browser's token `customer_id` (but for the
/// token's own), `priority`, `webhook` and `history` are `forbidden`, and the keys are its session's own.
#[utoipa::path(
    post, path = "/v1/answers", tag = "answers", request_body = Question,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        ("Prefer" = Option<String>, Header, description = "`wait=n`: seconds"),
        ("traceparent" = Option<String>, Header, description = "The trace that it is part of (W3C Trace Context)"),
    ),
    responses(
        (status = 200, description = "It is settled", body = AnswerObject,
            headers(("Location" = String, description = "Where the answer is"))),
        (status = 202, description = "It is accepted", body = AnswerObject,
            headers(("Location" = String, description = "Where the answer will be"))),
        (status = 409, description = "`session_busy`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`question_too_long`, `idempotency_mismatch`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ask(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Body(question): Body<Question>,
) -> Result<Response, Problem> {
    caller.may(Scope::AnswersWrite)?;
    let question = caller.question(question)?;
    check(&question)?;
    let key = idempotency_key(&headers)?.map(|key| caller.idempotency_key(key));
    let wait = preferred(&headers);
    // What was accepted before is not refused now, however full the queue is and whatever the settings became.
    let is_known = match &key {
        Some(key) => api.store.knows_key(caller.client(), key).await?,
        None => false,
    };
    if !is_known {
        check_settings(&api, &question)?;
        if api.store.has_more_queued_than(api.max_queued).await? {
            let detail = format!("more than {} questions wait already", api.max_queued);
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::QueueFull, detail);
            return Err(problem.retry_after(LATER));
        }
    }
    let came = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let span = info_span!("ask", otel.kind = "server");
    telemetry::follow(&span, came, true);
    let next = telemetry::traceparent(&span, came);
    let id = api.store.ask(caller.client(), key.as_deref(), &question, next.as_deref());
    let id = id.instrument(span).await?;
    let answer =
        api.waiting.settled(&api.store, Some(caller.client()), id, wait).await?.ok_or_else(no_answer)?;
    let status = if answer.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(answer)).into_response();
    let location = HeaderValue::from_str(&format!("/v1/answers/{id}"));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    Ok(response)
}

/// Cancels a question
///
/// One that is settled stays as it is.
#[utoipa::path(
    post, path = "/v1/answers/{id}/cancel", tag = "answers", params(("id" = String, Path)),
    responses((status = 200, description = "As it is now", body = AnswerObject))
)]
pub(super) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<AnswerObject>, Problem> {
    caller.may(Scope::AnswersWrite)?;
    let answer = seen(&api, &caller, &id).await?;
    api.store.cancel_answer(answer.id).await?;
    seen(&api, &caller, &id).await.map(Json)
}

/// What a customer thinks of an answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFeedback {
    rating: Rating,
    /// 4,000 characters at most.
    comment: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Rating {
    Up,
    Down,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Feedback {
    object: &'static str,
    answer_id: Uuid,
    rating: Rating,
    comment: Option<String>,
}

/// Characters of a comment.
const MAX_COMMENT: usize = 4000;

/// Rates an answer
///
/// The last word counts.
#[utoipa::path(
    post, path = "/v1/answers/{id}/feedback", tag = "answers", params(("id" = String, Path)),
    request_body = NewFeedback, responses((status = 200, description = "Noted", body = Feedback))
)]
pub(super) async fn rate(
    State(api): State<Api>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Body(NewFeedback { rating, comment }): Body<NewFeedback>,
) -> Result<Json<Feedback>, Problem> {
    caller.may(Scope::AnswersWrite)?;
    if let Some(comment) = &comment {
        check_text("comment", comment)?;
        let length = comment.chars().count();
        if length > MAX_COMMENT {
            return Err(Problem::invalid(format!(
                "comment has {length} characters; the most is {MAX_COMMENT}"
            )));
        }
    }
    let answer_id = seen(&api, &caller, &id).await?.id;
    let word = match rating {
        Rating::Up => "up",
        Rating::Down => "down",
    };
    if !api.store.rate_answer(caller.sees(), answer_id, word, comment.as_deref()).await? {
        return Err(no_answer());
    }
    Ok(Json(Feedback { object: "feedback", answer_id, rating, comment }))
}

/// Reads an answer
///
/// With `Prefer: wait=n` it is waited for, 25 seconds at most.
#[utoipa::path(
    get, path = "/v1/answers/{id}", tag = "answers",
    params(("id" = String, Path), ("Prefer" = Option<String>, Header, description = "`wait=n`: seconds")),
    responses((status = 200, description = "As it is now", body = AnswerObject))
)]
pub(super) async fn read(
    State(api): State<Api>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Json<AnswerObject>, Problem> {
    caller.may(Scope::AnswersRead)?;
    let wait = preferred(&headers);
    let answer = seen(&api, &caller, &id).await?;
    if wait.is_none() || answer.is_settled() {
        return Ok(Json(answer));
    }
    let answer = api.waiting.settled(&api.store, caller.sees(), answer.id, wait).await?;
    Ok(Json(answer.ok_or_else(no_answer)?))
}

/// Which answers are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Of this conversation.
    session_id: Option<String>,
    /// Of this status.
    status: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<i64>,
    /// 1 to 50; 50 when left out.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<u32>,
}

/// A page of answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answers {
    object: &'static str,
    data: Vec<AnswerObject>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<i64>,
}

/// Answers in a page.
const PAGE: u32 = 50;
/// The statuses there are.
const STATUSES: [&str; 7] =
    ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled", "expired"];

/// Lists answers, the newest first
#[utoipa::path(
    get, path = "/v1/answers", tag = "answers", params(Filter),
    responses((status = 200, description = "A page", body = Answers))
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(filter): QueryParams<Filter>,
) -> Result<Json<Answers>, Problem> {
    caller.may(Scope::AnswersRead)?;
    filter.session_id.as_ref().map_or(Ok(()), |session| check_name("session_id", session))?;
    if let Some(status) = filter.status.as_deref().filter(|status| !STATUSES.contains(status)) {
        let known = STATUSES.join(", ");
        return Err(Problem::invalid(format!("status: there is no {status:?}; there are {known}")));
    }
    let limit = filter.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Problem::invalid(format!("limit must be from 1 to {PAGE}, not {limit}")));
    }
    let session = caller.session(filter.session_id)?;
    let status = filter.status.as_deref();
    // One more than asked for tells whether there is another page.
    let answers = api.store.answers(caller.sees(), session.as_deref(), status, filter.cursor, limit + 1);
    let (data, next_cursor) = page(answers.await?, limit, |last| last.seq);
    Ok(Json(Answers { object: "list", data, next_cursor }))
}

/// The answer with an id, when there is one that the caller may see.
pub(super) async fn seen(api: &Api, caller: &Caller, id: &str) -> Result<AnswerObject, Problem> {
    let id = id.parse::<Uuid>().map_err(|_| no_answer())?;
    let answer = api.store.answer(caller.sees(), id).await?;
    answer.filter(|answer| caller.is_of_session(answer)).ok_or_else(no_answer)
}

pub(super) fn no_answer() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such answer")
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    check_name("Idempotency-Key", key)?;
    Ok(Some(key.to_owned()))
}
