//! `/go`: from a word to its page: an id, a number, a key, a name.

use std::sync::Arc;

use axum::{extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Pages,
    access::Visitor,
    page::{PageError, Parameters, check_text},
    parts::{document_path, path},
};

/// The pages by what people call them.
const PAGES: &[&str] = &[
    "catalogue",
    "playground",
    "answers",
    "escalations",
    "sessions",
    "gaps",
    "jobs",
    "queues",
    "index",
    "money",
    "webhooks",
    "tokens",
    "audit",
];

#[derive(Deserialize)]
pub(super) struct Word {
    #[serde(default)]
    q: String,
}

pub(super) async fn go(
    State(pages): State<Arc<Pages>>,
    _: Visitor,
    Parameters(Word { q }): Parameters<Word>,
) -> Result<Redirect, PageError> {
    let word = q.trim();
    check_text("q", word, 2000)?;
    let store = &pages.store;
    let lower = word.to_lowercase();
    let to = if word.is_empty() || lower == "overview" {
        "/".to_owned()
    } else if let Some(page) = PAGES.iter().find(|page| **page == lower) {
        format!("/{page}")
    } else if let Ok(id) = word.parse::<Uuid>() {
        if store.answer_shown(id).await?.is_some() {
            format!("/answers/{id}")
        } else if store.escalation(id).await?.is_some() {
            format!("/escalations/{id}")
        } else {
            return Err(PageError::NotFound("answer or escalation"));
        }
    } else if let Some(id) = pages.document(word) {
        document_path(&id)
    } else if let Some(id) = word.strip_prefix('#').and_then(|id| id.parse::<i64>().ok()) {
        format!("/jobs/{id}")
    } else {
        path("/catalogue", &[("q", Some(word))])
    };
    Ok(Redirect::to(&to))
}
