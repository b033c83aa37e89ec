//! `/answers`: what customers asked, and what they were told.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages,
    access::{Role, Visitor},
    layout,
    page::{PageError, PageResult, Parameters, check_text, given, or_slow},
    parts::{ROWS, empty, length, more, outcome, path, private, slow, tag, text, time, usd},
};
use crate::{
    answering::object::{AnswerOutcome, AnswerStatus, Rating},
    catalogue::DocumentId,
    clock,
    store::answers::{AnswerFilter, AnswerRow},
};
use strum::VariantNames;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    /// An outcome, a status that has none, `escalated` or `outdated`.
    outcome: Option<String>,
    source: Option<String>,
    client: Option<String>,
    /// As in `24h`.
    within: Option<String>,
    q: Option<String>,
    cites_source: Option<String>,
    cites_key: Option<String>,
    before: Option<i64>,
}

/// The spans of time that can be chosen, in hours.
const SPANS: &[(&str, &str, i64)] =
    &[("1h", "the last hour", 1), ("24h", "24 hours", 24), ("7d", "7 days", 168), ("30d", "30 days", 720)];
/// The statuses that have no outcome.
const STATUSES: &[&str] = &["queued", "in_progress", "failed", "cancelled", "expired"];
/// The most answers of an export.
const EXPORTED: u32 = 200;

impl Filter {
    fn parameters(&self) -> Vec<(&'static str, Option<&str>)> {
        let named = [
            ("outcome", &self.outcome),
            ("source", &self.source),
            ("client", &self.client),
            ("within", &self.within),
            ("q", &self.q),
            ("cites_source", &self.cites_source),
            ("cites_key", &self.cites_key),
        ];
        named.into_iter().map(|(name, value)| (name, given(value.as_ref()))).collect()
    }

    fn of<'a>(&'a self, cites: Option<&'a DocumentId>) -> Result<AnswerFilter<'a>, PageError> {
        for (name, value) in self.parameters() {
            check_text(name, value.unwrap_or_default(), 1000)?;
        }
        let word = given(self.outcome.as_ref());
        let hours = given(self.within.as_ref()).map(|span| {
            let known = SPANS.iter().find(|(name, ..)| *name == span);
            known
                .map(|(.., hours)| *hours)
                .ok_or_else(|| PageError::Invalid(format!("There is no span {span:?}.")))
        });
        let since = hours.transpose()?.map(|hours| clock::now() - TimeDelta::hours(hours));
        let (escalated, outdated) = (word == Some("escalated"), word == Some("outdated"));
        let word = word.filter(|_| !escalated && !outdated);
        let outcome: Option<AnswerOutcome> = word.and_then(|word| word.parse().ok());
        let status: Option<AnswerStatus> =
            word.filter(|_| outcome.is_none()).and_then(|word| word.parse().ok());
        if let (Some(word), None, None) = (word, outcome, status) {
            return Err(PageError::Invalid(format!("There is no outcome {word:?}.")));
        }
        Ok(AnswerFilter {
            outcome,
            status,
            escalated,
            outdated,
            client: given(self.client.as_ref()),
            source: given(self.source.as_ref()),
            session: None,
            since,
            words: given(self.q.as_ref()),
            cites,
            before: self.before,
        })
    }

    fn cites(&self) -> Option<DocumentId> {
        let (source, key) = given(self.cites_source.as_ref()).zip(self.cites_key.as_deref())?;
        Some(DocumentId { source: source.to_owned(), key: key.to_owned() })
    }
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> PageResult {
    let (store, cites) = (&pages.store, filter.cites());
    let wanted = filter.of(cites.as_ref())?;
    if wanted.words.is_some() && !visitor.may(Role::Operator) {
        return Err(PageError::Forbidden(
            "To search in questions, a token with console:operate is needed.".to_owned(),
        ));
    }
    let (rows, clients) = tokio::join!(store.answer_rows(&wanted, ROWS), store.clients());
    let ((rows, is_slow), clients) = (or_slow(rows)?, clients?);
    let parameters = filter.parameters();
    let last = rows.last().filter(|_| rows.len() == ROWS as usize).map(|row| row.seq.to_string());
    let next = last.map(|last| path("/answers", &[&parameters[..], &[("before", Some(&last))]].concat()));
    let body = html! {
        h1 { "Answers" }
        div data-moves {
            (filters(&pages, &filter, &clients))
            (slow(is_slow))
            @if rows.is_empty() { (empty("No answer matches. Ask something in the playground, or by POST /v1/answers.")) } @else { (table(&visitor, &rows)) }
            (more(next.as_deref(), filter.before.is_none(), &path("/answers", &parameters)))
            @if visitor.may(Role::Operator) {
                p { a.button href=(path("/answers/export", &parameters)) { "Export as JSON lines" } " " span.hint { "the newest " (EXPORTED) " that match" } }
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Answers", &body))
}

fn filters(pages: &Pages, filter: &Filter, clients: &[String]) -> Markup {
    let select = |name: &str, label: &str, chosen: Option<&str>, options: Vec<(String, String)>| {
        html! {
            label { (label)
                select name=(name) {
                    option value="" { "all" }
                    @for (value, shown) in options { option value=(value) selected[chosen == Some(&*value)] { (shown) } }
                }
            }
        }
    };
    let words =
        <AnswerOutcome as VariantNames>::VARIANTS.iter().chain(STATUSES).chain(&["escalated", "outdated"]);
    let words = words.map(|word| ((*word).to_owned(), word.replace('_', " "))).collect();
    let same = |names: Vec<String>| names.into_iter().map(|name| (name.clone(), name)).collect::<Vec<_>>();
    let spans = SPANS.iter().map(|(name, shown, _)| ((*name).to_owned(), (*shown).to_owned())).collect();
    html! {
        form.filters method="get" action="/answers" role="search" {
            (select("outcome", "Outcome", filter.outcome.as_deref(), words))
            (select("source", "Found in", filter.source.as_deref(), same(pages.sources.keys().cloned().collect())))
            (select("client", "Client", filter.client.as_deref(), same(clients.to_vec())))
            (select("within", "Asked within", filter.within.as_deref(), spans))
            label { "Words of the question" input type="search" name="q" value=(given(filter.q.as_ref()).unwrap_or_default()); }
            @if let Some(cites) = filter.cites() {
                label { "Cites" input name="cites_source" value=(cites.source); } label { "key" input name="cites_key" value=(cites.key); }
            }
            button type="submit" { "Filter" }
        }
    }
}

/// Answers as rows.
pub(super) fn table(visitor: &Visitor, rows: &[AnswerRow]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th { "question" } th { "outcome" } th.number { "confidence" } th.number { "took" } th.number { "cost" } th { "client" } th { "asked" } } }
                tbody {
                    @for row in rows {
                        tr {
                            td.wide {
                                a href={ "/answers/" (row.id) } { (private(visitor, &row.question, 160)) }
                                @if let Some(answer) = &row.answer { span.hint { (private(visitor, answer, 160)) } }
                            }
                            td {
                                (outcome(row.status, row.outcome))
                                @if let Some(reason) = row.escalation_reason { " " (tag(reason.into(), "warn")) }
                                @if row.is_outdated { " " span.tag.warn { "outdated" } }
                                @match row.rating { Some(Rating::Up) => { " " span.tag.good { "liked" } } Some(Rating::Down) => { " " span.tag.bad { "disliked" } } None => {} }
                            }
                            td.number { @if let Some(distance) = row.nearest_distance { (format!("{:.2}", (1.0 - distance).clamp(0.0, 1.0))) } }
                            td.number { @if let Some(at) = row.completed_at { (length((at - row.created_at).as_seconds_f64().max(0.0))) } }
                            td.number { @if let Some(cost) = row.cost { (usd(cost)) } }
                            td { (text(&row.client, 40)) }
                            td { (time(row.created_at)) }
                        }
                    }
                }
            }
        }
    }
}

/// The newest answers that match, as JSON lines.
pub(super) async fn export(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(filter): Parameters<Filter>,
) -> Result<Response, PageError> {
    let cites = filter.cites();
    let rows = pages.store.answer_rows(&filter.of(cites.as_ref())?, EXPORTED).await?;
    let mut lines = String::new();
    for row in &rows {
        if let Some(shown) = pages.store.answer_shown(row.id).await? {
            let line = serde_json::to_string(&shown.answer)
                .map_err(|error| PageError::Invalid(error.to_string()))?;
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    pages.console.store.note_action(&visitor.name, "export answers", "", rows.len() as u64).await?;
    let name = "attachment; filename=\"answers.jsonl\"";
    let headers = [(header::CONTENT_TYPE, "application/jsonl"), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, lines).into_response())
}
