//! Logs, written to stderr so that stdout holds results only.

use std::{io::IsTerminal, sync::OnceLock};

use tracing_subscriber::{EnvFilter, Registry, filter::LevelFilter, fmt, prelude::*, reload};

use super::traces;

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    Pretty,
    /// One JSON object per line.
    Json,
    /// The journal's own; JSON where there is no journal.
    Journald,
}

/// Starts logging, and sends traces to `otlp`. Libraries log only warnings or errors unless the filter says otherwise;
/// those whose messages could quote a question never log.
pub fn start(filter: &str, format: Format, otlp: Option<&str>) {
    let (filter, handle) = reload::Layer::new(own_filter(filter));
    let terminal = std::io::stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(filter);
    let _ = FILTER.set(handle);
    let tracer = otlp.map(traces::tracer).transpose();
    let exporter = tracer.as_ref().ok().cloned().flatten();
    let registry = registry.with(exporter.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer)));
    let stderr = fmt::layer().with_writer(std::io::stderr);
    let journal = if format == Format::Journald { tracing_journald::layer().ok() } else { None };
    // A second start in one process (tests) keeps the first.
    let _ = match (format, journal) {
        (Format::Pretty, _) => registry.with(stderr.with_ansi(terminal).with_target(false)).try_init(),
        (_, Some(journal)) => registry.with(journal).try_init(),
        (_, None) => registry.with(stderr.json().flatten_event(true)).try_init(),
    };
    if let Err(error) = tracer {
        tracing::error!("no traces are sent: {error}");
    }
}

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Replaces the filter.
pub fn filter(filter: &str) {
    if let Some(handle) = FILTER.get() {
        // It fails only when logging has ended.
        let _ = handle.reload(own_filter(filter));
    }
}

/// A level applies only to our own events; a filter with targets is taken as it is. The last directive for a target wins.
fn own_filter(filter: &str) -> EnvFilter {
    const QUIET: &str = "warn,apalis=error,apalis_core=error,sqlx=error,hyper=error";
    // Its errors quote what was sent.
    const SECRET: &str = "async_openai=off";
    let is_level = filter.parse::<LevelFilter>().is_ok();
    let own = if is_level { format!("shopkeeper={filter}") } else { filter.to_owned() };
    let whole = EnvFilter::try_new(format!("{QUIET},{own},{SECRET}"));
    whole.unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{SECRET}")))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Whether this is logged: ours, our queue's, a library's information, sqlx's, and what quotes questions.
    fn logged(filter: &str) -> [bool; 5] {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(own_filter(filter)), || {
            [
                tracing::enabled!(target: "shopkeeper::job", Level::DEBUG),
                tracing::enabled!(target: "shopkeeper::queue", Level::DEBUG),
                tracing::enabled!(target: "library", Level::INFO),
                tracing::enabled!(target: "sqlx", Level::INFO),
                tracing::enabled!(target: "async_openai", Level::ERROR),
            ]
        })
    }

    #[test]
    fn a_level_is_ours_a_filter_is_taken_as_it_is_and_questions_are_kept_out() {
        assert_eq!(logged("info"), [false; 5]);
        assert_eq!(logged("debug"), [true, true, false, false, false]);
        assert_eq!(logged("shopkeeper=debug"), [true, true, false, false, false]);
        assert_eq!(logged("shopkeeper::queue=debug,info"), [false, true, true, false, false]);
        assert_eq!(logged("trace,sqlx=info,async_openai=trace"), [true, true, true, true, false]);
    }
}
