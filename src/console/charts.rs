//! Charts: SVG that the server draws, each with its table for readers.

use maud::{Markup, html};

use super::parts::{length, number};
use crate::store::{
    figures::{AnswerHour, LagHour},
    usage::DayUsage,
};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 150.0;
const GAP: f64 = 3.0;

/// A bar: its name, and its parts from the bottom, as wide as others.
struct Bar {
    name: String,
    parts: [f64; 3],
}

/// Draws bars of up to three parts.
fn bars(label: &str, bars: &[Bar]) -> Markup {
    let highest = bars.iter().map(|bar| bar.parts.iter().sum::<f64>()).fold(0.0, f64::max);
    let scale = if highest > 0.0 { (HEIGHT - 24.0) / highest } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "bars are few")]
    let step = WIDTH / bars.len().max(1) as f64;
    let rects = bars.iter().enumerate().flat_map(|(place, bar)| {
        #[expect(clippy::cast_precision_loss, reason = "bars are few")]
        let x = place as f64 * step;
        let mut below = 0.0;
        ["s1", "s2", "s3"].into_iter().zip(bar.parts).filter_map(move |(class, part)| {
            let height = part * scale;
            below += height;
            (height > 0.0).then_some((class, x + GAP / 2.0, HEIGHT - 18.0 - below, step - GAP, height))
        })
    });
    let every = (bars.len() / 8).max(1);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            rect.s0 x="0" y=(HEIGHT - 18.0) width=(WIDTH) height="1" {}
            @for (class, x, y, width, height) in rects {
                rect class=(class) x=(shown(x)) y=(shown(y)) width=(shown(width)) height=(shown(height)) rx="1.5" {}
            }
            @for (place, bar) in bars.iter().enumerate().filter(|(place, _)| place % every == 0) {
                text x=(place_of(place, step)) y=(HEIGHT - 4.0) { (bar.name) }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "bars are few")]
fn place_of(place: usize, step: f64) -> String {
    shown(place as f64 * step)
}

fn shown(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// The answers of a day, by hour.
#[expect(clippy::cast_precision_loss, reason = "a chart")]
pub(super) fn answers(hours: &[AnswerHour]) -> Markup {
    let drawn: Vec<_> = hours
        .iter()
        .map(|hour| Bar {
            name: hour.hour.format("%H:00").to_string(),
            parts: [hour.answered as f64, hour.escalated as f64, hour.other as f64],
        })
        .collect();
    html! {
        (bars("Answers of the last 24 hours by hour", &drawn))
        div.legend { (key("s1", "answered")) (key("s2", "a human was asked for")) (key("s3", "other")) span { "times in UTC" } }
        details {
            summary { "As a table" }
            table {
                thead { tr { th { "hour (UTC)" } th.number { "answered" } th.number { "human" } th.number { "other" } } }
                tbody {
                    @for hour in hours {
                        tr {
                            td { (hour.hour.format("%F %H:00")) } td.number { (number(hour.answered)) }
                            td.number { (number(hour.escalated)) } td.number { (number(hour.other)) }
                        }
                    }
                }
            }
        }
    }
}

/// The cost of days, oldest first.
pub(super) fn days(usage: &[DayUsage]) -> Markup {
    use crate::store::usage::Operation::{Answer, Embedding};
    let mut names: Vec<_> = usage.iter().map(|day| day.day.clone()).collect();
    names.sort();
    names.dedup();
    let cost = |name: &str, operation| {
        let parts = usage.iter().filter(|day| day.day == name && day.operation == operation);
        parts.map(|day| day.cost_usd).sum::<f64>()
    };
    let drawn: Vec<_> = names
        .iter()
        .map(|name| Bar {
            name: name[5..].to_owned(),
            parts: [cost(name, Answer), cost(name, Embedding), 0.0],
        })
        .collect();
    html! {
        (bars("Dollars by day", &drawn))
        div.legend { (key("s1", "answers")) (key("s2", "embedding")) span { "days in UTC" } }
    }
}

/// How long changes of a source took to be indexed, by hour.
pub(super) fn freshness(source: &str, hours: &[AnswerHour], lags: &[LagHour]) -> Markup {
    let of = |hour: &AnswerHour| lags.iter().find(|lag| lag.source == source && lag.hour == hour.hour);
    // Colours of a minute and of ten.
    let class = |seconds: f64| {
        if seconds < 60.0 {
            "s1"
        } else if seconds < 600.0 {
            "s2"
        } else {
            "s4"
        }
    };
    html! {
        svg.chart viewBox="0 0 720 18" role="img" aria-label={ "Time from a change in " (source) " to its index, by hour" } {
            @for (place, hour) in hours.iter().enumerate() {
                rect class=(of(hour).map_or("s0", |lag| class(lag.seconds))) x=(place * 30 + 1) y="1" width="28" height="15" rx="3" {
                    title { (hour.hour.format("%H:00")) ": " @match of(hour) { Some(lag) => { (number(lag.documents)) " documents, median " (length(lag.seconds)) } None => "no changes" } }
                }
            }
        }
    }
}

/// The table behind the strips.
pub(super) fn freshness_table(lags: &[LagHour]) -> Markup {
    html! {
        div.legend { (key("s1", "under a minute")) (key("s2", "under ten minutes")) (key("s4", "longer")) (key("s0", "no changes")) }
        details {
            summary { "As a table" }
            table {
                thead { tr { th { "source" } th { "hour (UTC)" } th.number { "documents" } th.number { "median" } } }
                tbody {
                    @for lag in lags {
                        tr { td { (lag.source) } td { (lag.hour.format("%F %H:00")) } td.number { (number(lag.documents)) } td.number { (length(lag.seconds)) } }
                    }
                }
            }
        }
    }
}

/// How much of a whole there is.
#[expect(clippy::cast_precision_loss, reason = "a bar")]
pub(super) fn progress(label: &str, part: i64, whole: i64) -> Markup {
    let share = if whole > 0 { (part as f64 / whole as f64).clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg.progress viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={ (label) ": " (format!("{:.0}", share * 100.0)) " %" } {
            rect.s0 width="100" height="4" {}
            rect.s1 width=(shown(share * 100.0)) height="4" {}
        }
    }
}

fn key(class: &str, name: &str) -> Markup {
    html! { span { svg width="10" height="10" aria-hidden="true" { rect class=(class) width="10" height="10" rx="2" {} } " " (name) } }
}
