//! `--min`: figures below which a run fails.

use std::str::FromStr;

use anyhow::bail;
use serde_json::json;

use crate::evaluation::metrics::Report;

#[derive(Clone, Debug)]
pub(in crate::cli) struct Minimum {
    figure: String,
    value: f64,
}

impl FromStr for Minimum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (figure, value) = text.split_once('=').ok_or("is not FIGURE=VALUE")?;
        let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        let known = json!(Report::default());
        if known.get(figure).is_none() || figure == "grounding_failures" || figure == "queries" {
            return Err(format!("there is no share called `{figure}`"));
        }
        Ok(Self { figure: figure.to_owned(), value })
    }
}

pub(super) fn check_minimums(minimums: &[Minimum], report: &Report) -> anyhow::Result<()> {
    let figures = json!(report);
    let below = minimums.iter().filter_map(|Minimum { figure, value }| {
        let measured = figures[figure].as_f64();
        if measured.is_some_and(|measured| measured >= *value) {
            return None;
        }
        let measured = measured.map_or("not measured".to_owned(), |measured| format!("{measured:.3}"));
        Some(format!("{figure} is {measured}, at least {value} is wanted"))
    });
    let below: Vec<_> = below.collect();
    if below.is_empty() { Ok(()) } else { bail!("{}", below.join("\n  ")) }
}
