//! Output: lines, JSON and tables on stdout, notes and errors on stderr.

use std::{fmt::Display, io::Write, time::Duration};

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::{Value, json};

use crate::catalogue::SetAsideRow;

/// Writes a line to stdout. A closed pipe (`| head`) is not an error.
pub(super) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(super) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Writes rows as one JSON object under a name, or as a table.
pub(super) fn list(is_json: bool, name: &str, rows: &[impl Serialize], columns: &str) -> anyhow::Result<()> {
    if is_json { json(&json!({ name: rows })) } else { rows_table(rows, columns) }
}

/// Writes a table of rows. `columns` lists fields as in SQL: `source, oldest_stale_seconds as oldest stale`.
pub(super) fn rows_table(rows: &[impl Serialize], columns: &str) -> anyhow::Result<()> {
    let columns = columns.split(", ").map(|column| column.split_once(" as ").unwrap_or((column, column)));
    let columns: Vec<_> = columns.collect();
    let header: Vec<_> = columns.iter().map(|(_, header)| *header).collect();
    let rows = rows.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    table(
        &header,
        rows.iter().map(|row| columns.iter().map(|(field, _)| cell(field, &row[field])).collect()),
    );
    Ok(())
}

/// Formats a field by its type and the unit in its name.
fn cell(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
        Value::Number(number) if field.ends_with("_seconds") => duration(number.as_f64()),
        Value::Number(number) if field.ends_with("_usd") => {
            format!("{:.4}", number.as_f64().unwrap_or(f64::NAN))
        }
        Value::Number(number) => number.to_string(),
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(at) if field.ends_with("_at") => time(at.to_utc()),
            _ => text.lines().next().unwrap_or_default().to_owned(),
        },
        Value::Array(values) => values.iter().map(|value| cell("", value)).collect::<Vec<_>>().join(" "),
        Value::Object(_) => value.to_string(),
    }
}

pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table.add_rows(rows);
    line(table.trim_fmt());
}

/// Rows shown of those that were set aside.
const SET_ASIDE: usize = 5;

/// Writes how many rows of a source were set aside, and why the first ones were.
pub(super) fn set_aside<'a>(
    source: &str,
    count: impl Into<i128>,
    rows: impl IntoIterator<Item = &'a SetAsideRow>,
) {
    let count = count.into();
    if count > 0 {
        line(format!("{count} rows of {source} were set aside:"));
    }
    for SetAsideRow { row, key, reason } in rows.into_iter().take(SET_ASIDE) {
        let key = key.as_ref().map(|key| format!(" (key {key:?})")).unwrap_or_default();
        line(format!("  row {row}{key}: {reason}"));
    }
}

pub(super) fn error(error: &anyhow::Error) {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Many errors repeat their cause.
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    note(format!("error: {text}"));
}

/// Formats a duration, as in `3m 20s`, or a dash.
fn duration(seconds: Option<f64>) -> String {
    let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.trunc()).ok());
    seconds.map_or("-".to_owned(), |time| humantime::format_duration(time).to_string())
}

pub(super) fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%F %TZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_formatted_by_its_type_and_the_unit_in_its_name() {
        let cells = |field: &str, values: Value| {
            values.as_array().unwrap().iter().map(|value| cell(field, value)).collect::<Vec<_>>()
        };
        let plain = cells("n", json!([null, true, 7, "two\nlines", ["a", "b"]]));
        assert_eq!(plain, ["-", "yes", "7", "two", "a b"]);
        assert_eq!(cells("lag_p50_seconds", json!([200.9, -1.0])), ["3m 20s", "-"]);
        assert_eq!(cells("cost_usd", json!([0.01])), ["0.0100"]);
        assert_eq!(cells("last_at", json!(["2026-01-02T03:04:05.678Z"])), ["2026-01-02 03:04:05Z"]);
    }
}
