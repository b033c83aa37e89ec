//! `/sessions` and `/session`: conversations.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages,
    access::{Role, Visitor, done},
    escalations::checked_reply,
    layout,
    page::{Fields, PageError, PageResult, Parameters, check_text, given, id_of, or_slow},
    parts::{
        Action, ROWS, command, confirmation, empty, form_token, more, outcome, path, private, quoted,
        request, slow, tag, text, time,
    },
};
use crate::{
    answering::object::SessionOwner,
    store::{
        answers::{AnswerFilter, AnswerRow},
        sessions::SessionRow,
    },
};

/// Turns of a conversation on one page.
const TURNS: u32 = 25;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    q: Option<String>,
    at: Option<DateTime<Utc>>,
    client: Option<String>,
    id: Option<String>,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> PageResult {
    let store = &pages.store;
    for field in [&filter.q, &filter.client, &filter.id].into_iter().flatten() {
        check_text("a parameter", field, 300)?;
    }
    let words = given(filter.q.as_ref());
    if words.is_some() && !visitor.may(Role::Operator) {
        return Err(PageError::Forbidden(
            "To search for customers, a token with console:operate is needed.".to_owned(),
        ));
    }
    let before = filter.at.zip(filter.client.as_deref()).zip(filter.id.as_deref());
    let before = before.map(|((at, client), id)| (at, client, id));
    let (rows, is_slow) = or_slow(match words {
        Some(words) => store.find_sessions(&store.clients().await?, words, ROWS).await,
        None => store.session_rows(before, ROWS).await,
    })?;
    let last = rows.last().filter(|_| words.is_none() && rows.len() == ROWS as usize);
    let next = last.map(|last| {
        let at = last.active_at.to_rfc3339();
        path("/sessions", &[("at", Some(&at)), ("client", Some(&last.client)), ("id", Some(&last.id))])
    });
    let body = html! {
        h1 { "Sessions" }
        div data-moves {
            form.filters method="get" action="/sessions" role="search" {
                label { "Session or customer" input type="search" name="q" value=(words.unwrap_or_default()); }
                button type="submit" { "Find" }
            }
            (slow(is_slow))
            @if rows.is_empty() { (empty("There is no such conversation. Questions with a session_id make one.")) } @else { (table(&visitor, &rows)) }
            (more(next.as_deref(), before.is_none(), "/sessions"))
        }
    };
    Ok(layout::page(&pages, &visitor, "Sessions", &body))
}

fn table(visitor: &Visitor, rows: &[SessionRow]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th { "session" } th { "client" } th { "customer" } th { "who answers" } th { "began" } th { "active" } } }
                tbody {
                    @for row in rows {
                        tr {
                            td { a href=(session_path(&row.client, &row.id)) { (private(visitor, &row.id, 80)) } }
                            td { (text(&row.client, 40)) }
                            td { @if let Some(customer) = &row.customer_id { (private(visitor, customer, 60)) } }
                            td { (owner(row.owner)) }
                            td { (time(row.created_at)) }
                            td { (time(row.active_at)) }
                        }
                    }
                }
            }
        }
    }
}

fn owner(owner: SessionOwner) -> Markup {
    tag(owner.into(), if owner == SessionOwner::Human { "warn" } else { "good" })
}

fn session_path(client: &str, id: &str) -> String {
    path("/session", &[("client", Some(client)), ("id", Some(id))])
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    client: String,
    id: String,
    before: Option<i64>,
}

pub(super) async fn one(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(which): Parameters<Which>,
) -> PageResult {
    let store = &pages.store;
    check_text("client", &which.client, 300)?;
    check_text("id", &which.id, 300)?;
    let session = store.session_row(&which.client, &which.id).await?.ok_or(PageError::NotFound("session"))?;
    let filter = AnswerFilter {
        client: Some(&which.client),
        session: Some(&which.id),
        before: which.before,
        ..AnswerFilter::default()
    };
    let turns = store.answer_rows(&filter, TURNS).await?;
    let here = session_path(&which.client, &which.id);
    let last = turns.last().filter(|_| turns.len() == TURNS as usize);
    let earlier = last.map(|last| format!("{here}&before={}", last.seq));
    let body = html! {
        p.hint { a href="/sessions" { "Sessions" } }
        h1 { "Conversation " (private(&visitor, &session.id, 120)) }
        div data-moves {
            div.columns {
                div {
                    nav.more aria-label="Turns" { @if let Some(earlier) = earlier { a href=(earlier) { "← earlier turns" } } @if which.before.is_some() { a href=(here) { "the last turns →" } } }
                    @for turn in turns.iter().rev() { (shown_turn(&visitor, turn)) }
                    @if session.owner == SessionOwner::Human && visitor.may(Role::Operator) && let Some(last) = turns.first().filter(|_| which.before.is_none()) {
                        form.panel method="post" action="/do/say" {
                            (form_token(&visitor))
                            input type="hidden" name="client" value=(session.client); input type="hidden" name="id" value=(session.id); input type="hidden" name="question" value=(last.id);
                            label for="reply" { "Write to the customer (r)" }
                            textarea #reply name="text" required maxlength="8000" {}
                            label.check { input type="checkbox" name="stay" value="true" checked; "I stay in this conversation: the bot is silent until I give it back" }
                            p { button.primary type="submit" { "Send" } }
                        }
                    }
                    @if turns.is_empty() { (empty("Nothing was asked here, or it is past its retention.")) }
                }
                (panel(&pages, &visitor, &session))
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Conversation", &body))
}

fn shown_turn(visitor: &Visitor, turn: &AnswerRow) -> Markup {
    let is_human = turn.outcome == Some(crate::answering::object::AnswerOutcome::Human);
    html! {
        @if !is_human { div.turn { (private(visitor, &turn.question, 400)) span.hint { " " (time(turn.created_at)) } } }
        div class={ "turn " (if is_human { "human" } else { "bot" }) } {
            @match &turn.answer { Some(answer) => (private(visitor, answer, 400)), None => span.hint { "no answer" } }
            " " (outcome(turn.status, turn.outcome)) " " a href={ "/answers/" (turn.id) } { "details" }
        }
    }
}

fn panel(pages: &Pages, visitor: &Visitor, session: &SessionRow) -> Markup {
    let (label, to) = match session.owner {
        SessionOwner::Bot => ("Take over from the bot", "human"),
        SessionOwner::Human => ("Give back to the bot", "bot"),
    };
    let fields = [("client", &*session.client), ("id", &*session.id), ("owner", to)];
    let asked = if pages.look.is_production { &*pages.look.name } else { "erase" };
    html! {
        section.panel {
            dl.facts {
                dt { "who answers" } dd { (owner(session.owner)) }
                dt { "client" } dd { (text(&session.client, 100)) }
                @if let Some(customer) = &session.customer_id { dt { "customer" } dd { (private(visitor, customer, 100)) } }
                dt { "began" } dd { (time(session.created_at)) }
                dt { "active" } dd { (time(session.active_at)) }
            }
            (Action { path: "/do/owner", label, class: "", least: Role::Operator, fields: &fields }.button(visitor))
            @if visitor.may(Role::Operator) { (request("PUT", &format!("/v1/sessions/{}/owner", url::form_urlencoded::byte_serialize(session.id.as_bytes()).collect::<String>()), &format!("{{\"owner\": \"{to}\"}}"))) }
            @if visitor.may(Role::Admin) {
                details {
                    summary { "Erase the conversation" }
                    form.stack method="post" action="/do/erase-session" {
                        (form_token(visitor))
                        input type="hidden" name="client" value=(session.client); input type="hidden" name="id" value=(session.id);
                        p.hint { "All its questions and answers, and everything that came of them. This cannot be undone." }
                        (confirmation(Some(asked)))
                        div { button.danger type="submit" { "Erase" } }
                    }
                    (command(&format!("session forget {} --client {}", quoted(&session.id), quoted(&session.client))))
                }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Change {
    client: String,
    id: String,
    owner: Option<SessionOwner>,
    #[serde(default)]
    confirm: String,
}

pub(super) async fn set_owner(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Change { client, id, owner, .. }): Fields<Change>,
) -> Result<Response, PageError> {
    let owner = owner.ok_or_else(|| PageError::Invalid("owner is missing: bot or human.".to_owned()))?;
    let store = &pages.console.store;
    let is_done = store.set_owner(Some(&client), &id, owner).await?;
    if is_done {
        let what = if owner == SessionOwner::Human { "take over" } else { "give back" };
        store.note_action(&visitor.name, what, &client, 1).await?;
    }
    Ok(done(&session_path(&client, &id), if is_done { "owner" } else { "nothing" }, 1))
}

#[derive(Deserialize)]
pub(super) struct Say {
    client: String,
    id: String,
    question: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    stay: bool,
}

/// Writes to a customer in a conversation that a human has.
pub(super) async fn say(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Say { client, id, question, text, stay }): Fields<Say>,
) -> Result<Response, PageError> {
    let text = checked_reply(&text)?;
    let store = &pages.console.store;
    let answer = store.reply_as_human(id_of("answer", &question)?, None, text, &visitor.name, stay).await?;
    if answer.is_some() {
        store.note_action(&visitor.name, "reply", &client, 1).await?;
    }
    Ok(done(&session_path(&client, &id), if answer.is_some() { "said" } else { "nothing" }, 1))
}

pub(super) async fn erase(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Change { client, id, confirm, .. }): Fields<Change>,
) -> Result<Response, PageError> {
    if !pages.look.is_production && confirm.trim() != "erase" {
        return Err(PageError::Invalid("Type \"erase\" to confirm.".to_owned()));
    }
    pages.check_confirmed(&confirm)?;
    let store = &pages.console.store;
    let erased = store.erase_session(Some(&client), &id).await?;
    // The session's own name may be a customer's.
    store.note_action(&visitor.name, "erase session", &client, erased).await?;
    Ok(done("/sessions", "erased", erased))
}
