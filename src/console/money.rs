//! `/money`: what models cost.

use std::sync::Arc;

use axum::extract::State;
use chrono::Timelike;
use maud::{Markup, html};

use super::{
    Pages,
    access::Visitor,
    charts,
    figures::FigureSnapshot,
    layout,
    page::PageResult,
    parts::{empty, figure, number, text, time, usd},
};
use crate::{
    clock,
    store::usage::{DayUsage, Operation},
};

/// The days of the chart.
const DAYS: u32 = 30;
/// The day's first minutes say little about the rest of it.
const LEAST_SHARE: f64 = 0.02;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visitor: Visitor) -> PageResult {
    let (usage, counted) = tokio::join!(pages.store.usage(DAYS), pages.figures.last());
    let mut usage = usage?;
    usage.reverse();
    let today = clock::now().format("%F").to_string();
    let spent = |operation| {
        usage
            .iter()
            .filter(|day| day.day == today && day.operation == operation)
            .map(|day| day.cost_usd)
            .sum::<f64>()
    };
    let share = (f64::from(clock::now().num_seconds_from_midnight()) / 86_400.0).max(LEAST_SHARE);
    let budgets = [
        (
            Operation::Answer,
            "answers",
            pages.prices.answers_daily_usd,
            "Reached: new questions get the fallback text, and a human is asked for, until midnight UTC.",
        ),
        (
            Operation::Embedding,
            "embedding",
            pages.prices.embedding_daily_usd,
            "Reached: documents wait until midnight UTC. Answers go on.",
        ),
    ];
    let body = html! {
        h1 { "Money" }
        div data-moves {
            div.figures {
                @let all = spent(Operation::Answer) + spent(Operation::Embedding);
                (figure("Today", &html! { (usd(all)) }, &html! { "at this rate " (usd(all / share)) " by midnight UTC" }))
                @for (operation, name, most, _) in budgets {
                    @let today = spent(operation);
                    (figure(&format!("Today, {name}"), &html! { (usd(today)) }, &html! { "at this rate " (usd(today / share)) " by midnight UTC" @if most > 0.0 { ", of a budget of " (usd(most)) } }))
                }
            }
            section.panel {
                h2 { "Budgets" }
                @for (operation, name, most, stops) in budgets { (budget(name, most, spent(operation), share, stops)) }
            }
            section.panel { h2 { "The last " (DAYS) " days" } @if usage.is_empty() { (empty("Nothing was spent.")) } @else { (charts::days(&usage)) (day_table(&usage)) } }
            @if let Some(counted) = &counted { (today_of(&pages, counted)) }
        }
    };
    Ok(layout::page(&pages, &visitor, "Money", &body))
}

fn budget(name: &str, most: f64, spent: f64, share: f64, stops: &str) -> Markup {
    let is_reached = spent >= most;
    html! {
        @if most <= 0.0 { p.hint { "No budget for " (name) ": set budget." (name) "_usd to have one." } } @else {
            p { b { (name) ": " (usd(spent)) " of " (usd(most)) } " "
                @if is_reached { span.tag.bad { "reached" } } @else if spent / share > most { span.tag.warn { "will be reached today at this rate" } }
            }
            p.hint { (stops) }
        }
    }
}

fn day_table(usage: &[DayUsage]) -> Markup {
    html! {
        details {
            summary { "As a table" }
            table {
                thead { tr { th { "day (UTC)" } th { "for" } th.number { "tokens" } th.number { "dollars" } } }
                tbody { @for day in usage.iter().rev() { tr { td { (day.day) } td { (day.operation.to_string()) } td.number { (number(day.tokens)) } td.number { (usd(day.cost_usd)) } } } }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn today_of(pages: &Pages, counted: &FigureSnapshot) -> Markup {
    html! {
        div.columns {
            div.scroll tabindex="0" {
                table {
                    caption { "Answers of today, by client and model" }
                    thead { tr { th { "client" } th { "model" } th.number { "answers" } th.number { "tokens" } th.number { "dollars" } } }
                    tbody { @for cost in &counted.clients { tr { td { (text(&cost.client, 60)) } td { (text(&cost.model, 60)) } td.number { (number(cost.answers)) } td.number { (number(cost.tokens)) } td.number { (usd(cost.usd)) } } } }
                }
            }
            div.scroll tabindex="0" {
                table {
                    caption { "Embedded today and in the index, by source" }
                    thead { tr { th { "source" } th.number { "chunks" } th.number { "tokens" } th.number { "about" } } }
                    tbody { @for source in &counted.embedded { tr { td { (source.source) } td.number { (number(source.chunks)) } td.number { (number(source.tokens)) } td.number { (usd(source.tokens as f64 * pages.prices.embedding_usd_per_million / 1_000_000.0)) } } } }
                }
            }
        }
        p.hint { "Counted " (time(counted.at)) ", at the prices of the settings." }
    }
}
