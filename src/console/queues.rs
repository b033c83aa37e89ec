//! `/queues`: the kinds of jobs, and the schedules.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages, ShownSchedule,
    access::{Role, Visitor, done},
    layout,
    page::{Fields, PageError, PageResult},
    parts::{Action, command, empty, number, path, seconds_short, time, time_or_never},
};
use crate::{
    clock,
    store::{
        jobs::BudgetWait,
        schedules::{FiredTick, ScheduleSummary},
        status::QueueStatus,
    },
};

/// Ticks that are shown of each schedule, past and future.
const TICKS: u32 = 5;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visitor: Visitor) -> PageResult {
    let names: Vec<_> = pages.schedules.iter().map(|schedule| schedule.name.clone()).collect();
    let store = &pages.store;
    let (counted, paused, waits, states, ticks) = tokio::join!(
        pages.figures.last(),
        store.paused_kinds(pages.kinds),
        store.budget_waits(),
        store.schedule_states(),
        store.last_ticks(&names, TICKS),
    );
    let (paused, waits, states, ticks) = (paused?, waits?, states?, ticks?);
    let kinds = counted.as_ref().map(|counted| &*counted.queue).unwrap_or_default();
    let body = html! {
        h1 { "Queues" }
        div data-moves {
            @if counted.is_none() { (empty("The jobs are being counted. Reload in a moment.")) }
            (kind_table(&pages, &visitor, kinds, &paused))
            (wait_list(&waits))
            h2 { "Schedules" }
            div.columns { @for schedule in &pages.schedules { (schedule_panel(&visitor, schedule, &states, &ticks)) } }
        }
    };
    Ok(layout::page(&pages, &visitor, "Queues", &body))
}

fn kind_table(pages: &Pages, visitor: &Visitor, kinds: &[QueueStatus], paused: &[String]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th { "kind" } th.number { "ready" } th.number { "scheduled" } th.number { "running" } th.number title="at once: of each daemon, and of all daemons" { "at most" } th.number { "dead" } th.number { "oldest waits" } th {} } }
                tbody {
                    @for kind in kinds {
                        @let is_paused = paused.contains(&kind.kind);
                        tr {
                            td { a.mono href=(path("/jobs", &[("kind", Some(&kind.kind))])) { (kind.kind) } @if is_paused { " " span.tag.warn { "paused" } } }
                            td.number { (number(kind.ready)) } td.number { (number(kind.scheduled)) } td.number { (number(kind.running)) } td.number { (at_most(pages, &kind.kind)) }
                            td.number { @if kind.dead > 0 { a href=(path("/jobs", &[("kind", Some(&kind.kind)), ("state", Some("dead"))])) { (number(kind.dead)) } } @else { "0" } }
                            td.number { @if let Some(seconds) = kind.oldest_ready_seconds { (seconds_short(whole(seconds))) } }
                            td {
                                (Action { path: "/do/queue", label: if is_paused { "Resume" } else { "Pause" }, class: "", least: Role::Operator,
                                    fields: &[("kind", &kind.kind), ("pause", if is_paused { "false" } else { "true" })] }.button(visitor))
                                (command(&format!("queue {} {}", if is_paused { "resume" } else { "pause" }, kind.kind)))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many jobs of a kind run at once.
fn at_most(pages: &Pages, kind: &str) -> Markup {
    html! {
        @if let Some(limits) = pages.concurrency.get(kind) {
            (limits.here) " each" @if let Some(fleet) = limits.fleet { ", " (fleet) " in all" }
        } @else { "—" }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an age")]
fn whole(seconds: f64) -> u64 {
    seconds.max(0.0) as u64
}

fn wait_list(waits: &[BudgetWait]) -> Markup {
    html! {
        @for wait in waits {
            p.banner.warn {
                (number(wait.jobs)) " jobs of " (wait.kind) " wait for " (<&str>::from(wait.waits_for).replace('_', " "))
                @if let Some(model) = &wait.model { " of " (model) } " since " (time(wait.since)) "."
            }
        }
    }
}

fn schedule_panel(
    visitor: &Visitor,
    schedule: &ShownSchedule,
    states: &[ScheduleSummary],
    ticks: &[FiredTick],
) -> Markup {
    let name = &*schedule.name;
    let state = states.iter().find(|state| state.name == name);
    let is_paused = state.is_some_and(|state| state.paused);
    let mut next = Vec::new();
    let mut from = clock::now();
    while let Some(tick) = (schedule.next)(from).filter(|_| next.len() < TICKS as usize && !is_paused) {
        next.push(tick.with_timezone(&schedule.zone).format("%a %F %H:%M:%S").to_string());
        from = tick;
    }
    html! {
        section.panel {
            h3 { (name) @if is_paused { " " span.tag.warn { "paused" } } }
            dl.facts {
                dt { "when" } dd { (schedule.words) " " span.mono { "(" (schedule.cron) ", " (schedule.zone.name()) ")" } }
                dt { "does" } dd.mono { (schedule.kind) " " (schedule.keys.join(", ")) }
                dt { "last" } dd {
                    (time_or_never(state.and_then(|state| state.fired_at)))
                    @for tick in ticks.iter().filter(|tick| tick.schedule == name) { br; span.hint { (time(tick.tick)) ": " @if tick.enqueued == 0 { "skipped: the previous run had not ended" } @else { (tick.enqueued) " jobs" } } }
                }
                dt { "next" } dd { @if next.is_empty() { "never" } @for tick in &next { (tick) br; } }
            }
            (Action { path: "/do/schedule-run", label: "Run now", class: "", least: Role::Operator, fields: &[("name", name)] }.button(visitor))
            (Action { path: "/do/schedule", label: if is_paused { "Resume" } else { "Pause" }, class: "", least: Role::Operator,
                fields: &[("name", name), ("pause", if is_paused { "false" } else { "true" })] }.button(visitor))
            (command(&format!("schedule run {name}")))
            (command(&format!("schedule {} {name}", if is_paused { "resume" } else { "pause" })))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Kind {
    kind: String,
    pause: bool,
}

pub(super) async fn set_queue(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Kind { kind, pause }): Fields<Kind>,
) -> Result<Response, PageError> {
    if !pages.kinds.contains(&&*kind) {
        return Err(PageError::NotFound("kind of job"));
    }
    let store = &pages.console.store;
    if pause {
        store.pause(&kind).await?;
    } else {
        store.resume(&kind).await?;
    }
    store.note_action(&visitor.name, if pause { "pause queue" } else { "resume queue" }, &kind, 1).await?;
    pages.live.ring();
    Ok(done("/queues", if pause { "paused" } else { "unpaused" }, 1))
}

#[derive(Deserialize)]
pub(super) struct PauseForm {
    name: String,
    #[serde(default)]
    pause: bool,
}

fn known<'a>(pages: &'a Pages, name: &str) -> Result<&'a ShownSchedule, PageError> {
    pages.schedules.iter().find(|schedule| schedule.name == name).ok_or(PageError::NotFound("schedule"))
}

pub(super) async fn set_schedule(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(PauseForm { name, pause }): Fields<PauseForm>,
) -> Result<Response, PageError> {
    let (store, name) = (&pages.console.store, &known(&pages, &name)?.name);
    if pause {
        store.pause_schedule(name).await?;
    } else {
        store.resume_schedule(name).await?;
    }
    store
        .note_action(&visitor.name, if pause { "pause schedule" } else { "resume schedule" }, name, 1)
        .await?;
    Ok(done("/queues", if pause { "paused" } else { "unpaused" }, 1))
}

pub(super) async fn run_schedule(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(PauseForm { name, .. }): Fields<PauseForm>,
) -> Result<Response, PageError> {
    let (store, schedule) = (&pages.console.store, known(&pages, &name)?);
    let jobs = store.enqueue(schedule.kind, &schedule.keys, &schedule.payloads).await?;
    store.note_action(&visitor.name, "run schedule", &schedule.name, jobs).await?;
    Ok(done("/queues", "enqueued", jobs))
}
