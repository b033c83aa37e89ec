//! `POST /v1/answers/{id}/feedback` rates an answer.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::find_answer;
use crate::{
    answering::object::Rating,
    http::{
        auth::{Caller, Scope},
        checks::check_text,
        extract::{Body, PathParams, require_found},
        problem::Problem,
    },
};

/// A customer's opinion of an answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewFeedback {
    rating: Rating,
    /// 4,000 characters at most.
    comment: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Feedback {
    object: &'static str,
    answer_id: Uuid,
    rating: Rating,
    comment: Option<String>,
}

/// The longest comment, in characters.
const MAX_COMMENT: usize = 4000;

/// Rates an answer
///
/// The last rating counts.
#[utoipa::path(
    post, path = "/v1/answers/{id}/feedback", tag = "answers", params(("id" = String, Path)),
    request_body = NewFeedback, responses((status = 200, description = "Noted", body = Feedback))
)]
pub(in crate::http) async fn rate(
    caller: Caller,
    PathParams(id): PathParams<String>,
    Body(NewFeedback { rating, comment }): Body<NewFeedback>,
) -> Result<Json<Feedback>, Problem> {
    caller.may(Scope::AnswersWrite)?;
    if let Some(comment) = &comment {
        check_text("comment", comment)?;
        let length = comment.chars().count();
        if length > MAX_COMMENT {
            let detail = format!("comment has {length} characters; the most is {MAX_COMMENT}");
            return Err(Problem::invalid(detail));
        }
    }
    let answer_id = find_answer(&caller, &id).await?.id;
    let is_rated = caller.api.store.rate_answer(caller.sees(), answer_id, rating, comment.as_deref());
    require_found("answer", is_rated.await?)?;
    Ok(Json(Feedback { object: "feedback", answer_id, rating, comment }))
}
