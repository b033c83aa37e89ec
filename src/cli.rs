//! The command line: one file per verb.
//!
//! Results go to stdout, logs and progress to stderr.

use std::{path::PathBuf, process::ExitCode, str::FromStr};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser};
use strum::VariantNames;

mod ask;
mod config;
#[cfg(feature = "embedded")]
mod demo;
mod doctor;
mod eval;
mod exit;
mod index;
mod jobs;
mod manual;
mod migrate;
mod models;
mod output;
mod pause;
mod plan;
mod queue;
mod refresh;
mod run;
mod schedule;
mod search;
mod session;
mod settings;
mod signal;
mod source;
mod status;
mod sync;
mod systemd;
mod token;
mod trigger;
mod verb;
mod waiting;

use exit::{Exit, REFUSED, UNREACHABLE, exit_code};
use settings::{load, log_format, open, open_parts, require_source, selected_sources, settings};
use verb::Verb;

/// Keeps a shop's embeddings equal to its catalogue, and answers questions from them.
#[derive(Debug, Parser)]
#[command(name = "shopkeeper", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// The settings file
    #[arg(long, global = true, env = "SHOPKEEPER_CONFIG", value_name = "FILE", default_value = "jobs.toml")]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failed, 2 usage or configuration, 3 not reachable \
                          (database, model), 4 a guard refused.";

/// Runs the verb and returns the exit code.
pub async fn main(arguments: Arguments) -> ExitCode {
    let Err(error) = arguments.verb.run(&arguments.config).await else { return ExitCode::SUCCESS };
    output::error(&error);
    ExitCode::from(exit_code(&error))
}

/// A verb's `--json`.
#[derive(Debug, Args)]
struct Format {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The argument of a verb that takes a kind of job or a schedule.
#[derive(Debug, Args)]
struct NameArgument {
    /// The name
    name: String,
}

/// Parses the name of a variant.
fn words<T: VariantNames + FromStr + Clone + Send + Sync + 'static>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::VARIANTS)
        .map(|word| word.parse().ok().expect("the parser allows only these names"))
}
