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
        return Err(Problem::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such session"));
    }
    Ok(Json(json!({ "object": "session", "id": session, "owner": owner })))
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
