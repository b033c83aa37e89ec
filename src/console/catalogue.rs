//! `/catalogue`: the sources, and their documents.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{
    Pages,
    access::{Role, Visitor, done},
    charts, layout,
    page::{Fields, PageError, PageResult, Parameters, check_text, given, or_slow},
    parts::{
        Action, ROWS, command, confirmation, document_path, document_state, empty, form_token, more, number,
        path, slow, text, time, time_or_never,
    },
};
use crate::{
    catalogue::DocumentId,
    job::{Job, REFRESH_DOCUMENT},
    store::{
        documents::{DocumentRow, FailureGroup},
        status::SourceStatus,
    },
    sync::reconcile::SyncCatalogue,
};

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    source: Option<String>,
    state: Option<String>,
    q: Option<String>,
    /// The last document of the page before.
    after_source: Option<String>,
    after_key: Option<String>,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> PageResult {
    let counted = pages.figures.last().await;
    let sources = counted.as_ref().map(|counted| &*counted.sources).unwrap_or_default();
    let list = documents(&pages, &filter).await?;
    let body = html! {
        h1 { "Catalogue" }
        div data-moves {
            @if counted.is_none() { (empty("The sources are being counted. Reload in a moment.")) }
            div.columns { @for source in sources { (source_panel(&pages, &visitor, source)) } }
            @if let Some(failures) = counted.as_ref().map(|counted| &counted.failures).filter(|failures| !failures.is_empty()) { (failure_table(failures)) }
            h2 #documents { "Documents" }
            (filters(&pages, &filter))
            (list)
        }
    };
    Ok(layout::page(&pages, &visitor, "Catalogue", &body))
}

fn source_panel(pages: &Pages, visitor: &Visitor, source: &SourceStatus) -> Markup {
    let name = &source.source;
    let is_configured = pages.sources.contains_key(name);
    let asked = pages.look.is_production.then_some(&*pages.look.name);
    html! {
        section.panel {
            h2 { (name) @if !is_configured { " " span.tag.warn { "not in the settings" } } }
            (charts::progress("fresh", source.fresh, source.documents))
            dl.facts {
                dt { "documents" } dd { (number(source.documents)) ": " (number(source.fresh)) " fresh, " (number(source.stale)) " stale, " (number(source.failed)) " failed" }
                dt { "chunks" } dd { (number(source.chunks)) }
                dt { "last listing" } dd { (time_or_never(source.last_sync_at)) @if let Some(error) = &source.sync_error { br; span.tag.bad { "failed" } " " (text(error, 600)) } }
                @if source.set_aside > 0 {
                    dt { "set aside" }
                    dd {
                        (number(source.set_aside)) " rows cannot become documents"
                        details {
                            summary { "The first of them" }
                            table {
                                thead { tr { th { "row" } th { "key" } th { "why" } } }
                                tbody {
                                    @for row in source.set_aside_rows.iter().flat_map(|rows| &rows.0).take(20) {
                                        tr { td.number { (row.row) } td { (text(row.key.as_deref().unwrap_or("—"), 80)) } td { (text(&row.reason, 300)) } }
                                    }
                                }
                            }
                        }
                    }
                }
                @if source.withheld > 0 {
                    dt { "withheld" }
                    dd {
                        (number(source.withheld)) " documents are gone from the shop, more than mass_delete_limit lets leave at once"
                        @if visitor.may(Role::Admin) && is_configured {
                            form.stack method="post" action="/do/allow-mass-delete" {
                                (form_token(visitor)) input type="hidden" name="source" value=(name);
                                (confirmation(asked))
                                button.danger type="submit" { "Remove them from the index" }
                            }
                            (command(&format!("sync --source {name} --allow-mass-delete")))
                        }
                    }
                }
            }
            @if is_configured {
                (Action { path: "/do/sync", label: "Sync now", class: "", least: Role::Operator, fields: &[("source", name)] }.button(visitor))
                (command(&format!("sync --source {name}")))
            }
        }
    }
}

fn failure_table(failures: &[FailureGroup]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Why documents could not be indexed" }
                thead { tr { th { "source" } th { "reason" } th.number { "documents" } } }
                tbody { @for group in failures { tr { td { (group.source) } td.wide { (text(&group.reason, 300)) } td.number { (number(group.documents)) } } } }
            }
        }
    }
}

fn filters(pages: &Pages, filter: &Filter) -> Markup {
    let state = filter.state.as_deref().unwrap_or_default();
    let tab = |word: &str, name: &str| {
        let parameter = (!word.is_empty()).then_some(word);
        let href = path("/catalogue", &[("state", parameter), ("source", given(filter.source.as_ref()))]);
        html! { a href=(href) aria-current=[(state == word).then_some("true")] { (name) } }
    };
    html! {
        nav.tabs aria-label="States" { (tab("", "all")) (tab("waiting", "waiting")) (tab("failed", "failed")) }
        form.filters method="get" action="/catalogue" role="search" {
            label { "Words of the title, a key or its beginning, a SKU" input type="search" name="q" value=(given(filter.q.as_ref()).unwrap_or_default()); }
            label { "Source"
                select name="source" {
                    option value="" { "all" }
                    @for name in pages.sources.keys() { option value=(name) selected[filter.source.as_ref() == Some(name)] { (name) } }
                }
            }
            button type="submit" { "Search" }
        }
    }
}

async fn documents(pages: &Pages, filter: &Filter) -> Result<Markup, PageError> {
    let (store, source) = (&pages.store, given(filter.source.as_ref()));
    let after = filter.after_source.clone().zip(filter.after_key.clone());
    let after = after.map(|(source, key)| DocumentId { source, key });
    for field in [source, given(filter.q.as_ref()), filter.after_key.as_deref()].into_iter().flatten() {
        check_text("a parameter", field, 2000)?;
    }
    let state = filter.state.as_deref().unwrap_or_default();
    if let Some(words) = given(filter.q.as_ref()) {
        let named = pages.document(words);
        let (within, wanted) = named.as_ref().map_or((source, words), |id| (Some(&*id.source), &*id.key));
        let (rows, is_slow) = or_slow(store.find_documents(within, wanted, ROWS).await)?;
        let elsewhere = html! { p.hint { "To search by meaning, ask the same in the " a href=(path("/playground", &[("q", Some(words))])) { "playground" } "." } };
        return Ok(
            html! { (slow(is_slow)) (table(&rows, "No title has these words, no key begins like this, and no document has this SKU.")) (elsewhere) },
        );
    }
    if state == "waiting" {
        let after = filter.after_key.as_deref().and_then(|after| after.parse().ok());
        let (rows, is_slow) = or_slow(store.waiting_documents(REFRESH_DOCUMENT, source, after, ROWS).await)?;
        let last = rows.last().filter(|_| rows.len() == ROWS as usize).map(|(id, _)| id.to_string());
        let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
        let next = last.map(|last| {
            path("/catalogue", &[("state", Some(state)), ("source", source), ("after_key", Some(&last))])
        });
        return Ok(
            html! { (slow(is_slow)) (table(&rows, "No document waits to be indexed.")) (more(next.as_deref(), after.is_none(), "/catalogue?state=waiting")) },
        );
    }
    let is_failed = state == "failed";
    let read = if is_failed {
        store.failed_documents(source, after.as_ref(), ROWS).await
    } else {
        store.document_rows(source, after.as_ref(), ROWS).await
    };
    let (rows, is_slow) = or_slow(read)?;
    let state = is_failed.then_some("failed");
    let next = rows.last().filter(|_| rows.len() == ROWS as usize).map(|last| {
        let place = [("after_source", Some(&*last.source)), ("after_key", Some(&*last.key))];
        path("/catalogue", &[&[("state", state), ("source", source)][..], &place].concat())
    });
    let none = if is_failed {
        "No document has failed."
    } else {
        "There are no documents. Describe a source, then sync it."
    };
    let first = path("/catalogue", &[("state", state), ("source", source)]);
    Ok(html! { (slow(is_slow)) (table(&rows, none)) (more(next.as_deref(), after.is_none(), &first)) })
}

fn table(rows: &[DocumentRow], none: &str) -> Markup {
    html! {
        @if rows.is_empty() { (empty(none)) } @else {
            div.scroll tabindex="0" {
                table {
                    thead { tr { th { "document" } th { "key" } th { "SKU" } th { "state" } th { "changed" } } }
                    tbody {
                        @for row in rows {
                            tr {
                                td.wide { a href=(document_path(&DocumentId { source: row.source.clone(), key: row.key.clone() })) { (text(if row.title.is_empty() { "(without a title)" } else { &row.title }, 120)) }
                                    @if let Some(error) = &row.error { span.hint { (text(error, 200)) } } }
                                td.mono { (row.source) "/" (text(&row.key, 60)) }
                                td.mono { (text(row.sku.as_deref().unwrap_or_default(), 40)) }
                                td { (document_state(row.state)) }
                                td { (time(row.changed_at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Source {
    source: String,
    #[serde(default)]
    confirm: String,
}

fn known<'a>(pages: &Pages, source: &'a str) -> Result<&'a str, PageError> {
    if pages.sources.contains_key(source) { Ok(source) } else { Err(PageError::NotFound("source")) }
}

pub(super) async fn sync(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Source { source, .. }): Fields<Source>,
) -> Result<Response, PageError> {
    enqueue(&pages, &visitor, known(&pages, &source)?, false).await
}

pub(super) async fn allow_mass_delete(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Source { source, confirm }): Fields<Source>,
) -> Result<Response, PageError> {
    pages.check_confirmed(&confirm)?;
    enqueue(&pages, &visitor, known(&pages, &source)?, true).await
}

async fn enqueue(
    pages: &Pages,
    visitor: &Visitor,
    source: &str,
    is_allowed: bool,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    let payload = json!({ "source": source, "allow_mass_delete": is_allowed });
    store.enqueue(SyncCatalogue::KIND, &[source.to_owned()], &[payload]).await?;
    let what = if is_allowed { "allow mass delete" } else { "sync" };
    store.note_action(&visitor.name, what, source, 1).await?;
    Ok(done("/catalogue", "syncing", 1))
}
