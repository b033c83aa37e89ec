//! Shared by all benchmarks: options, a private server, and the printing of results.
//!
//! Machines differ and are shared, so what counts is the ratio of two figures that were measured in turns.

use std::{io::Write, path::PathBuf};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::json;
use shopkeeper::demo::{execute, folder::DataFolder, packages, postgres::Postgres};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The options of every benchmark.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Use the PostgreSQL of this folder
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Common {
    /// Starts a private server with its default settings, except for these.
    pub(crate) async fn start_server(&self, settings: &[(&str, &str)]) -> anyhow::Result<Postgres> {
        if cfg!(debug_assertions) {
            note("this is a debug build: the figures are lower than those of `make bench`");
        }
        let binaries = match &self.pg_bin {
            Some(binaries) => binaries.clone(),
            None => packages::postgres_binaries().await?,
        };
        Postgres::start(&binaries, DataFolder::temporary()?, settings).await
    }

    /// Prints the results: a table, or JSON if that was asked for.
    pub(crate) fn print(&self, results: &[Comparison]) -> anyhow::Result<()> {
        if self.json {
            writeln!(std::io::stdout(), "{}", json!({ "results": results }))?;
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["name", "value", "unit", "compared to", "its value", "ratio"]);
        table.add_rows(results.iter().map(|result| {
            let Comparison { name, value, unit, compared_to, compared_value, ratio } = result;
            let (value, compared_value) = (format!("{value:.1}"), format!("{compared_value:.1}"));
            [*name, &value, unit, compared_to, &compared_value, &format!("{ratio:.2}")].map(str::to_owned)
        }));
        Ok(writeln!(std::io::stdout(), "{}", table.trim_fmt())?)
    }
}

/// A figure of ours beside another one that was measured in the same run.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    name: &'static str,
    value: f64,
    unit: &'static str,
    compared_to: &'static str,
    compared_value: f64,
    ratio: f64,
}

impl Comparison {
    /// Compares the value that this share of our samples does not exceed with that of other samples.
    pub(crate) fn at(
        share: f64,
        (name, unit): (&'static str, &'static str),
        ours: &[f64],
        compared_to: &'static str,
        theirs: &[f64],
    ) -> Self {
        let (value, compared_value) = (percentile(ours, share), percentile(theirs, share));
        Self { name, value, unit, compared_to, compared_value, ratio: value / compared_value }
    }
}

/// Creates a database on a private server and returns its URL.
pub(crate) async fn create_database(server: &Postgres, name: &str) -> anyhow::Result<String> {
    execute(&server.url("postgres"), &format!("create database {name}")).await?;
    Ok(server.url(name))
}

/// Writes a line of progress to stderr.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Nobody needs to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Returns the value that this share of the values does not exceed; NaN if there are no values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
