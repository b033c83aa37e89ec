//! Checks of requests.

use std::ops::RangeInclusive;

use chrono::Datelike;
use serde_json::{Map, Value, json};

use super::{
    Api,
    problem::{Code, Problem},
};
use crate::{answering::Question, catalogue::filter::Filter};

/// The longest name of a session, customer or request, in bytes.
const MAX_NAME: usize = 255;
/// The largest `cancel_after_s`: a year.
const MAX_SECONDS: f64 = 31_536_000.0;

/// Checks a question, apart from the settings.
pub(super) fn check(request: &Question) -> Result<(), Problem> {
    check_sentence("question", &request.question)?;
    let names = [
        ("session_id", &request.session_id),
        ("customer_id", &request.customer_id),
        ("locale", &request.locale),
    ];
    for (field, name) in names {
        name.as_ref().map_or(Ok(()), |name| check_name(field, name))?;
    }
    for source in request.sources.iter().flatten() {
        check_text("sources", source)?;
    }
    request.webhook.as_ref().map_or(Ok(()), |webhook| check_text("webhook", webhook))?;
    for message in request.history.iter().flatten() {
        check_text("history", &message.content)?;
    }
    let is_valid = |seconds: &f64| *seconds > 0.0 && *seconds < MAX_SECONDS;
    if let Some(seconds) = request.cancel_after_s.filter(|seconds| !is_valid(seconds)) {
        let detail = format!("cancel_after_s must be above 0 and below {MAX_SECONDS}, not {seconds}");
        return Err(Problem::invalid(detail));
    }
    if let Some(at) = request.start_before.filter(|at| !(1970..=9999).contains(&at.year())) {
        return Err(Problem::invalid(format!("start_before must be from 1970 to 9999, not {at}")));
    }
    check_object("metadata", request.metadata.as_ref())?;
    check_filter(request.filter.as_ref()).map(drop)
}

pub(super) fn check_filter(filter: Option<&Map<String, Value>>) -> Result<Filter, Problem> {
    check_object("filter", filter)?;
    let parsed = filter.map(Filter::parse).transpose();
    parsed.map(Option::unwrap_or_default).map_err(|error| Problem::invalid(error.to_string()))
}

/// Checks a new question by the settings. One that was accepted before they changed stays accepted.
pub(super) fn check_settings(api: &Api, request: &Question) -> Result<(), Problem> {
    check_length(api, "question", &request.question)?;
    check_sources(api, request.sources.as_deref())?;
    if let Some(name) = request.webhook.as_ref().filter(|name| !api.webhooks.contains(name)) {
        let known = json!(api.webhooks.as_ref());
        let detail = format!("webhook: there is no {name:?} in the settings; there are {known}");
        return Err(Problem::invalid(detail));
    }
    Ok(())
}

pub(super) fn check_question(api: &Api, field: &str, text: &str) -> Result<(), Problem> {
    check_length(api, field, text)?;
    check_sentence(field, text)
}

fn check_length(api: &Api, field: &str, text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    let most = api.max_question_chars;
    if length > most {
        let detail = format!("{field} has {length} characters; the most is {most}");
        return Err(Problem::new(Code::QuestionTooLong, detail));
    }
    Ok(())
}

fn check_sentence(field: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::invalid(format!("{field} is empty")));
    }
    check_text(field, text)
}

pub(super) fn check_sources(api: &Api, sources: Option<&[String]>) -> Result<(), Problem> {
    let known = &api.sources;
    if let Some(source) = sources.iter().copied().flatten().find(|source| !known.contains(source)) {
        let known = json!(known.as_ref());
        return Err(Problem::invalid(format!("sources: there is no source {source:?}; there are {known}")));
    }
    if sources.is_some_and(<[_]>::is_empty) {
        return Err(Problem::invalid("sources is empty: leave it out to search them all"));
    }
    Ok(())
}

/// PostgreSQL cannot store the character NUL.
pub(super) fn check_text(field: &str, text: &str) -> Result<(), Problem> {
    if text.contains('\0') {
        return Err(Problem::invalid(format!("{field} holds a NUL character")));
    }
    Ok(())
}

/// Checks every text in an object.
pub(super) fn check_object(field: &str, object: Option<&Map<String, Value>>) -> Result<(), Problem> {
    object.into_iter().flatten().try_for_each(|(key, value)| {
        check_text(field, key)?;
        check_value(field, value)
    })
}

fn check_value(field: &str, value: &Value) -> Result<(), Problem> {
    match value {
        Value::String(text) => check_text(field, text),
        Value::Array(values) => values.iter().try_for_each(|value| check_value(field, value)),
        Value::Object(object) => check_object(field, Some(object)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

pub(super) fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.len() > MAX_NAME {
        let length = name.len();
        return Err(Problem::invalid(format!("{field} must have 1 to {MAX_NAME} bytes, not {length}")));
    }
    check_text(field, name)
}

pub(super) fn check_range(field: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), Problem> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(Problem::invalid(format!("{field} must be from {least} to {most}, not {value}")))
}
