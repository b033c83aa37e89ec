//! `/webhooks`: messages to other services.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Pages,
    access::{Role, Visitor, done},
    layout,
    page::{Fields, PageError, PageResult, Parameters, id_of, or_slow},
    parts::{Action, ROWS, empty, more, path, request, slow, tag, text, time},
};
use crate::{
    job::Job,
    store::deliveries::{DeliveryShown, DeliveryStatus},
    webhook::job::DeliverWebhook,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    status: Option<DeliveryStatus>,
    before: Option<Uuid>,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> PageResult {
    let (rows, is_slow) = or_slow(pages.store.deliveries(filter.status, filter.before, ROWS).await)?;
    let status = filter.status.map(<&str>::from);
    let last = rows.last().filter(|_| rows.len() == ROWS as usize).map(|last| last.id.to_string());
    let next = last.map(|last| path("/webhooks", &[("status", status), ("before", Some(&last))]));
    let body = html! {
        h1 { "Webhooks" }
        div data-moves {
            nav.tabs aria-label="Status" {
                a href="/webhooks" aria-current=[status.is_none().then_some("true")] { "all" }
                @for known in [DeliveryStatus::Pending, DeliveryStatus::Failed, DeliveryStatus::Delivered] {
                    a href={ "/webhooks?status=" (known) } aria-current=[(filter.status == Some(known)).then_some("true")] { (known.to_string()) }
                }
            }
            (slow(is_slow))
            @if rows.is_empty() { (empty("No messages. A [[webhook]] in the settings names who is told of answers.")) } @else { (table(&visitor, &rows)) }
            (more(next.as_deref(), filter.before.is_none(), &path("/webhooks", &[("status", status)])))
        }
    };
    Ok(layout::page(&pages, &visitor, "Webhooks", &body))
}

fn table(visitor: &Visitor, rows: &[DeliveryShown]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th { "webhook" } th { "event" } th { "status" } th.number { "attempts" } th { "last response" } th { "written" } th {} } }
                tbody {
                    @for row in rows {
                        tr {
                            td { (text(&row.webhook, 60)) }
                            td { a href={ "/answers/" (row.answer_id) } { (row.event) } }
                            td { (tag(row.status.into(), match row.status { DeliveryStatus::Delivered => "good", DeliveryStatus::Failed => "bad", DeliveryStatus::Pending => "" })) }
                            td.number { (row.attempts) }
                            td.wide { @if let Some(code) = row.code { (code) " " } @if let Some(error) = &row.error { (text(error, 200)) } }
                            td { (time(row.created_at)) @if let Some(at) = row.delivered_at { br; span.hint { "delivered " (time(at)) } } }
                            td { (Action { path: "/do/redeliver", label: "Send again", class: "", least: Role::Operator, fields: &[("id", &row.id.to_string())] }.button(visitor)) (request("POST", &format!("/v1/webhooks/deliveries/{}/redeliver", row.id), "")) }
                        }
                    }
                }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

pub(super) async fn redeliver(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Which { id }): Fields<Which>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    if !store.redeliver(id_of("message", &id)?, DeliverWebhook::KIND).await? {
        return Err(PageError::NotFound("message"));
    }
    store.note_action(&visitor.name, "redeliver", &id, 1).await?;
    Ok(done("/webhooks", "redelivered", 1))
}
