//! Sessions and customers: who answers, and what is to be forgotten.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api,
    answers::check_name,
    problem::{Code, Problem},
};
use crate::store::answers::LOCAL;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    owner: Owner,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Owner {
    Bot,
    Human,
}

/// Hands a session over to a human, or back.
pub(super) async fn set_owner(
    State(api): State<Api>,
    Path(session): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    check_name("session_id", &session)?;
    let NewOwner { owner } = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is not a request: {error}")))?;
    let owner = match owner {
        Owner::Bot => "bot",
        Owner::Human => "human",
    };
    if !api.store.set_owner(LOCAL, &session, owner).await? {
        return Err(no_session());
    }
    Ok(Json(json!({ "object": "session", "id": session, "owner": owner })))
}

/// Shows a session; its questions are listed by `GET /v1/answers?session_id=…`.
pub(super) async fn read(
    State(api): State<Api>,
    Path(session): Path<String>,
) -> Result<Json<Value>, Problem> {
    check_name("session_id", &session)?;
    let known = api.store.session(LOCAL, &session).await?;
    let known = known.ok_or_else(no_session)?;
    let mut object = json!(known);
    object["object"] = json!("session");
    Ok(Json(object))
}

fn no_session() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such session")
}

/// Removes a session and all that came of it. One that is not there is forgotten already.
pub(super) async fn forget(
    State(api): State<Api>,
    Path(session): Path<String>,
) -> Result<Json<Value>, Problem> {
    check_name("session_id", &session)?;
    let answers = api.store.erase_session(LOCAL, &session).await?;
    Ok(Json(json!({ "object": "session", "id": session, "deleted": true, "answers": answers })))
}

/// Removes all sessions of a customer.
pub(super) async fn forget_customer(
    State(api): State<Api>,
    Path(customer): Path<String>,
) -> Result<Json<Value>, Problem> {
    check_name("customer_id", &customer)?;
    let answers = api.store.erase_customer(LOCAL, &customer).await?;
    Ok(Json(json!({ "object": "customer", "id": customer, "deleted": true, "answers": answers })))
}
