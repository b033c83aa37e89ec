//! How results are written: lines on stdout, complaints on stderr.

use std::{fmt::Display, io::Write};

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;

/// Writes a line to stdout. A reader that went away (`| head`) is no failure of ours.
pub(super) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line to stderr: what goes on, beside the result.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes one JSON object on one line.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Writes a table with a header; numbers are written by the caller.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table.add_rows(rows);
    line(table.trim_fmt());
}

/// Says on stderr why a verb failed, with what caused it.
pub(super) fn complain(error: &anyhow::Error) {
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
    let _ = writeln!(std::io::stderr(), "error: {text}");
}

/// A length of time as people say it: `3m 20s`, or a dash.
pub(super) fn ago(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) else {
        return "-".to_owned();
    };
    humantime::format_duration(std::time::Duration::from_secs_f64(seconds.trunc())).to_string()
}
