//! `bench`: our figures beside others', measured in one run.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output;
use crate::{
    bench::{self, Comparison},
    telemetry,
};

/// Measure this program beside others that do the same
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Enqueue, drain, and the time from enqueue to start, of jobs that do nothing
    Queue(Queue),
    /// Index a shop, compare one that did not change, and update every price, beside PostgreSQL by itself
    Sync(Sync),
    /// Answer questions from a large index, beside plain SQL and what is to be reached
    Answers(Answers),
}

#[derive(Debug, Args)]
struct Sync {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure this alone
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(bench::sync::NAMES))]
    only: Option<String>,
    /// Products that are embedded
    #[arg(long, value_name = "N", default_value = "100000")]
    products: u32,
    /// Products that are compared
    #[arg(long, value_name = "N", default_value = "1000000")]
    rows: u32,
    /// Numbers in a vector
    #[arg(long, value_name = "N", default_value = "1536")]
    dimensions: u16,
    /// Use the PostgreSQL of this folder
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
    /// Rounds; the figures are their medians
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: u32,
}

#[derive(Debug, Args)]
struct Queue {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Jobs that are enqueued in bulk and drained
    #[arg(long, value_name = "N", default_value = "50000")]
    jobs: u64,
    /// Use the PostgreSQL of this folder. apalis-postgres needs one with the extensions pgcrypto and hstore
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
    /// Rounds; the figures are their medians
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: u32,
}

#[derive(Debug, Args)]
struct Answers {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Chunks in the index
    #[arg(long, value_name = "N", default_value = "100000")]
    chunks: u32,
    /// Numbers in a vector
    #[arg(long, value_name = "N", default_value = "1536")]
    dimensions: u16,
    /// Questions of all sessions together
    #[arg(long, value_name = "N", default_value = "5000")]
    questions: u32,
    /// Sessions that ask at once
    #[arg(long, value_name = "N", default_value = "50")]
    sessions: u32,
    /// Use the PostgreSQL of this folder
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
}

pub(super) async fn bench(bench: Bench) -> anyhow::Result<()> {
    if !matches!(bench.what, What::Answers(_)) {
        telemetry::start("warn", telemetry::Format::Pretty, None);
    }
    if cfg!(debug_assertions) {
        output::note("this is a debug build: the figures are lower than those of `make bench`");
    }
    match bench.what {
        What::Queue(arguments) => queue(arguments).await,
        What::Answers(arguments) => {
            let effort = bench::answers::Effort {
                chunks: arguments.chunks.max(1),
                dimensions: arguments.dimensions.max(1),
                questions: arguments.questions.max(1),
                sessions: arguments.sessions.max(1),
            };
            show(
                &bench::answers::answers(effort, arguments.pg_bin.as_deref(), output::note).await?,
                arguments.json,
            )
        }
        What::Sync(arguments) => {
            let effort = bench::sync::Effort {
                products: arguments.products.max(1),
                rows: arguments.rows.max(1),
                dimensions: arguments.dimensions.max(1),
                rounds: arguments.rounds.max(1),
            };
            let (only, pg_bin) = (arguments.only.as_deref(), arguments.pg_bin.as_deref());
            show(&bench::sync::sync(effort, only, pg_bin, output::note).await?, arguments.json)
        }
    }
}

async fn queue(arguments: Queue) -> anyhow::Result<()> {
    if !cfg!(feature = "bench-peers") {
        output::note("the peers are left out: build with the feature `bench-peers`, as `make bench` does");
    }
    let effort = bench::queue::Effort {
        singles: (arguments.jobs / 20).max(1),
        jobs: arguments.jobs.max(1),
        starts: 300,
        rounds: arguments.rounds.max(1),
    };
    let results = bench::queue::queue(effort, arguments.pg_bin.as_deref(), output::note).await?;
    show(&results, arguments.json)
}

fn show(results: &[Comparison], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(&json!({ "results": results }));
    }
    output::table(
        &["name", "value", "unit", "compared to", "its value", "ratio"],
        results.iter().map(|result| {
            vec![
                result.name.to_owned(),
                format!("{:.1}", result.value),
                result.unit.to_owned(),
                result.compared_to.to_owned(),
                format!("{:.1}", result.compared_value),
                format!("{:.2}", result.ratio),
            ]
        }),
    );
    Ok(())
}
