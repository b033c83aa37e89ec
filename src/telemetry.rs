//! Logs. They go to stderr, so that results on stdout stay clean.

use std::{io::IsTerminal, time::Duration};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, coloured on a terminal.
    Pretty,
    /// One object a line.
    Json,
}

/// Starts logging. The filter is the operator's; what libraries say is kept down beneath it, and what
/// could quote a question is kept out altogether.
pub fn start(filter: &str, format: Format) {
    let quiet = "warn,async_openai=off,apalis=error,apalis_core=error,sqlx=error,hyper=error";
    let filter = format!("{quiet},shopkeeper={filter}");
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(quiet));
    let terminal = std::io::stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        Format::Pretty => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(terminal).with_target(false))
            .try_init(),
        Format::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
}

/// Notes that a schedule fired.
#[expect(clippy::cast_precision_loss, reason = "a time in seconds")]
pub fn schedule_fired(name: &str, tick: chrono::DateTime<chrono::Utc>) {
    metrics::gauge!("shopkeeper_schedule_last_fired_timestamp_seconds", "schedule" => name.to_owned())
        .set(tick.timestamp() as f64);
}

/// Counts a job that ended.
pub fn job_ended(kind: &'static str, outcome: &'static str, waited: Duration, ran: Duration) {
    metrics::histogram!("shopkeeper_job_wait_seconds", "kind" => kind).record(waited.as_secs_f64());
    metrics::histogram!("shopkeeper_job_duration_seconds", "kind" => kind, "outcome" => outcome)
        .record(ran.as_secs_f64());
    metrics::counter!("shopkeeper_jobs_total", "kind" => kind, "outcome" => outcome).increment(1);
}
