//! `/document`: one document.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::{
    Pages,
    access::{Role, Visitor, done},
    answers, layout,
    page::{Fields, PageError, PageResult, Parameters, check_text, or_slow},
    parts::{
        Action, command, document_path, document_state, empty, number, path, quoted, slow, text, time,
        time_or_never, usd,
    },
};
use crate::{
    catalogue::{CatalogueError, Document, DocumentId},
    indexing::chunk::Chunk,
    store::{
        answers::AnswerFilter,
        documents::{ChunkShown, DocumentShown},
    },
};

/// The most characters of a text that a preview cuts into chunks.
const PREVIEWED: usize = 200_000;
/// The most chunks, and characters of each, on one page.
const CHUNKS: u32 = 12;
const CHARS: usize = 1200;
/// Answers that cite it.
const CITING: u32 = 10;

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    source: String,
    key: String,
}

impl Which {
    fn id(self) -> Result<DocumentId, PageError> {
        check_text("source", &self.source, 200)?;
        check_text("key", &self.key, 1024)?;
        Ok(DocumentId { source: self.source, key: self.key })
    }
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(which): Parameters<Which>,
) -> PageResult {
    let (store, id) = (&pages.store, which.id()?);
    let shown = store.document_shown(&id).await?.ok_or(PageError::NotFound("document"))?;
    let chunks = match shown.version {
        Some(version) => store.chunks_shown(version, &id, CHUNKS).await?,
        None => Vec::new(),
    };
    let filter = AnswerFilter { cites: Some(&id), ..AnswerFilter::default() };
    let (citing, is_slow) = or_slow(store.answer_rows(&filter, CITING).await)?;
    let title = if shown.row.title.is_empty() { &id.key } else { &shown.row.title };
    let body = html! {
        p.hint { a href="/catalogue" { "Catalogue" } " › " (id.source) }
        h1 { (text(title, 300)) }
        div data-moves {
            (actions(&visitor, &id))
            div.columns {
                (facts(&pages, &shown, &chunks))
                (metadata(&shown.metadata.0))
            }
            (chunk_list(&shown, &chunks))
            h2 { "Answers that cite it" }
            (slow(is_slow))
            @if citing.is_empty() { (empty("No answer cites this document yet.")) } @else { (answers::table(&visitor, &citing)) }
            @if citing.len() == CITING as usize {
                p { a href=(path("/answers", &[("cites_source", Some(&id.source)), ("cites_key", Some(&id.key))])) { "All of them" } }
            }
        }
    };
    Ok(layout::page(&pages, &visitor, title, &body))
}

fn actions(visitor: &Visitor, id: &DocumentId) -> Markup {
    let fields = [("source", &*id.source), ("key", &*id.key)];
    html! {
        p.actions {
            (Action { path: "/do/refresh", label: "Read it from the shop again", class: "primary", least: Role::Operator, fields: &fields }.button(visitor))
            @if visitor.may(Role::Operator) {
                a.button href=(document_path(id).replacen("/document", "/document/preview", 1)) { "Preview from the shop" }
                " "
                a.button href=(path("/playground", &[("why_source", Some(&id.source)), ("why_key", Some(&id.key))])) { "Why was it not found?" }
            }
            (command(&format!("refresh {} {}", quoted(&id.source), quoted(&id.key))))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "tokens of one document are few")]
fn facts(pages: &Pages, shown: &DocumentShown, chunks: &[ChunkShown]) -> Markup {
    let row = &shown.row;
    let newest = chunks.iter().map(|chunk| chunk.created_at).max();
    let new = chunks.iter().filter(|chunk| Some(chunk.created_at) == newest).count();
    html! {
        section.panel {
            h2 { "State" }
            dl.facts {
                dt { "state" } dd { (document_state(row.state)) @if shown.is_leaving { " " span.tag.warn { "leaving: its row is gone" } } @if let Some(error) = &row.error { br; (text(error, 600)) } }
                dt { "key" } dd.mono { (row.source) "/" (text(&row.key, 300)) }
                @if let Some(sku) = &row.sku { dt { "SKU" } dd.mono { (text(sku, 100)) } }
                @if let Some(link) = &shown.link {
                    dt { "link" }
                    // Only what a browser can open safely: the catalogue is not ours.
                    dd { @if link.starts_with("https://") || link.starts_with("http://") { a href=(link) rel="noreferrer noopener" { (text(link, 200)) } } @else { (text(link, 200)) } }
                }
                dt { "changed" } dd { (time(row.changed_at)) ", revision " (shown.revision) }
                dt { "indexed" } dd { (time_or_never(shown.indexed_at)) }
                @if let (Some(at), true) = (newest, !chunks.is_empty()) {
                    dt { "last embedded" } dd { (time(at)) ": " (new) " of " (chunks.len()) " chunks; the others were unchanged" }
                }
                dt { "tokens" } dd { (number(shown.tokens)) ", " (usd(shown.tokens as f64 * pages.prices.embedding_usd_per_million / 1_000_000.0)) " to embed again" }
            }
        }
    }
}

fn metadata(metadata: &RawValue) -> Markup {
    let columns: BTreeMap<String, &RawValue> = serde_json::from_str(metadata.get()).unwrap_or_default();
    html! {
        section.panel {
            h2 { "Metadata" }
            @if columns.is_empty() { p.hint { "None is kept. Prices and stock belong here: they change without an embedding." } }
            dl.facts {
                @for (name, value) in columns.iter().take(60) {
                    dt { (text(name, 60)) }
                    dd { (text(&serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned()), 300)) }
                }
            }
        }
    }
}

fn chunk_list(shown: &DocumentShown, chunks: &[ChunkShown]) -> Markup {
    html! {
        h2 { "Text, as it is embedded" }
        @if chunks.is_empty() { (empty("Nothing of it is indexed.")) }
        @for chunk in chunks {
            section.panel {
                p.hint { "chunk " (chunk.ordinal) ", " (chunk.tokens) " tokens with the title, embedded " (time(chunk.created_at)) }
                div.answer-text { (text(&chunk.content, CHARS)) }
            }
        }
        @if chunks.len() == CHUNKS as usize { p.hint { "The first " (CHUNKS) " chunks of version " (shown.version.unwrap_or_default()) " are shown." } }
    }
}

/// The document as the shop has it now; nothing is stored.
pub(super) async fn preview(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(which): Parameters<Which>,
) -> PageResult {
    let id = which.id()?;
    let catalogue = pages.sources.get(&id.source).ok_or(PageError::NotFound("source of the settings"))?;
    let read = catalogue.read(std::slice::from_ref(&id.key)).await;
    let chunking = pages.chunking.clone();
    // A long text is cut for so long that other requests of the daemon would wait.
    let cut = tokio::task::spawn_blocking(move || {
        let document = read?.into_iter().next();
        Ok(document.map(|read| {
            read.map(|mut document| {
                let is_whole = shorten(&mut document.text);
                (chunking.chunks(&document), document, is_whole)
            })
        }))
    });
    let cut: Result<_, CatalogueError> = cut.await.map_err(|_| PageError::Slow)?;
    let body = html! {
        p.hint { a href=(document_path(&id)) { "The indexed document" } }
        h1 { "Preview of " (id.source) "/" (text(&id.key, 100)) }
        @match cut {
            Err(error) => p.banner.bad { (error) },
            Ok(None) => (empty("The shop has no row with this key.")),
            Ok(Some(Err(fault))) => p.banner.bad { "This row cannot become a document: " bdi { (fault.reason) } },
            Ok(Some(Ok((chunks, document, is_whole)))) => (previewed(&chunks, &document, is_whole)),
        }
        (command(&format!("source preview {} {}", quoted(&id.source), quoted(&id.key))))
    };
    Ok(layout::page(&pages, &visitor, "Preview", &body))
}

/// Cuts a text that is too long for a preview; returns whether it is whole.
fn shorten(text: &mut String) -> bool {
    let end = text.char_indices().nth(PREVIEWED).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
    }
    end.is_none()
}

fn previewed(chunks: &[Chunk], document: &Document, is_whole: bool) -> Markup {
    html! {
        section.panel {
            dl.facts {
                dt { "title" } dd { (text(&document.title, 300)) }
                dt { "SKU" } dd { (text(document.sku.as_deref().unwrap_or("—"), 100)) }
                dt { "link" } dd { (text(document.link.as_deref().unwrap_or("—"), 300)) }
            }
        }
        (metadata(&document.metadata))
        h2 { @if is_whole { (chunks.len()) " chunks" } @else { "More than " (chunks.len()) " chunks" } }
        @for (n, chunk) in (1..).zip(chunks.iter().take(CHUNKS as usize)) {
            section.panel { p.hint { "chunk " (n) ", " (chunk.tokens) " tokens" } div.answer-text { (text(&chunk.content, CHARS)) } }
        }
    }
}

pub(super) async fn refresh(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(which): Fields<Which>,
) -> Result<Response, PageError> {
    let id = which.id()?;
    if !pages.sources.contains_key(&id.source) {
        return Err(PageError::NotFound("source of the settings"));
    }
    let store = &pages.console.store;
    store.refresh_one(&id).await?;
    store.note_action(&visitor.name, "refresh", &format!("{}/{}", id.source, id.key), 1).await?;
    Ok(done(&document_path(&id), "refreshing", 1))
}
