//! `/escalations`: the inbox of questions that wait for a human, who answers here.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Pages,
    access::{Role, Visitor, done},
    layout,
    page::{Fields, PageError, PageResult, Parameters, check_text, id_of},
    parts::{
        ROWS, command, document_path, empty, form_token, more, path, private, quoted, statements, tag, text,
        time,
    },
};
use crate::{
    answering::object::EscalationStatus,
    catalogue::DocumentId,
    store::{escalations::Escalation, sessions::SessionRow},
};

/// The most characters of a reply.
const MOST_REPLY: usize = 8000;
/// The last turns of a conversation that are shown.
const TURNS: usize = 12;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    status: EscalationStatus,
    after: Option<Uuid>,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> PageResult {
    let list = pages.store.escalation_rows(filter.status, filter.after, ROWS).await?;
    let first = match list.first() {
        Some(first) => pages.store.escalation(first.id).await?,
        None => None,
    };
    let waiting = pages.store.waiting_sessions(10).await?;
    let body = inbox(&visitor, &filter, &list, first.as_ref(), &waiting);
    Ok(layout::page(&pages, &visitor, "Escalations", &body))
}

pub(super) async fn one(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Parameters(asked): Parameters<Filter>,
) -> PageResult {
    let shown =
        pages.store.escalation(id_of("escalation", &id)?).await?.ok_or(PageError::NotFound("escalation"))?;
    let status = shown.status.parse().unwrap_or_default();
    let list = pages.store.escalation_rows(status, asked.after, ROWS).await?;
    let body = inbox(&visitor, &Filter { status, after: asked.after }, &list, Some(&shown), &[]);
    Ok(layout::page(&pages, &visitor, "Escalation", &body))
}

fn inbox(
    visitor: &Visitor,
    filter: &Filter,
    list: &[Escalation],
    shown: Option<&Escalation>,
    waiting: &[SessionRow],
) -> Markup {
    let after = filter.after.map(|after| after.to_string());
    let one = |id: Uuid| path(&format!("/escalations/{id}"), &[("after", after.as_deref())]);
    let place = shown.and_then(|shown| list.iter().position(|listed| listed.id == shown.id));
    let beside = |step: isize| {
        let other = place?.checked_add_signed(step)?;
        list.get(other).map(|other| one(other.id))
    };
    let next = list.last().filter(|_| list.len() == ROWS as usize);
    let next = next.map(|last| {
        path("/escalations", &[("status", Some(filter.status.into())), ("after", Some(&last.id.to_string()))])
    });
    html! {
        h1 { "Escalations" }
        div data-moves {
            nav.tabs aria-label="Status" {
                @for (status, name) in [(EscalationStatus::Open, "open"), (EscalationStatus::Acknowledged, "claimed"), (EscalationStatus::Resolved, "resolved")] {
                    a href={ "/escalations?status=" (status) } aria-current=[(status == filter.status).then_some("true")] { (name) }
                }
                @if let Some(to) = beside(-1) { a data-previous href=(to) { "← previous" } }
                @if let Some(to) = beside(1) { a data-next href=(to) { "next →" } }
            }
            @if !waiting.is_empty() {
                p.banner.warn {
                    "Customers wrote in conversations that humans have: "
                    @for session in waiting { a href=(path("/session", &[("client", Some(&session.client)), ("id", Some(&session.id))])) { (private(visitor, &session.id, 40)) } " (" (time(session.active_at)) ") " }
                }
            }
            label.check hidden data-keys { input type="checkbox"; "Keys: j next, k previous, a claim, r reply" }
            @if list.is_empty() && shown.is_none() {
                (empty(if filter.status == EscalationStatus::Open { "Nobody waits for a human." } else { "There are none." }))
            } @else {
                div.inbox {
                    div.scroll tabindex="0" {
                        ul {
                            @for listed in list {
                                li {
                                    a href=(one(listed.id)) aria-current=[shown.is_some_and(|shown| shown.id == listed.id).then_some("true")] {
                                        (private(visitor, &listed.question, 110)) br;
                                        span.hint { (tag(&listed.reason, "warn")) " " (time(listed.created_at)) @if let Some(by) = &listed.claimed_by { ", " (text(by, 40)) } }
                                    }
                                }
                            }
                        }
                        (more(next.as_deref(), filter.after.is_none(), &format!("/escalations?status={}", filter.status)))
                    }
                    @if let Some(shown) = shown { div { (detail(visitor, shown)) } }
                }
            }
        }
    }
}

fn detail(visitor: &Visitor, shown: &Escalation) -> Markup {
    let is_resolved = shown.resolved_at.is_some();
    html! {
        section.panel {
            h2 { (private(visitor, &shown.question, 600)) }
            p.hint {
                (tag(&shown.status, if is_resolved { "good" } else { "warn" })) " " (tag(&shown.reason, "warn"))
                " asked " (time(shown.created_at)) " by the client " (text(&shown.client, 60))
                @if let Some(session) = &shown.session_id { ", in " a href=(path("/session", &[("client", Some(&shown.client)), ("id", Some(session))])) { "this conversation" } }
                ". " a href={ "/answers/" (shown.answer_id) } { "How it was answered" }
            }
            @if let Some(said) = &shown.said { h3 { "The customer was told" } div.answer-text { (private(visitor, said, 2000)) } }
            @if let Some(draft) = &shown.draft { h3 { "Draft that was withheld" } div.answer-text { (private(visitor, draft, 2000)) } }
            @if let Some(error) = &shown.error { p.banner.bad { (private(visitor, error, 600)) } }
        }
        @if shown.transcript.len() > 1 {
            section.panel {
                h2 { "Conversation" }
                @for turn in shown.transcript.iter().rev().take(TURNS).rev() {
                    div.turn { (private(visitor, &turn.question, 1000)) span.hint { " " (time(turn.created_at)) } }
                    @if let Some(answer) = &turn.answer { div.turn.bot { (private(visitor, answer, 1000)) } }
                }
            }
        }
        @if visitor.may(Role::Operator) && !is_resolved { (reply_form(visitor, shown)) }
        @if !shown.sources.is_empty() {
            section.panel {
                h2 { "What was found" }
                @for source in &shown.sources {
                    div.turn.bot { a href=(document_path(&DocumentId { source: source.source.clone(), key: source.key.clone() })) { (text(if source.title.is_empty() { &source.key } else { &source.title }, 160)) } span.hint { " distance " (format!("{:.3}", source.distance)) } }
                }
            }
        }
    }
}

fn reply_form(visitor: &Visitor, shown: &Escalation) -> Markup {
    let id = shown.id.to_string();
    html! {
        section.panel {
            h2 { "Reply" }
            form method="post" action="/do/reply" {
                (form_token(visitor)) input type="hidden" name="id" value=(id);
                label for="reply" { "Your answer to the customer" }
                textarea #reply name="text" required maxlength=(MOST_REPLY) { (shown.draft.as_deref().unwrap_or_default()) }
                @if shown.session_id.is_some() { label.check { input type="checkbox" name="stay" value="true"; "I stay in this conversation: the bot is silent until I give it back" } }
                p { button.primary type="submit" { "Send" } }
            }
            form.inline method="post" action="/do/claim" { (form_token(visitor)) input type="hidden" name="id" value=(id); button type="submit" data-claim title="It is yours, and the bot is silent in this conversation" { "Claim" } }
            form.inline method="post" action="/do/hand-back" { (form_token(visitor)) input type="hidden" name="id" value=(id); button type="submit" { "Resolve without an answer, hand back to the bot" } }
            details {
                summary { "Turn it into a draft for your list of questions and answers" }
                form.stack method="post" action="/do/faq" {
                    (form_token(visitor)) input type="hidden" name="back" value={ "/escalations/" (id) };
                    label { "Question" input name="question" value=(shown.question) required; }
                    label { "Answer" textarea name="answer" {} }
                    div { button type="submit" { "Save the draft" } }
                }
            }
            (command(&format!("session show {} --client {}", quoted(shown.session_id.as_deref().unwrap_or("SESSION")), quoted(&shown.client))))
            (statements(&[
                format!("select shopkeeper.claim_escalation('{id}', 'YOUR NAME');"),
                format!("select shopkeeper.reply_as_human('{}', '{id}', 'YOUR ANSWER', 'YOUR NAME', false);", shown.answer_id),
                format!("select shopkeeper.hand_back('{id}');"),
            ]))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Reply {
    id: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    stay: bool,
}

/// Takes an escalation, and its conversation from the bot.
pub(super) async fn claim(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Reply { id, .. }): Fields<Reply>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    let is_done = store.claim_escalation(id_of("escalation", &id)?, &visitor.name).await?;
    if is_done {
        store.note_action(&visitor.name, "claim", &id, 1).await?;
    }
    Ok(done(&format!("/escalations/{id}"), if is_done { "claimed" } else { "nothing" }, 1))
}

/// The text of a reply, if it has one.
pub(super) fn checked_reply(text: &str) -> Result<&str, PageError> {
    check_text("Your answer", text, MOST_REPLY)?;
    let text = text.trim();
    if text.is_empty() { Err(PageError::Invalid("Your answer is empty.".to_owned())) } else { Ok(text) }
}

/// Answers, which resolves the escalation; the bot goes on unless the human stays.
pub(super) async fn reply(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Reply { id, text, stay }): Fields<Reply>,
) -> Result<Response, PageError> {
    let (store, text) = (&pages.console.store, checked_reply(&text)?);
    let escalation = id_of("escalation", &id)?;
    let shown = store.escalation(escalation).await?.ok_or(PageError::NotFound("escalation"))?;
    let answer = store.reply_as_human(shown.answer_id, Some(escalation), text, &visitor.name, stay).await?;
    if answer.is_none() {
        let detail = "Somebody else resolved this escalation meanwhile. Go back to keep your text.";
        return Err(PageError::Invalid(detail.to_owned()));
    }
    store.note_action(&visitor.name, "reply", &id, 1).await?;
    // To the next one that waits.
    Ok(done("/escalations", "replied", 1))
}

/// Resolves an escalation without an answer.
pub(super) async fn hand_back(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Reply { id, .. }): Fields<Reply>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    let is_done = store.hand_back(id_of("escalation", &id)?).await?;
    if is_done {
        store.note_action(&visitor.name, "hand back", &id, 1).await?;
    }
    Ok(done(&format!("/escalations/{id}"), if is_done { "handed-back" } else { "nothing" }, 1))
}
