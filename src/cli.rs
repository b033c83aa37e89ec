//! The command line: one file for each verb.
//!
//! Results go to stdout, logs and progress to stderr. Exit codes: 0 fine, 1 failed, 2 usage or
//! configuration, 3 not reachable (database, model), 4 a guard refused.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    catalogue::CatalogueError,
    config::{Config, ConfigError, LogFormat},
    daemon::plan::PlanError,
    job::JobError,
    model::ModelError,
    store::{StoreError, jobs::WaitsFor},
    sync::reconcile::SyncError,
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
    /// The settings
    #[arg(long, global = true, env = "SHOPKEEPER_CONFIG", value_name = "FILE", default_value = "jobs.toml")]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failed, 2 usage or configuration, 3 not reachable \
                          (database, model), 4 a guard refused.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show it all on a private PostgreSQL with a sample shop: nothing to install, no key
    #[cfg(feature = "embedded")]
    Demo(demo::Demo),
    /// Run the daemon: sync at the start, refresh documents, answer questions, serve the API
    Run(run::Run),
    /// Bring our schema up to date, or look at it
    Migrate(migrate::Migrate),
    /// Check the settings, show them, or write a commented file to start from
    Config(config::ConfigVerb),
    /// Compare the sources with the index and enqueue what differs
    Sync(sync::Sync),
    /// Have one document read again and refreshed
    Refresh(refresh::Refresh),
    /// Look at everything that must be well, and say what to do where it is not
    Doctor(doctor::Doctor),
    /// Show the index versions; have one filled for another embedding model, and swap them
    Index(index::Index),
    /// Note changes in the shop's database at once, by triggers
    Trigger(trigger::Trigger),
    /// Say what a sync would find, embed and cost; changes nothing
    Plan(plan::Plan),
    /// Find the passages nearest to a text
    Search(search::Search),
    /// Ask a question and wait for the answer
    Ask(ask::Ask),
    /// Show a conversation, or forget it
    Session(session::Session),
    /// Make, list and revoke the tokens of services that ask by HTTP
    Token(token::Token),
    /// Stop button: ask nothing of any model; questions get the fallback text, documents wait
    Pause,
    /// Let the stop button go
    Resume,
    /// Measure on a golden set how good answers are, or find the distance above which to ask a human
    Eval(eval::Eval),
    /// Show how fresh the index is and what is queued
    Status(status::Status),
    /// Look at jobs, and decide about those that need it
    Jobs(jobs::Jobs),
    /// Look at the kinds of jobs, and stop or start them in all daemons
    Queue(queue::Queue),
    /// Look at schedules, run or stop them
    Schedule(schedule::Schedule),
    /// Print what a shell needs to complete our commands
    Completions(manual::Completions),
    /// Write the manual pages
    Man(manual::Man),
    /// Serve offline models with OpenAI's protocol on loopback
    #[cfg(feature = "embedded")]
    Models(models::Models),
}

/// Runs the verb and says how the process is to end.
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
        Verb::Doctor(doctor) => doctor::doctor(&doctor, config).await,
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
        Verb::Status(status) => status::status(&status, config).await,
        Verb::Completions(completions) => {
            manual::completions(&completions);
            Ok(())
        }
        Verb::Man(man) => manual::man(&man),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    output::complain(&error);
    ExitCode::from(exit_code(&error))
}

/// Loads the settings of a verb that only reports: its log is kept to warnings.
fn settings(path: &Path) -> anyhow::Result<Config> {
    let config = Config::load(path, &std::env::vars().collect())?;
    telemetry::start("warn", log_format(&config), None);
    Ok(config)
}

fn log_format(config: &Config) -> telemetry::Format {
    match config.telemetry.log_format {
        LogFormat::Pretty => telemetry::Format::Pretty,
        LogFormat::Auto if std::io::stderr().is_terminal() => telemetry::Format::Pretty,
        LogFormat::Journald => telemetry::Format::Journald,
        LogFormat::Auto | LogFormat::Json => telemetry::Format::Json,
    }
}

/// A verb ended with this code after it said why.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Exit {
    code: u8,
    message: String,
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
    if let Some(ended) = cause.downcast_ref::<Exit>() {
        return Some(ended.code);
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
            // What a job would wait for does not answer now.
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
