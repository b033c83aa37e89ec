//! Parts of pages: times, states, texts of customers, forms, commands, the links between pages of a list.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    Pages,
    access::{Role, Visitor},
};
use crate::{
    answering::object::{AnswerOutcome, AnswerStatus},
    catalogue::DocumentId,
    clock,
    store::{documents::DocumentState, jobs::JobState},
};

/// Rows of a list on one page.
pub(super) const ROWS: u32 = 50;

/// A time, as how long ago it was or how far off it is.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    let exact = at.format("%F %T UTC").to_string();
    html! { time datetime=(at.to_rfc3339()) title=(exact) { (ago(at, clock::now())) } }
}

pub(super) fn time_or_never(at: Option<DateTime<Utc>>) -> Markup {
    html! { @match at { Some(at) => (time(at)), None => span.hint { "never" } } }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let length = seconds_short(seconds.unsigned_abs());
    match seconds {
        -1..=1 => "now".to_owned(),
        2.. => format!("{length} ago"),
        _ => format!("in {length}"),
    }
}

/// As in `4 min`.
pub(super) fn seconds_short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// As in `12 ms`, `4.1 s`, `3 min`.
pub(super) fn length(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is above zero, and shown in minutes"
    )]
    let whole = seconds as u64;
    seconds_short(whole)
}

/// A number in groups of three digits.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "−".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number that was counted up to a limit.
pub(super) fn up_to(counted: i64, most: i64) -> String {
    if counted >= most { format!("≥ {}", number(most)) } else { number(counted) }
}

/// Dollars.
pub(super) fn usd(usd: f64) -> String {
    if usd != 0.0 && usd.abs() < 1.0 { format!("${usd:.4}") } else { format!("${usd:.2}") }
}

/// The beginning of a text.
pub(super) fn clip(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A text that a customer, a model or a payload holds: in its own direction, and only for those who may read it.
pub(super) fn private(visitor: &Visitor, text: &str, most: usize) -> Markup {
    if visitor.may(Role::Operator) {
        return html! { bdi { (clip(text, most)) } };
    }
    let length = text.chars().count();
    html! { span.masked title="a token with console:operate shows it" { "•••••• (" (length) " characters)" } }
}

/// A text of the catalogue.
pub(super) fn text(text: &str, most: usize) -> Markup {
    html! { bdi { (clip(text, most)) } }
}

/// The page of a document.
pub(super) fn document_path(id: &DocumentId) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("source", &id.source)
        .append_pair("key", &id.key)
        .finish();
    format!("/document?{query}")
}

/// A path with parameters; those that are `None` are left out.
pub(super) fn path(base: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// A state with its colour.
pub(super) fn tag(word: &str, class: &str) -> Markup {
    html! { span class={ "tag " (class) } { (word.replace('_', " ")) } }
}

pub(super) fn job_state(state: JobState) -> Markup {
    let class = match state {
        JobState::Dead => "bad",
        JobState::Running | JobState::Done => "good",
        JobState::Paused | JobState::Cancelled => "warn",
        JobState::Ready | JobState::Scheduled => "",
    };
    tag(state.into(), class)
}

pub(super) fn document_state(state: DocumentState) -> Markup {
    let class = match state {
        DocumentState::Fresh => "good",
        DocumentState::Stale => "warn",
        DocumentState::Failed => "bad",
    };
    tag(state.into(), class)
}

pub(super) fn outcome(status: AnswerStatus, outcome: Option<AnswerOutcome>) -> Markup {
    let class = match (status, outcome) {
        (AnswerStatus::Failed | AnswerStatus::Expired, _) => "bad",
        (_, Some(AnswerOutcome::Answered | AnswerOutcome::Human)) => "good",
        (AnswerStatus::Queued | AnswerStatus::InProgress, _) => "",
        _ => "warn",
    };
    html! {
        @match (status, outcome) {
            (AnswerStatus::Completed, Some(outcome)) => (tag(outcome.into(), class)),
            (status, _) => (tag(status.into(), class)),
        }
    }
}

/// What each form sends back.
pub(super) fn form_token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="form" value=(visitor.form_token); }
}

/// A form that is one button.
pub(super) struct Action<'a> {
    pub(super) path: &'a str,
    pub(super) label: &'a str,
    pub(super) class: &'a str,
    pub(super) least: Role,
    pub(super) fields: &'a [(&'a str, &'a str)],
}

impl Action<'_> {
    /// The form, for those who may send it.
    pub(super) fn button(&self, visitor: &Visitor) -> Markup {
        html! {
            @if visitor.may(self.least) {
                form.inline method="post" action=(self.path) {
                    (form_token(visitor))
                    @for (name, value) in self.fields { input type="hidden" name=(name) value=(value); }
                    button class=(self.class) type="submit" { (self.label) }
                }
            }
        }
    }
}

/// An action that cannot be undone: in production, the name of the instance is typed first.
pub(super) fn final_action(pages: &Pages, visitor: &Visitor, action: &Action<'_>) -> Markup {
    if !pages.look.is_production || !visitor.may(action.least) {
        return action.button(visitor);
    }
    html! {
        details {
            summary { (action.label) }
            form.stack method="post" action=(action.path) {
                (form_token(visitor))
                @for (name, value) in action.fields { input type="hidden" name=(name) value=(value); }
                (confirmation(Some(&pages.look.name)))
                div { button class=(action.class) type="submit" { (action.label) } }
            }
        }
    }
}

/// An action as a request to the API.
pub(super) fn request(method: &str, path: &str, body: &str) -> Markup {
    html! {
        details.command {
            summary { "As a command" }
            code {
                "curl -X " (method) " \"$SHOPKEEPER_URL" (path) "\" -H \"Authorization: Bearer $SHOPKEEPER_TOKEN\""
                @if !body.is_empty() { " -H 'content-type: application/json' -d " (quoted(body)) }
            }
        }
    }
}

/// Actions as calls of our functions in psql.
pub(super) fn statements(calls: &[String]) -> Markup {
    html! { details.command { summary { "As SQL" } @for call in calls { div { code { (call) } } } } }
}

/// An action as a command line.
pub(super) fn command(line: &str) -> Markup {
    html! { details.command { summary { "As a command" } code { "shopkeeper " (line) } } }
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", clip(text, 300).replace('\'', "'\\''"))
}

/// A figure with its name.
pub(super) fn figure(name: &str, value: &Markup, note: &Markup) -> Markup {
    html! { div.figure { div.name { (name) } div.value { (value) } div.note { (note) } } }
}

/// The link to the rest of a list.
pub(super) fn more(path: Option<&str>, is_first: bool, first: &str) -> Markup {
    html! {
        nav.more aria-label="More rows" {
            @if !is_first { a href=(first) { "← first page" } }
            @if let Some(path) = path { a href=(path) rel="next" { "next page →" } }
        }
    }
}

/// Says that a list is not whole because its statement was stopped.
pub(super) fn slow(is_slow: bool) -> Markup {
    html! {
        @if is_slow {
            p.banner.warn role="status" {
                "This search was stopped after a second, so that it does not slow down the database. Narrow the filter: \
                 a source, a kind, or a shorter time. " (again())
            }
        }
    }
}

/// The link from a page to itself.
pub(super) fn again() -> Markup {
    html! { a href="" { "Try again" } }
}

/// Says what an empty list means.
pub(super) fn empty(says: &str) -> Markup {
    html! { p.empty { (says) } }
}

/// What must be typed before something that cannot be undone.
pub(super) fn confirmation(asked: Option<&str>) -> Markup {
    html! {
        @if let Some(asked) = asked {
            label { "Type " b { (asked) } " to confirm" input name="confirm" autocomplete="off" required; }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_are_short() {
        let now = "2026-11-29T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        let at = |seconds: i64| ago(now - chrono::TimeDelta::seconds(seconds), now);
        assert_eq!(
            [at(0), at(59), at(61), at(7300), at(-90)],
            ["now", "59 s ago", "1 min ago", "2 h ago", "in 1 min"]
        );
        assert_eq!(
            [number(7), number(1_234_567), number(-1000)],
            ["7", "1\u{202f}234\u{202f}567", "−1\u{202f}000"]
        );
        assert_eq!([up_to(10_001, 10_000), up_to(3, 10)], ["≥ 10\u{202f}000", "3"]);
        assert_eq!([length(0.012), length(4.12), length(200.0)], ["12 ms", "4.1 s", "3 min"]);
        assert_eq!([usd(0.0), usd(0.0123), usd(12.5)], ["$0.00", "$0.0123", "$12.50"]);
        assert_eq!(
            [quoted("a-1/b"), quoted("$(x) it's"), quoted("-x")],
            ["a-1/b", "'$(x) it'\\''s'", "'-x'"]
        );
        assert_eq!((clip("äöü", 2), clip("äö", 2)), ("äö…".into(), "äö".into()));
    }
}
