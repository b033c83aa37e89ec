//! `/jobs`: the queue, dead jobs by their errors, and what is done with jobs.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Pages,
    access::{Role, Visitor, done},
    layout,
    page::{Fields, PageError, PageResult, Parameters, check_text, given, or_slow},
    parts::{
        Action, ROWS, command, empty, form_token, job_state, more, number, path, private, slow, text, time,
        up_to,
    },
};
use crate::store::jobs::{ErrorGroup, JobAction, JobPlace, JobRow, JobState, JobsShown};
use strum::VariantNames;

/// Errors on the page.
const GROUPS: u32 = 12;
/// The ages that can be chosen, in minutes.
const AGES: &[(u32, &str)] = &[(10, "10 minutes"), (60, "an hour"), (1440, "a day"), (10_080, "a week")];
/// Up to this many jobs of an error are counted.
const COUNTED: i64 = 10_000;

/// The filter, as the address has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    kind: Option<String>,
    state: Option<String>,
    key: Option<String>,
    error: Option<String>,
    older: Option<String>,
    before_at: Option<DateTime<Utc>>,
    before_id: Option<i64>,
}

impl Filter {
    pub(super) fn jobs(&self) -> Result<JobsShown, PageError> {
        let state = given(self.state.as_ref()).map(str::parse::<JobState>).transpose();
        let state = state.map_err(|_| {
            let known = <JobState as VariantNames>::VARIANTS.join(", ");
            PageError::Invalid(format!("state must be one of {known}."))
        })?;
        let older = given(self.older.as_ref()).map(str::parse::<u32>).transpose();
        let older = older.map_err(|_| PageError::Invalid("older must be a number of minutes.".to_owned()))?;
        for (name, value) in [("kind", &self.kind), ("key", &self.key), ("error", &self.error)] {
            check_text(name, value.as_deref().unwrap_or_default(), 1100)?;
        }
        let text = |field: &Option<String>| given(field.as_ref()).map(str::to_owned);
        if given(self.error.as_ref()).is_some() && state != Some(JobState::Dead) {
            return Err(PageError::Invalid(
                "error is a filter of dead jobs: give state=dead, too.".to_owned(),
            ));
        }
        let (kind, key, error) = (text(&self.kind), text(&self.key), text(&self.error));
        Ok(JobsShown { kind, state, key, error, example: None, older })
    }

    fn place(&self) -> Option<JobPlace> {
        self.before_id.map(|id| JobPlace { at: self.before_at, id })
    }
}

/// The address of a filter.
pub(super) fn address(base: &str, filter: &JobsShown, more: &[(&str, Option<&str>)]) -> String {
    let older = filter.older.map(|older| older.to_string());
    let own = [
        ("kind", filter.kind.as_deref()),
        ("state", filter.state.map(<&str>::from)),
        ("key", filter.key.as_deref()),
        ("error", filter.error.as_deref()),
        ("older", older.as_deref()),
    ];
    path(base, &[&own[..], more].concat())
}

/// What may be done with the jobs of a filter.
pub(super) fn actions_on(filter: &JobsShown) -> &'static [JobAction] {
    match filter.state {
        Some(JobState::Dead) => &[JobAction::Retry, JobAction::Discard],
        Some(JobState::Done | JobState::Cancelled) => &[],
        _ => &[JobAction::Cancel],
    }
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Parameters(asked): Parameters<Filter>,
) -> PageResult {
    let (store, filter) = (&pages.store, asked.jobs()?);
    let (rows, groups, discarded) = tokio::join!(
        store.jobs_shown(&filter, asked.place(), ROWS),
        store.error_groups(GROUPS),
        store.discarded_jobs(None, 1000),
    );
    let ((rows, rows_stopped), (groups, groups_stopped), discarded) =
        (or_slow(rows)?, or_slow(groups)?, discarded?);
    let last = rows.last().filter(|_| rows.len() == ROWS as usize);
    let next = last.map(|last| {
        let (at, id) = (last.finished_at.map(|at| at.to_rfc3339()), last.id.to_string());
        address("/jobs", &filter, &[("before_at", at.as_deref()), ("before_id", Some(&id))])
    });
    let body = html! {
        h1 { "Jobs" }
        div data-moves {
            (tabs(&filter))
            (filters(&pages, &filter))
            @if !groups.is_empty() && filter.error.is_none() && filter.state.is_none_or(|state| state == JobState::Dead) { (error_table(&visitor, &groups)) }
            (slow(rows_stopped || groups_stopped))
            (list(&pages, &visitor, &filter, &rows))
            (more(next.as_deref(), asked.before_id.is_none(), &address("/jobs", &filter, &[])))
            @if discarded > 0 {
                p {
                    (up_to(discarded, 1000)) " discarded jobs can be restored. "
                    (Action { path: "/do/restore", label: "Restore them", class: "", least: Role::Operator, fields: &[] }.button(&visitor))
                    (command("jobs restore"))
                }
            }
        }
    };
    Ok(layout::page(&pages, &visitor, "Jobs", &body))
}

fn tabs(filter: &JobsShown) -> Markup {
    let tab = |state: Option<&str>| {
        let is_here = filter.state.map(<&str>::from) == state;
        let href = path("/jobs", &[("state", state), ("kind", filter.kind.as_deref())]);
        html! { a href=(href) aria-current=[is_here.then_some("true")] { (state.unwrap_or("live")) } }
    };
    html! {
        nav.tabs aria-label="States" {
            (tab(None))
            @for state in <JobState as VariantNames>::VARIANTS { (tab(Some(state))) }
        }
    }
}

fn filters(pages: &Pages, filter: &JobsShown) -> Markup {
    html! {
        form.filters method="get" action="/jobs" role="search" {
            @if let Some(state) = filter.state { input type="hidden" name="state" value=(state); }
            label { "Kind"
                select name="kind" {
                    option value="" { "all" }
                    @for kind in pages.kinds { option value=(kind) selected[filter.kind.as_deref() == Some(*kind)] { (kind) } }
                }
            }
            label { "Key" input name="key" value=(filter.key.as_deref().unwrap_or_default()); }
            label { "Older than"
                select name="older" {
                    option value="" { "any age" }
                    @for (minutes, name) in AGES { option value=(minutes) selected[filter.older == Some(*minutes)] { (name) } }
                }
            }
            @if let Some(error) = &filter.error { label.check { input type="checkbox" name="error" value=(error) checked; "only this error" } }
            button type="submit" { "Filter" }
            @if *filter != JobsShown::default() { a href="/jobs" { "all live jobs" } }
        }
    }
}

fn error_table(visitor: &Visitor, groups: &[ErrorGroup]) -> Markup {
    let may = visitor.may(Role::Operator);
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Dead jobs by their errors" }
                thead { tr { th.number { "jobs" } th { "error" } th { "kind" } th { "first" } th { "last" } @if may { th {} } } }
                tbody {
                    @for group in groups {
                        tr {
                            td.number { (up_to(group.jobs, COUNTED)) }
                            td.wide { a href=(path("/jobs", &[("state", Some("dead")), ("error", Some(&group.class))])) { (private(visitor, &group.error, 200)) } }
                            td.mono { (group.kind) }
                            td { (time(group.first_at)) }
                            td { (time(group.last_at)) }
                            @if may { td { a href=(path("/jobs/bulk", &[("state", Some("dead")), ("error", Some(&group.class)), ("action", Some("retry"))])) { "Retry…" } } }
                        }
                    }
                }
            }
        }
    }
}

fn list(pages: &Pages, visitor: &Visitor, filter: &JobsShown, rows: &[JobRow]) -> Markup {
    let may = visitor.may(Role::Operator) && !actions_on(filter).is_empty();
    html! {
        @if rows.is_empty() { (empty(if filter.is_finished() { "No job matches." } else { "Nothing waits or runs." })) } @else {
            form method="post" action="/do/jobs" {
                (form_token(visitor))
                input type="hidden" name="back" value=(address("/jobs", filter, &[]));
                @if may { (buttons(pages, filter)) }
                div.scroll tabindex="0" {
                    table {
                        thead { tr { @if may { th { input type="checkbox" data-all aria-label="Select all of this page"; } } th { "job" } th { "key" } th { "state" } th.number { "attempts" } th { "last error" } th { "when" } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    @if may { td { input type="checkbox" name="id" value=(row.id) aria-label={ "Select job " (row.id) }; } }
                                    td { a href={ "/jobs/" (row.id) } { (row.id) } span.hint.mono { (row.kind) } }
                                    td.mono { (text(row.key.as_deref().unwrap_or("—"), 70)) }
                                    td { (job_state(row.state)) }
                                    td.number { (row.attempts) @if let Some(most) = row.max_attempts { "/" (most) } }
                                    td.wide { @if let Some(error) = &row.last_error { (private(visitor, error, 160)) } }
                                    td { (time(row.finished_at.unwrap_or(row.run_at))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn buttons(pages: &Pages, filter: &JobsShown) -> Markup {
    html! {
        (cancel_confirmation(pages, actions_on(filter)))
        p {
            @for action in actions_on(filter) {
                button type="submit" name="action" value=(action) class=(if *action == JobAction::Retry { "" } else { "danger" }) { (name(*action)) " selected" }
                " "
            }
            span.hint { span data-selected { "0" } " selected" } " "
            @for action in actions_on(filter) {
                a.button href=(address("/jobs/bulk", filter, &[("action", Some(<&str>::from(*action)))])) { (name(*action)) " all that match…" }
                " "
            }
        }
    }
}

/// In production, jobs are cancelled after the name of the instance was typed.
pub(super) fn cancel_confirmation(pages: &Pages, actions: &[JobAction]) -> Markup {
    html! {
        @if pages.look.is_production && actions.contains(&JobAction::Cancel) {
            label { "To cancel, type " b { (pages.look.name) } input name="confirm" autocomplete="off"; }
        }
    }
}

pub(super) fn name(action: JobAction) -> &'static str {
    match action {
        JobAction::Retry => "Retry",
        JobAction::Cancel => "Cancel",
        JobAction::Discard => "Discard",
    }
}

/// The command line of an action on these jobs.
pub(super) fn command_of(action: JobAction, ids: &str) -> Markup {
    command(&format!("jobs {action} {ids}"))
}

/// An action on selected jobs.
pub(super) async fn change(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    body: String,
) -> Result<Response, PageError> {
    let (mut ids, mut action, mut back, mut confirm) = (Vec::new(), None, "/jobs".to_owned(), String::new());
    for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
        match &*name {
            "id" => ids.push(
                value.parse::<i64>().map_err(|_| PageError::Invalid(format!("id {value:?} is no job.")))?,
            ),
            "action" => action = value.parse::<JobAction>().ok(),
            "confirm" => confirm = value.into_owned(),
            "back" if value.starts_with("/jobs") => back = value.into_owned(),
            _ => {}
        }
    }
    let action =
        action.ok_or_else(|| PageError::Invalid("action must be retry, cancel or discard.".to_owned()))?;
    if ids.is_empty() {
        return Err(PageError::Invalid("No job is selected. Go back, and tick some.".to_owned()));
    }
    if ids.len() > ROWS as usize {
        return Err(PageError::Invalid(format!(
            "At most {ROWS} jobs can be selected; choose all that match instead."
        )));
    }
    if action == JobAction::Cancel {
        pages.check_confirmed(&confirm)?;
    }
    let store = &pages.console.store;
    let number = store.change_jobs(action, &ids, None).await?;
    let what = match action {
        JobAction::Retry => "retried",
        JobAction::Cancel => "cancelled",
        JobAction::Discard => "discarded",
    };
    let shown = ids.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    store.note_action(&visitor.name, &format!("{action} jobs"), &shown, number).await?;
    pages.live.ring();
    Ok(done(&back, what, number))
}

#[derive(Deserialize)]
pub(super) struct Restore {
    action: Option<Uuid>,
}

/// Restores discarded jobs: those of a bulk action, or all.
pub(super) async fn restore(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Restore { action }): Fields<Restore>,
) -> Result<Response, PageError> {
    let (store, mut restored) = (&pages.console.store, 0);
    while let number @ 1.. = store.restore_jobs(None, action).await? {
        restored += number;
    }
    let target = action.map(|action| action.to_string()).unwrap_or_default();
    store.note_action(&visitor.name, "restore jobs", &target, restored).await?;
    Ok(done("/jobs?state=dead", "restored", restored))
}

/// How many jobs, in words.
pub(super) fn counted(jobs: i64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", number(jobs)) }
}
