//! The command line: one file per verb.
//!
//! Results go to stdout, logs and progress to stderr. Exit codes: 0 fine, 1 failed, 2 usage or configuration, 3 not
//! reachable (database, model), 4 a guard refused.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
};

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use strum::VariantNames;

use crate::{
    catalogue::CatalogueError,
    config::{Config, ConfigError, LogFormat},
    daemon::{self, Parts, plan::PlanError},
    job::JobError,
    model::ModelError,
    store::{Store, StoreError, jobs::WaitsFor},
    sync::report::SyncError,
    telemetry,
};

mod ask;
mod config;
#[cfg(feature = "embedded")]
mod demo;
mod doctor;
mod eval;
mod index;
mod jobs;
mod manual;
mod migrate;
#[cfg(feature = "embedded")]
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
mod status;
mod sync;
mod systemd;
mod token;
mod trigger;
mod waiting;

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

#[derive(Debug, Subcommand)]
enum Verb {
    /// Try everything on a private PostgreSQL with a sample shop: nothing to install, no key
    #[cfg(feature = "embedded")]
    Demo(demo::Demo),
    /// Run the daemon: sync the sources, answer questions, serve the API
    Run(run::Run),
    /// Update the database schema, or show its state
    Migrate(migrate::Migrate),
    /// Check or show the settings, or write a commented file to start from
    Config(config::ConfigVerb),
    /// Compare the sources with the index and enqueue the differences
    Sync(sync::Sync),
    /// Enqueue one document to be read and indexed again
    Refresh(refresh::Refresh),
    /// Check the installation, and suggest remedies
    Doctor(doctor::Doctor),
    /// List index versions, fill one for another embedding model, and switch between them
    #[command(subcommand)]
    Index(index::Index),
    /// Install triggers in the shop's database that report changes at once
    Trigger(trigger::Trigger),
    /// Show what a sync would do and cost, without changing anything
    Plan(plan::Plan),
    /// Find the passages nearest to a text
    Search(search::Search),
    /// Ask a question and wait for the answer
    Ask(ask::Ask),
    /// Show or erase a conversation
    #[command(subcommand)]
    Session(session::Session),
    /// Create, list and revoke API tokens
    #[command(subcommand)]
    Token(token::Token),
    /// Stop all requests to models: questions get the fallback text, documents wait
    Pause,
    /// Allow requests to models again
    Resume,
    /// Measure answers on a golden set, or calibrate when to ask a human
    #[command(subcommand)]
    Eval(eval::Eval),
    /// Show how fresh the index is and what is queued
    Status(status::Status),
    /// List, retry, cancel and discard jobs
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// List the kinds of jobs, and pause or resume them in all daemons
    #[command(subcommand)]
    Queue(queue::Queue),
    /// List, run, pause and resume schedules
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    /// Print shell completions
    Completions(manual::Completions),
    /// Write the manual pages
    Man(manual::Man),
    /// Serve offline models with OpenAI's protocol on loopback
    #[cfg(feature = "embedded")]
    Models(models::Models),
}

/// Runs the verb and returns the exit code.
pub async fn main(arguments: Arguments) -> ExitCode {
    let config = arguments.config.as_path();
    let result = match arguments.verb {
        #[cfg(feature = "embedded")]
        Verb::Demo(demo) => demo::demo(demo).await,
        #[cfg(feature = "embedded")]
        Verb::Models(models) => models::models(models).await,
        Verb::Config(verb) => config::config(verb, config),
        Verb::Run(run) => run::run(run, config).await,
        Verb::Migrate(migrate) => migrate::migrate(migrate, config).await,
        Verb::Sync(sync) => sync::sync(sync, config).await,
        Verb::Plan(plan) => plan::plan(plan, config).await,
        Verb::Refresh(refresh) => refresh::refresh(refresh, config).await,
        Verb::Doctor(doctor) => doctor::doctor(doctor, config).await,
        Verb::Index(index) => index::index(index, config).await,
        Verb::Trigger(trigger) => trigger::trigger(trigger, config).await,
        Verb::Search(search) => search::search(search, config).await,
        Verb::Ask(ask) => ask::ask(ask, config).await,
        Verb::Session(session) => session::session(session, config).await,
        Verb::Token(token) => token::token(token, config).await,
        Verb::Pause => pause::pause(true, config).await,
        Verb::Resume => pause::pause(false, config).await,
        Verb::Eval(eval) => eval::eval(eval, config).await,
        Verb::Jobs(jobs) => jobs::jobs(jobs, config).await,
        Verb::Queue(queue) => queue::queue(queue, config).await,
        Verb::Schedule(schedule) => schedule::schedule(schedule, config).await,
        Verb::Status(status) => status::status(status, config).await,
        Verb::Completions(completions) => {
            manual::completions(&completions);
            Ok(())
        }
        Verb::Man(man) => manual::man(&man),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
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

/// The argument of a verb about one kind of job or schedule.
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

/// Loads the settings of a verb that only reports: its log is kept to warnings.
fn settings(path: &Path) -> anyhow::Result<Config> {
    let config = Config::load(path, &std::env::vars().collect())?;
    telemetry::start("warn", log_format(&config), None);
    Ok(config)
}

/// Loads the settings and opens the database.
async fn open(path: &Path) -> anyhow::Result<(Config, Store)> {
    let config = settings(path)?;
    let store = Store::open(&config.database).await?;
    Ok((config, store))
}

/// Loads the settings, opens the database and assembles the parts of a daemon.
async fn open_parts(path: &Path) -> anyhow::Result<(Config, Store, Parts)> {
    let (config, store) = open(path).await?;
    let parts = daemon::assemble(&config, &store).await?;
    Ok((config, store, parts))
}

fn log_format(config: &Config) -> telemetry::Format {
    match config.telemetry.log_format {
        LogFormat::Pretty => telemetry::Format::Pretty,
        LogFormat::Auto if std::io::stderr().is_terminal() => telemetry::Format::Pretty,
        LogFormat::Journald => telemetry::Format::Journald,
        LogFormat::Auto | LogFormat::Json => telemetry::Format::Json,
    }
}

/// The source that was named, or all.
fn selected_sources(config: &Config, name: Option<String>) -> Vec<String> {
    name.map_or_else(|| config.source_names(), |name| vec![name])
}

fn require_source(config: &Config, name: &str) -> Result<(), Exit> {
    if config.has_source(name) {
        return Ok(());
    }
    let known = selected_sources(config, None).join(", ");
    Err(Exit::usage(format!("the settings have no source `{name}`; there are {known}")))
}

/// An error with its own exit code; any other error without a known cause ends with `FAILED`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Exit {
    code: u8,
    message: String,
}

impl Exit {
    fn usage(message: impl Into<String>) -> Self {
        Self { code: CONFIGURATION, message: message.into() }
    }
}

const FAILED: u8 = 1;
const CONFIGURATION: u8 = 2;
const UNREACHABLE: u8 = 3;
const REFUSED: u8 = 4;

/// Finds the cause that decides how the process ends.
fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILED)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(Exit { code, .. }) = cause.downcast_ref() {
        return Some(*code);
    }
    if cause.is::<ConfigError>() {
        return Some(CONFIGURATION);
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return matches!(error, StoreError::Unreachable(_)).then_some(UNREACHABLE);
    }
    if let Some(error) = cause.downcast_ref::<ModelError>() {
        let is_down = matches!(error, ModelError::Unavailable { .. } | ModelError::Refused { .. });
        return is_down.then_some(UNREACHABLE);
    }
    if let Some(error) = cause.downcast_ref::<CatalogueError>() {
        return Some(match error {
            CatalogueError::Unreachable { .. } => UNREACHABLE,
            CatalogueError::Broken { .. } => FAILED,
            CatalogueError::Misfit { .. } => CONFIGURATION,
        });
    }
    if let Some(error) = cause.downcast_ref::<JobError>() {
        return match error {
            // A dependency does not answer now.
            JobError::Snooze { .. } | JobError::Withheld { by: WaitsFor::RateLimit(_), .. } => {
                Some(UNREACHABLE)
            }
            JobError::Withheld { .. } => Some(REFUSED),
            JobError::Retry(_) | JobError::Dead(_) | JobError::Rejected { .. } | JobError::LeaseLost => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<PlanError>() {
        return match error {
            PlanError::Sync(error) => code_of(error),
            PlanError::Read(error) => code_of(error),
        };
    }
    match cause.downcast_ref::<SyncError>()? {
        SyncError::MassDelete { .. } => Some(REFUSED),
        SyncError::Unknown(_) => Some(CONFIGURATION),
        SyncError::Busy(_) => Some(FAILED),
        SyncError::Catalogue(error) => code_of(error),
        SyncError::Store(error) => code_of(error),
    }
}
