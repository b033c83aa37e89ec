//! `/jobs/bulk`: an action on all jobs that match a filter, which is counted, confirmed, and then frozen.
//!
//! The page that shows the count signs it together with the filter: the form can start exactly that, once. A reload, a
//! second tab or the back button counts anew or repeats the same; nothing widens it.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::{Path, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Pages,
    access::{Role, Visitor, done, sign},
    charts,
    jobs::{Filter, actions_on, address, counted, name},
    layout,
    page::{Fields, PageError, PageResult, Parameters, id_of},
    parts::{
        Action, clip, command, empty, form_token, job_state, number, path, private, tag, text, time, up_to,
        usd,
    },
};
use crate::{
    bulk::ChangeJobs,
    store::jobs::{Bulk, BulkAction, BulkState, JobAction, JobRow, JobsShown},
    store::versions::IndexState,
};

/// Jobs that are shown as samples.
const SAMPLES: u32 = 10;
/// The most characters of an error that stands for its class.
const EXAMPLE: usize = 120;
/// From this many jobs on, their number must be typed.
const TYPED_FROM: i64 = 100;

#[derive(Deserialize)]
pub(super) struct Wanted {
    action: JobAction,
    #[serde(flatten)]
    filter: Filter,
}

pub(super) async fn confirm(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(Wanted { action, filter }): Parameters<Wanted>,
) -> PageResult {
    let filter = filter.jobs()?;
    if !actions_on(&filter).contains(&action) {
        return Err(PageError::Invalid(format!("{action} is not for jobs in this state.")));
    }
    let samples = pages.store.jobs_shown(&filter, None, SAMPLES).await?;
    let example =
        samples.first().filter(|_| filter.error.is_some()).and_then(|job| job.last_error.as_deref());
    let filter = JobsShown { example: example.map(|error| clip(error, EXAMPLE).into_owned()), ..filter };
    // Exact, however long that takes within a request.
    let jobs = pages.console.store.freeze_jobs(filter.clone()).await?;
    let number_of = jobs.counted;
    let bulk = Bulk { id: Uuid::new_v4(), action, jobs };
    let token = signed(&pages, &bulk)?;
    let body = html! {
        p.hint { a href=(address("/jobs", &filter, &[])) { "Back to these jobs" } }
        h1 { (name(action)) " " (counted(number_of)) }
        @if number_of == 0 { (empty("No job matches any more.")) } @else {
            section.panel {
                p { "The filter: " b { (in_words(&filter, true)) } ", as counted " (time(bulk.jobs.until)) ". Jobs that come later are left alone, whatever they match." }
                p.hint { (consequence(action)) @if action == JobAction::Retry { " " (cost(&pages, filter.kind.as_deref(), number_of).await) } }
                form.stack method="post" action="/do/bulk" {
                    (form_token(&visitor)) input type="hidden" name="token" value=(token);
                    @if number_of >= TYPED_FROM { label { "Type " b { (number_of) } " to confirm" input name="confirm" inputmode="numeric" autocomplete="off" required; } }
                    @if action == JobAction::Cancel && pages.look.is_production { label { "Type " b { (pages.look.name) } ", the name of this instance" input name="instance" autocomplete="off" required; } }
                    div { button class=(if action == JobAction::Retry { "primary" } else { "danger" }) type="submit" { (name(action)) " " (counted(number_of)) } }
                }
                @if let (Some(kind), true) = (&filter.kind, action != JobAction::Cancel && filter.key.is_none() && filter.error.is_none() && filter.older.is_none()) { (command(&format!("jobs {action} --kind {kind}"))) }
            }
            h2 { "Some of them" }
            (samples_table(&visitor, &samples))
        }
    };
    Ok(layout::page(&pages, &visitor, name(action), &body))
}

fn consequence(action: JobAction) -> &'static str {
    match action {
        JobAction::Retry => "They run again with all their attempts.",
        JobAction::Cancel => {
            "They are taken from the queue; running ones are stopped. Questions are cancelled, documents stay as they are."
        }
        JobAction::Discard => "They are deleted, and can be restored for an hour.",
    }
}

/// What running these jobs again costs, by what such jobs cost otherwise.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
async fn cost(pages: &Pages, kind: Option<&str>, jobs: i64) -> String {
    let counted = pages.figures.last().await;
    let of_one = match (kind, counted.as_deref()) {
        (Some("answer_question"), Some(counted)) => {
            let (answers, usd) = counted
                .clients
                .iter()
                .fold((0, 0.0), |(answers, usd), cost| (answers + cost.answers, usd + cost.usd));
            (answers > 0).then(|| usd / answers as f64)
        }
        (Some("refresh_document"), Some(counted)) => counted.index.iter().find_map(|(status, coverage)| {
            let is_active = status.version.state == IndexState::Active;
            let price = pages.embedding_prices.get(&status.version.model).filter(|_| is_active)?;
            let tokens = status.chunks as f64 * status.tokens_of_chunk / coverage.fresh.max(1) as f64;
            Some(tokens * price / 1_000_000.0)
        }),
        (None | Some("answer_question" | "refresh_document"), _) => None,
        (Some(_), _) => Some(0.0),
    };
    match of_one {
        Some(0.0) => "They ask no model that costs anything.".to_owned(),
        Some(of_one) => format!(
            "At what such jobs cost, that is about {}, if each asks its model.",
            usd(of_one * jobs as f64)
        ),
        None => "What they cost the first time, they may cost again.".to_owned(),
    }
}

/// The filter, as people say it.
pub(super) fn in_words(filter: &JobsShown, shows_error: bool) -> String {
    let mut words = match filter.state {
        Some(state) => format!("{state} jobs"),
        None => "live jobs".to_owned(),
    };
    let older = filter.older.map(|minutes| format!("{minutes} minutes"));
    let error = filter
        .example
        .as_ref()
        .filter(|_| shows_error)
        .map(|error| format!("“{error}”, whatever its numbers"));
    let error = error.or_else(|| filter.error.clone());
    for (before, value) in [
        ("of", &filter.kind),
        ("with the key", &filter.key),
        ("with the error", &error),
        ("older than", &older),
    ] {
        if let Some(value) = value {
            write!(words, " {before} {value}").expect("writing to a string cannot fail");
        }
    }
    words
}

fn samples_table(visitor: &Visitor, samples: &[JobRow]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th { "job" } th { "kind" } th { "key" } th { "state" } th { "last error" } } }
                tbody {
                    @for row in samples {
                        tr {
                            td { a href={ "/jobs/" (row.id) } { (row.id) } } td.mono { (row.kind) } td.mono { (text(row.key.as_deref().unwrap_or("—"), 70)) }
                            td { (job_state(row.state)) } td.wide { @if let Some(error) = &row.last_error { (private(visitor, error, 160)) } }
                        }
                    }
                }
            }
        }
    }
}

/// A bulk action as text, with its signature.
fn signed(pages: &Pages, bulk: &Bulk) -> Result<String, PageError> {
    let json = serde_json::to_vec(bulk).map_err(|error| PageError::Invalid(error.to_string()))?;
    let text = URL_SAFE_NO_PAD.encode(json);
    Ok(format!("{text}.{}", sign(pages, &format!("bulk {text}"))))
}

fn read_signed(pages: &Pages, token: &str) -> Option<Bulk> {
    let (text, signature) = token.split_once('.')?;
    let expected = sign(pages, &format!("bulk {text}"));
    if blake3::hash(signature.as_bytes()) != blake3::hash(expected.as_bytes()) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[derive(Deserialize)]
pub(super) struct Start {
    token: String,
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    instance: String,
}

pub(super) async fn start(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Start { token, confirm, instance }): Fields<Start>,
) -> Result<Response, PageError> {
    let bulk = read_signed(&pages, &token);
    let bulk = bulk.ok_or_else(|| {
        PageError::Invalid("This confirmation is not valid: count the jobs again.".to_owned())
    })?;
    let number_of = bulk.jobs.counted;
    if number_of >= TYPED_FROM
        && confirm.trim().replace(['\u{202f}', ' ', ',', '.'], "") != number_of.to_string()
    {
        return Err(PageError::Invalid(format!("Type {number_of}, the number of jobs, to confirm.")));
    }
    if bulk.action == JobAction::Cancel {
        pages.check_confirmed(&instance)?;
    }
    let store = &pages.console.store;
    let is_new = store.start_bulk(&bulk, &visitor.name, ChangeJobs::of(bulk.id)).await?;
    if is_new {
        let target = format!("{} ({})", in_words(&bulk.jobs.filter, false), bulk.id);
        store
            .note_action(&visitor.name, &format!("{} all", bulk.action), &target, number_of.unsigned_abs())
            .await?;
    }
    Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to(&format!(
        "/jobs/bulk/{}",
        bulk.id
    ))))
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageResult {
    let (store, id) = (&pages.store, id_of("bulk action", &id)?);
    let bulk = store.bulk_action(id).await?.ok_or(PageError::NotFound("bulk action"))?;
    let restorable = match bulk.action {
        JobAction::Discard => store.discarded_jobs(Some(id), 100_000).await?,
        JobAction::Retry | JobAction::Cancel => 0,
    };
    let body = html! {
        p.hint { a href="/jobs" { "Jobs" } }
        h1 { (name(bulk.action)) " " (counted(bulk.counted)) " " (tag(bulk.state.into(), if bulk.state == BulkState::Cancelled { "warn" } else { "good" })) }
        div data-moves { (progress(&visitor, &bulk, restorable)) }
    };
    Ok(layout::page(&pages, &visitor, "Bulk action", &body))
}

fn progress(visitor: &Visitor, bulk: &BulkAction, restorable: i64) -> Markup {
    let id = bulk.id.to_string();
    html! {
        section.panel {
            p { "The filter: " b { (in_words(&bulk.filter, visitor.may(Role::Operator))) } ", as counted " (time(bulk.until)) " by " (text(&bulk.actor, 60)) "." }
            (charts::progress("changed", bulk.done, bulk.counted))
            p { b { (number(bulk.done)) } " of " (number(bulk.counted)) " changed. " span.hint { "Jobs that had changed their state by then were left alone." } }
            @match bulk.state {
                BulkState::Running => {
                    (Action { path: "/do/bulk-cancel", label: "Stop here", class: "danger", least: Role::Operator, fields: &[("id", &id)] }.button(visitor))
                    p.hint { "Reload to see how far it is; with JavaScript the page does so itself." }
                }
                BulkState::Done | BulkState::Cancelled => {
                    @if let Some(at) = bulk.ended_at { p.hint { "Ended " (time(at)) "." } }
                    @if bulk.action == JobAction::Retry { p { a href=(path("/jobs", &[("kind", bulk.filter.kind.as_deref())])) { "How they get on" } } }
                }
            }
            @if restorable > 0 {
                p { (up_to(restorable, 100_000)) " of the discarded jobs can be restored. " (Action { path: "/do/restore", label: "Restore them", class: "", least: Role::Operator, fields: &[("action", &id)] }.button(visitor)) }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

pub(super) async fn cancel(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Which { id }): Fields<Which>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    let is_done = store.end_bulk(id_of("bulk action", &id)?, BulkState::Cancelled).await?;
    store.note_action(&visitor.name, "stop bulk action", &id, u64::from(is_done)).await?;
    Ok(done(&format!("/jobs/bulk/{id}"), if is_done { "bulk-cancelled" } else { "nothing" }, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::jobs::JobState;

    #[test]
    fn a_filter_is_said_in_words() {
        let filter = JobsShown {
            kind: Some("eval".to_owned()),
            state: Some(JobState::Dead),
            older: Some(60),
            ..JobsShown::default()
        };
        assert_eq!(in_words(&filter, true), "dead jobs of eval older than 60 minutes");
        assert_eq!(in_words(&JobsShown::default(), true), "live jobs");
    }
}
