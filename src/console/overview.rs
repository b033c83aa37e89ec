//! `/`: what is going on, and what needs attention.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Pages,
    access::{Role, Visitor, done},
    charts,
    figures::FigureSnapshot,
    layout,
    page::{Fields, PageError, PageResult},
    parts::{Action, command, empty, figure, number, seconds_short, text, time, usd},
};
use crate::{
    clock,
    store::{
        figures::SignalCount,
        usage::{Operation, Usage},
    },
};

/// The share of a budget from which it needs attention.
const NEARLY_SPENT: f64 = 0.8;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visitor: Visitor) -> PageResult {
    let store = &pages.store;
    let (counted, stopped, today, answers_usd, embedding_usd) = tokio::join!(
        pages.figures.last(),
        store.stopped_since(),
        store.usage_today(),
        store.usd_today(Operation::Answer),
        store.usd_today(Operation::Embedding),
    );
    let spent = Spent { answers: answers_usd?, embedding: embedding_usd? };
    let (stopped, today) = (stopped?, today?);
    let body = html! {
        h1 { "Overview" }
        @match &counted {
            Some(counted) => (whole(&pages, &visitor, counted, stopped, today, spent)),
            None => (empty("The first figures are being counted. Reload in a moment.")),
        }
    };
    Ok(layout::page(&pages, &visitor, "Overview", &body))
}

/// What was spent today, in dollars.
#[derive(Clone, Copy)]
struct Spent {
    answers: f64,
    embedding: f64,
}

fn whole(
    pages: &Pages,
    visitor: &Visitor,
    counted: &FigureSnapshot,
    stopped: Option<DateTime<Utc>>,
    today: Usage,
    spent: Spent,
) -> Markup {
    let needs = attention(pages, visitor, counted, stopped, spent);
    html! {
        div data-moves {
            (figures(pages, visitor, counted, today, spent))
            section.panel {
                h2 { "Needs attention" }
                @if needs.is_empty() { p.hint { "Nothing. All sources are listed, nothing is dead, nothing is paused." } }
                ul.attention { @for need in needs { li { (need) } } }
            }
            section.panel { h2 { "Answers, last 24 hours" } (charts::answers(&counted.answers)) (signals(&counted.signals)) }
            section.panel {
                h2 { "Freshness: from a change to its index" }
                @if counted.sources.is_empty() { p.hint { "There are no sources yet." } }
                @for source in &counted.sources {
                    h3 { (source.source) }
                    (charts::freshness(&source.source, &counted.answers, &counted.lags))
                }
                (charts::freshness_table(&counted.lags))
            }
            (stop_button(visitor, stopped))
            p.hint { "Counted " (time(counted.at)) "." }
        }
    }
}

/// Why answers were handed over, and what else is known of them.
fn signals(signals: &[SignalCount]) -> Markup {
    html! {
        @if !signals.is_empty() {
            dl.facts { @for SignalCount { signal, answers } in signals {
                dt { (signal) } dd {
                    @match &**signal {
                        "outdated since" => a href="/answers?outcome=outdated&within=24h" { (number(*answers)) },
                        handed if handed.starts_with("handed over") => a href="/answers?outcome=escalated&within=24h" { (number(*answers)) },
                        _ => (number(*answers)),
                    }
                }
            } }
        }
    }
}

fn figures(pages: &Pages, visitor: &Visitor, counted: &FigureSnapshot, today: Usage, spent: Spent) -> Markup {
    let sum =
        |part: fn(&crate::store::figures::AnswerHour) -> i64| counted.answers.iter().map(part).sum::<i64>();
    let (answered, escalated) = (sum(|hour| hour.answered), sum(|hour| hour.escalated));
    let all = answered + escalated + sum(|hour| hour.other);
    let documents: i64 = counted.sources.iter().map(|source| source.documents).sum();
    let fresh: i64 = counted.sources.iter().map(|source| source.fresh).sum();
    let ready: i64 = counted.queue.iter().map(|kind| kind.ready).sum();
    let running: i64 = counted.queue.iter().map(|kind| kind.running).sum();
    let oldest = counted.queue.iter().filter_map(|kind| kind.oldest_ready_seconds).fold(0.0, f64::max);
    html! {
        div.figures {
            (figure("Answers, 24 hours", &html! { a href="/answers?within=24h" { (number(all)) } }, &html! { @if all == 0 { "nothing was asked" } @else { (percent(answered, all)) " answered without a human" } }))
            (figure("Open escalations", &html! { a href="/escalations" { (visitor.open_escalations) } }, &html! { @if all > 0 { (percent(escalated, all)) " of answers asked for a human" } }))
            (figure("Documents", &html! { a href="/catalogue" { (number(documents)) } }, &html! { (percent(fresh, documents)) " fresh" }))
            (figure("Jobs", &html! { a href="/jobs" { (number(ready + running)) } }, &html! {
                (number(running)) " running" @if ready > 0 { ", the oldest waits " (seconds_short(whole_seconds(oldest))) }
            }))
            (figure("Spent today", &html! { a href="/money" { (usd(today.cost_usd)) } }, &html! { (number(today.tokens)) " tokens" (budget(pages, spent)) }))
        }
    }
}

fn budget(pages: &Pages, spent: Spent) -> Markup {
    html! {
        @for (name, spent, most) in budgets(pages, spent) {
            @if most > 0.0 { br; (name) ": " (usd(spent)) " of " (usd(most)) }
        }
    }
}

fn budgets(pages: &Pages, spent: Spent) -> [(&'static str, f64, f64); 2] {
    [
        ("answers", spent.answers, pages.prices.answers_daily_usd),
        ("embedding", spent.embedding, pages.prices.embedding_daily_usd),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an age")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn percent(part: i64, whole: i64) -> String {
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    format!("{:.0} %", 100.0 * share)
}

/// What needs attention, each with the command that mends it.
fn attention(
    pages: &Pages,
    visitor: &Visitor,
    counted: &FigureSnapshot,
    stopped: Option<DateTime<Utc>>,
    spent: Spent,
) -> Vec<Markup> {
    let mut needs = Vec::new();
    if let Some(since) = stopped {
        needs.push(html! { b { "Models are not asked" } ", since " (time(since)) ". Questions get the fallback text." (command("resume")) });
    }
    for (name, spent, most) in budgets(pages, spent) {
        if most > 0.0 && spent >= most * NEARLY_SPENT {
            needs.push(html! { "The budget of " (name) " for today is nearly spent: " b { (usd(spent)) " of " (usd(most)) } ". " a href="/money" { "What it would stop" } });
        }
    }
    if visitor.open_escalations > 0 {
        needs.push(html! { a href="/escalations" { b { (visitor.open_escalations) } " customers wait for a human" } });
    }
    if let Some(outdated) = counted.signals.iter().find(|count| count.signal == "outdated since") {
        needs.push(html! { a href="/answers?outcome=outdated&within=24h" { b { (number(outdated.answers)) } " answers of the last 24 hours are outdated: a product that they cite changed" } });
    }
    for source in &counted.sources {
        let name = &source.source;
        if !pages.sources.contains_key(name) && source.documents > 0 {
            needs.push(html! {
                b { (name) } " left the settings; its " (number(source.documents)) " documents stay."
                (command(&format!("sync --source {name} --allow-mass-delete")))
            });
            continue;
        }
        if let Some(error) = &source.sync_error {
            needs.push(html! { b { (name) } ": the last listing failed: " (text(error, 600)) (command(&format!("sync --source {name}"))) });
        } else if source.last_sync_at.is_none_or(|at| clock::now() - at > chrono::TimeDelta::hours(25)) {
            needs.push(html! { b { (name) } " was not listed for more than a day." (command(&format!("sync --source {name}"))) });
        }
        if source.withheld > 0 {
            needs.push(html! {
                a href="/catalogue" { b { (name) } } ": " (number(source.withheld)) " documents are gone from the shop and stay in the index, \
                because that is more than mass_delete_limit." (command(&format!("sync --source {name} --allow-mass-delete")))
            });
        }
        if source.set_aside > 0 {
            needs.push(html! { a href="/catalogue" { b { (name) } } ": " (number(source.set_aside)) " rows cannot become documents." });
        }
        if source.failed > 0 {
            needs.push(html! { a href={ "/catalogue?state=failed&source=" (name) } { b { (name) } ": " (number(source.failed)) " documents could not be indexed" } });
        }
    }
    for kind in &counted.queue {
        let name = &kind.kind;
        if kind.paused {
            needs.push(html! { b { (name) } " is paused; " (number(kind.ready)) " jobs wait." (command(&format!("queue resume {name}"))) });
        }
        if kind.dead > 0 {
            needs.push(html! { a href={ "/jobs?state=dead&kind=" (name) } { b { (number(kind.dead)) } " jobs of " (name) " are dead: they failed, and are not tried again" } (command(&format!("jobs retry --kind {name}"))) });
        }
    }
    needs
}

fn stop_button(visitor: &Visitor, stopped: Option<DateTime<Utc>>) -> Markup {
    let (label, class, stop) = match stopped {
        Some(_) => ("Ask models again", "primary", "false"),
        None => ("Stop all spending", "danger", "true"),
    };
    html! {
        section.panel {
            h2 { "Stop button" }
            p.hint { "While it is pressed, no model is asked anything: questions get the fallback text, and documents wait." }
            (Action { path: "/do/stop", label, class, least: Role::Operator, fields: &[("stop", stop)] }.button(visitor))
            (command(if stopped.is_some() { "resume" } else { "pause" }))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Stop {
    stop: bool,
}

pub(super) async fn stop(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Fields(Stop { stop }): Fields<Stop>,
) -> Result<Response, PageError> {
    let store = &pages.console.store;
    store.set_stopped(stop).await?;
    store.note_action(&visitor.name, if stop { "stop" } else { "resume" }, "", 1).await?;
    pages.live.ring();
    Ok(done("/", if stop { "stopped" } else { "resumed" }, 1))
}
