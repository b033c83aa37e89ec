//! The verbs: what the help lists, and the function that runs each.

use std::path::Path;

use clap::Subcommand;

#[cfg(feature = "embedded")]
use super::demo;
use super::{
    ask, config, doctor, eval, index, jobs, manual, migrate, models, pause, plan, queue, refresh, run,
    schedule, search, session, source, status, sync, token, trigger,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Try everything on a private PostgreSQL with a sample shop: nothing to install, no key
    #[cfg(feature = "embedded")]
    Demo(demo::Demo),
    /// Run the daemon: sync the sources, answer questions, serve the API
    Run(run::Run),
    /// Update the database schema, or show its state
    Migrate(migrate::Migrate),
    /// Check or show the settings, or write a commented file to start from
    #[command(subcommand)]
    Config(config::Config),
    /// Describe a shop, and show what becomes of its rows
    #[command(subcommand)]
    Source(source::Source),
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
    /// List what is known of models, check the configured servers, or serve offline models
    #[command(subcommand)]
    Models(models::Models),
}

impl Verb {
    pub(super) async fn run(self, config: &Path) -> anyhow::Result<()> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Demo(demo) => demo::demo(demo).await,
            Self::Models(verb) => models::models(verb, config).await,
            Self::Config(verb) => config::config(verb, config).await,
            Self::Run(run) => run::run(run, config).await,
            Self::Migrate(migrate) => migrate::migrate(migrate, config).await,
            Self::Source(verb) => source::source(verb, config).await,
            Self::Sync(sync) => sync::sync(sync, config).await,
            Self::Plan(plan) => plan::plan(plan, config).await,
            Self::Refresh(refresh) => refresh::refresh(refresh, config).await,
            Self::Doctor(doctor) => doctor::doctor(doctor, config).await,
            Self::Index(index) => index::index(index, config).await,
            Self::Trigger(trigger) => trigger::trigger(trigger, config).await,
            Self::Search(search) => search::search(search, config).await,
            Self::Ask(ask) => ask::ask(ask, config).await,
            Self::Session(session) => session::session(session, config).await,
            Self::Token(token) => token::token(token, config).await,
            Self::Pause => pause::pause(true, config).await,
            Self::Resume => pause::pause(false, config).await,
            Self::Eval(eval) => eval::eval(eval, config).await,
            Self::Jobs(jobs) => jobs::jobs(jobs, config).await,
            Self::Queue(queue) => queue::queue(queue, config).await,
            Self::Schedule(schedule) => schedule::schedule(schedule, config).await,
            Self::Status(status) => status::status(status, config).await,
            Self::Completions(completions) => manual::completions(&completions),
            Self::Man(man) => manual::man(&man),
        }
    }
}
