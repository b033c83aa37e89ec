//! `/jobs/{id}`: one job.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    Pages,
    access::{Role, Visitor},
    jobs, layout,
    page::{PageError, PageResult},
    parts::{document_path, form_token, job_state, length, path, private, text, time},
};
use crate::{
    catalogue::DocumentId,
    store::jobs::{JobAction, JobFilter, JobRow, JobState},
};

/// The most characters of a payload and of an error that are shown.
const CHARS: usize = 8000;

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageResult {
    let id: i64 = id.parse().map_err(|_| PageError::NotFound("job"))?;
    let store = &pages.store;
    let filter = JobFilter { ids: Some(vec![id]), limit: 1, ..JobFilter::default() };
    let job = store
        .jobs(&filter)
        .await?
        .pop()
        .ok_or(PageError::NotFound("job (one that is retried gets a new number)"))?;
    let payload = store.job_payload(id).await?.unwrap_or_default();
    let body = html! {
        p.hint { a href=(path("/jobs", &[("kind", Some(&job.kind))])) { "Jobs of " (job.kind) } }
        h1 { "Job " (job.id) " " (job_state(job.state)) }
        div data-moves {
            (actions(&pages, &visitor, &job))
            div.columns {
                (facts(&visitor, &job))
                section.panel {
                    @if let Some(error) = &job.last_error { h2 { "Last error" } pre { (private(&visitor, error, CHARS)) } }
                    h2 { "Payload" }
                    pre { (private(&visitor, &serde_json::to_string_pretty(&payload).unwrap_or_default(), CHARS)) }
                }
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Job", &body))
}

fn actions(pages: &Pages, visitor: &Visitor, job: &JobRow) -> Markup {
    let actions: &[JobAction] = match job.state {
        JobState::Dead => &[JobAction::Retry, JobAction::Discard],
        JobState::Scheduled => &[JobAction::Retry, JobAction::Cancel],
        JobState::Ready | JobState::Paused | JobState::Running => &[JobAction::Cancel],
        JobState::Done | JobState::Cancelled => &[],
    };
    html! {
        @if visitor.may(Role::Operator) && !actions.is_empty() {
            form method="post" action="/do/jobs" {
                (form_token(visitor)) input type="hidden" name="id" value=(job.id);
                (jobs::cancel_confirmation(pages, actions))
                @for action in actions {
                    button type="submit" name="action" value=(action) class=(if *action == JobAction::Retry { "primary" } else { "danger" }) { (jobs::name(*action)) } " "
                }
            }
            @for action in actions { (jobs::command_of(*action, &job.id.to_string())) }
        }
    }
}

fn facts(visitor: &Visitor, job: &JobRow) -> Markup {
    html! {
        section.panel {
            dl.facts {
                dt { "kind" } dd.mono { (job.kind) }
                dt { "key" } dd { (subject(job)) }
                @if let Some(group) = &job.group_key { dt { "group" } dd.mono { (private(visitor, group, 120)) } }
                dt { "attempts" } dd { (job.attempts) @if let Some(most) = job.max_attempts { " of " (most) } }
                dt { "priority" } dd { (job.priority) }
                dt { "enqueued" } dd { (time(job.created_at)) }
                dt { "due" } dd { (time(job.run_at)) }
                @if let Some(at) = job.started_at { dt { "last attempt" } dd { (time(at)) @if let Some(end) = job.finished_at { ", took " (length((end - at).as_seconds_f64().max(0.0))) } } }
                @if let Some(at) = job.finished_at { dt { "ended" } dd { (time(at)) } }
                @if let Some(worker) = &job.worker { dt { "worker" } dd.mono { (text(worker, 80)) } }
            }
        }
    }
}

/// The key, as a link to what the job is about.
fn subject(job: &JobRow) -> Markup {
    let Some(key) = &job.key else { return html! { span.hint { "none" } } };
    let href = match &*job.kind {
        "answer_question" => Some(format!("/answers/{key}")),
        "refresh_document" => key.split_once('/').map(|(source, key)| {
            document_path(&DocumentId { source: source.to_owned(), key: key.to_owned() })
        }),
        "sync_catalogue" => Some("/catalogue".to_owned()),
        "change_jobs" => Some(format!("/jobs/bulk/{key}")),
        _ => None,
    };
    html! { @match href { Some(href) => a href=(href) { (text(key, 200)) }, None => span.mono { (text(key, 200)) } } }
}
