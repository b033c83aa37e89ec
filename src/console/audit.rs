//! `/audit`: what was done in the console.

use std::sync::Arc;

use axum::extract::State;
use maud::html;
use serde::Deserialize;

use super::{
    Pages,
    access::Visitor,
    layout,
    page::{PageResult, Parameters},
    parts::{ROWS, empty, more, number, path, text, time},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    before: Option<i64>,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> PageResult {
    let rows = pages.store.audit(filter.before, ROWS).await?;
    let last = rows.last().filter(|_| rows.len() == ROWS as usize).map(|last| last.id.to_string());
    let next = last.map(|last| path("/audit", &[("before", Some(&last))]));
    let body = html! {
        h1 { "Audit" }
        p.hint { "What was done in the console, by whom. Commands and the API are not listed here." }
        @if rows.is_empty() { (empty("Nothing was done yet.")) } @else {
            div.scroll tabindex="0" {
                table {
                    thead { tr { th { "when" } th { "who" } th { "what" } th { "to" } th.number { "rows" } } }
                    tbody { @for row in &rows { tr { td { (time(row.at)) } td { (text(&row.actor, 60)) } td { (row.action) } td.wide { (text(&row.target, 300)) } td.number { (number(row.number)) } } } }
                }
            }
        }
        (more(next.as_deref(), filter.before.is_none(), "/audit"))
    };
    Ok(layout::page(&pages, &visitor, "Audit", &body))
}
