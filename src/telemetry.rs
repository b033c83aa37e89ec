//! Logs and metrics. Logs go to stderr, so that results on stdout stay clean; metrics are named here and
//! nowhere else.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, Registry, filter::LevelFilter, fmt, prelude::*, reload};

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, coloured on a terminal.
    Pretty,
    /// One object a line.
    Json,
    /// The journal's own; JSON where there is no journal.
    Journald,
}

mod traces;

pub use traces::{flush, follow, traceparent};

/// Starts logging, and sends traces to `otlp`. The filter is the operator's; libraries log only warnings or errors unless it
/// says otherwise, and those that could quote a question never log.
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

/// A level applies only to our own events; a filter with targets is taken as it is. Of two directives for a target the
/// later counts.
fn own_filter(filter: &str) -> EnvFilter {
    const QUIET: &str = "warn,apalis=error,apalis_core=error,sqlx=error,hyper=error";
    // Its errors quote what was sent.
    const SECRET: &str = "async_openai=off";
    let is_level = filter.parse::<LevelFilter>().is_ok();
    let own = if is_level { format!("shopkeeper={filter}") } else { filter.to_owned() };
    let whole = EnvFilter::try_new(format!("{QUIET},{own},{SECRET}"));
    whole.unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{SECRET}")))
}

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Names metrics, and describes them to the recorder.
macro_rules! describe {
    ($($describe:ident $name:ident = $text:literal: $help:literal;)*) => {
        $(const $name: &str = $text;)*
        fn describe() {
            $(metrics::$describe!($name, $help);)*
        }
    };
}

describe! {
    describe_counter JOBS = "shopkeeper_jobs_total": "Runs of jobs that ended, by outcome.";
    describe_histogram JOB_WAIT = "shopkeeper_job_wait_seconds": "From when a job was due to when it was claimed.";
    describe_histogram JOB_DURATION = "shopkeeper_job_duration_seconds": "How long runs of jobs took.";
    describe_gauge QUEUE_DEPTH = "shopkeeper_queue_depth": "Jobs in the queue, by state.";
    describe_gauge QUEUE_OLDEST = "shopkeeper_queue_oldest_age_seconds": "How long the oldest ready job has been due.";
    describe_gauge WAITING = "shopkeeper_budget_waiting_jobs": "Jobs that wait for a budget or the stop button.";
    describe_gauge WAITING_AGE = "shopkeeper_budget_waiting_age_seconds": "How long jobs have waited for this budget.";
    describe_gauge SCHEDULE_LAST = "shopkeeper_schedule_last_fired_timestamp_seconds": "The last tick fired by this process.";
    describe_gauge BUILD = "shopkeeper_build_info": "One, with the version as its label.";
    describe_gauge DOCUMENTS = "shopkeeper_documents": "Documents of a source, by state; counted once a minute at most.";
    describe_histogram LAG = "shopkeeper_embedding_lag_seconds": "From when a change was noticed to when it was indexed.";
    describe_gauge LAST_SYNC = "shopkeeper_sync_last_success_timestamp_seconds": "The last full comparison by this process.";
    describe_counter REQUESTS = "shopkeeper_model_requests_total": "Requests to models, by how they ended.";
    describe_counter TOKENS = "shopkeeper_model_tokens_total": "Tokens that models charged.";
    describe_histogram BATCH = "shopkeeper_embedding_batch_inputs": "Texts in one request for embeddings.";
    describe_histogram ANSWER = "shopkeeper_answer_seconds": "From when a question was asked to when it was settled.";
    describe_histogram DISTANCE = "shopkeeper_answer_nearest_distance": "Cosine distance of the nearest passage.";
    describe_counter ESCALATIONS = "shopkeeper_escalations_total": "Answers for which a human is asked, by reason.";
    describe_counter UNGROUNDED = "shopkeeper_grounding_failures_total": "Answers withheld because no passage supports them.";
    describe_gauge CONNECTIONS = "shopkeeper_db_pool_connections": "Connections to our own database, by state.";
    describe_gauge RELOAD = "shopkeeper_config_last_reload_successful": "Whether the settings read last are in force.";
    describe_counter DELIVERIES = "shopkeeper_webhook_deliveries_total": "Messages sent to webhooks, by outcome.";
    describe_gauge EVAL = "shopkeeper_eval_ratio": "Figures of the golden set measured last by this process.";
}

/// Counted here, in dollars: the recorder's counters are whole numbers.
const COST: &str = "shopkeeper_model_cost_usd_total";

/// From a quick statement to an hour's sync, in seconds.
const BUCKETS: [f64; 14] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

/// Cosine distances: 0 is the same direction, and good answers are between 0.2 and 0.6.
const DISTANCES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 2.0];
/// Inputs of one request, up to OpenAI's limit.
const INPUTS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0];

/// Starts recording metrics.
pub fn record() {
    let buckets = [
        (Matcher::Suffix("_seconds".to_owned()), &BUCKETS[..]),
        (Matcher::Full(DISTANCE.to_owned()), &DISTANCES),
        (Matcher::Full(BATCH.to_owned()), &INPUTS),
    ];
    let buckets = buckets.into_iter().try_fold(PrometheusBuilder::new(), |builder, (metric, buckets)| {
        builder.set_buckets_for_metric(metric, buckets)
    });
    // It fails only if there are no buckets.
    let buckets = buckets.unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = buckets.build_recorder();
    let handle = recorder.handle();
    // A second start in one process (tests) keeps the first.
    if metrics::set_global_recorder(recorder).is_err() {
        return;
    }
    let _ = METRICS.set(handle);
    describe();
    metrics::gauge!(RELOAD).set(1.0);
    metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Renders all metrics in Prometheus' text format.
pub fn metrics() -> String {
    let mut text = METRICS.get().map(PrometheusHandle::render).unwrap_or_default();
    let help = "Dollars that models cost, by the prices of the settings.";
    let mut lines = vec![format!("# HELP {COST} {help}"), format!("# TYPE {COST} counter")];
    let costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
    lines.extend(costs.iter().map(|(operation, usd)| format!("{COST}{{operation=\"{operation}\"}} {usd}")));
    text.push_str(&lines.join("\n"));
    text.push('\n');
    text
}

/// Merges recent measurements, so that they do not pile up if nothing scrapes them.
pub fn take_up() {
    if let Some(handle) = METRICS.get() {
        handle.run_upkeep();
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts, and times in seconds")]
fn float(count: i64) -> f64 {
    count as f64
}

/// Sets the jobs of a kind in each state, and how long the oldest has been due.
pub fn queue(kind: &str, depths: &[(&'static str, i64)], oldest_seconds: f64) {
    for (state, jobs) in depths {
        metrics::gauge!(QUEUE_DEPTH, "kind" => kind.to_owned(), "state" => *state).set(float(*jobs));
    }
    metrics::gauge!(QUEUE_OLDEST, "kind" => kind.to_owned()).set(oldest_seconds);
}

type Labels = [(&'static str, String); 4];

/// Budgets that jobs have waited for.
static WAITED: Mutex<BTreeSet<Labels>> = Mutex::new(BTreeSet::new());

/// Sets the jobs that wait for each budget, and for how many seconds there have been any; zero for all other budgets.
pub fn budget_waits(waits: impl Iterator<Item = (Labels, i64, f64)>) {
    let mut waited = WAITED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ended = waited.clone();
    let set = |labels: &Labels, jobs: i64, age: f64| {
        metrics::gauge!(WAITING, labels).set(float(jobs));
        metrics::gauge!(WAITING_AGE, labels).set(age);
    };
    for (labels, jobs, age) in waits {
        set(&labels, jobs, age);
        ended.remove(&labels);
        waited.insert(labels);
    }
    for labels in ended {
        set(&labels, 0, 0.0);
    }
}

/// Records that a schedule fired.
pub fn schedule_fired(name: &str, tick: DateTime<Utc>) {
    metrics::gauge!(SCHEDULE_LAST, "schedule" => name.to_owned()).set(float(tick.timestamp()));
}

/// Clears the figures of schedules and sources that left the settings.
pub fn forget<'a>(schedules: impl Iterator<Item = &'a str>, sources: impl Iterator<Item = &'a str>) {
    for name in schedules {
        metrics::gauge!(SCHEDULE_LAST, "schedule" => name.to_owned()).set(f64::NAN);
    }
    for name in sources {
        metrics::gauge!(LAST_SYNC, "source" => name.to_owned()).set(f64::NAN);
    }
}

/// Counts a job that ended.
pub fn job_ended(kind: &'static str, outcome: &'static str, waited: Duration, ran: Duration) {
    metrics::histogram!(JOB_WAIT, "kind" => kind).record(waited);
    metrics::histogram!(JOB_DURATION, "kind" => kind, "outcome" => outcome).record(ran);
    metrics::counter!(JOBS, "kind" => kind, "outcome" => outcome).increment(1);
}

/// Sets the documents of a source in each state, or clears them if the source is gone.
pub fn documents(source: &str, states: &[(&'static str, i64)], is_gone: bool) {
    for (state, documents) in states {
        let documents = if is_gone { f64::NAN } else { float(*documents) };
        metrics::gauge!(DOCUMENTS, "source" => source.to_owned(), "state" => *state).set(documents);
    }
}

/// Records how long after a change was noticed a document was indexed.
pub fn indexed(lag: Duration) {
    metrics::histogram!(LAG).record(lag);
}

/// Records that a source was compared in full.
pub fn synced(source: &str, at: DateTime<Utc>) {
    metrics::gauge!(LAST_SYNC, "source" => source.to_owned()).set(float(at.timestamp()));
}

/// Counts a request to a model.
pub fn model_requested(operation: &'static str, code: &'static str) {
    metrics::counter!(REQUESTS, "operation" => operation, "code" => code).increment(1);
}

/// The cost of models by operation.
static COSTS: Mutex<BTreeMap<&'static str, f64>> = Mutex::new(BTreeMap::new());

/// Counts the cost of a request, in dollars.
pub fn model_cost(operation: &'static str, usd: f64) {
    *COSTS.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += usd;
}

/// Counts the tokens of a request.
pub fn model_charged(model: &str, direction: &'static str, tokens: u64) {
    metrics::counter!(TOKENS, "model" => model.to_owned(), "direction" => direction).increment(tokens);
}

/// Records the number of texts in a request for embeddings.
#[expect(clippy::cast_precision_loss, reason = "a count of inputs")]
pub fn embedding_batch(inputs: usize) {
    metrics::histogram!(BATCH).record(inputs as f64);
}

/// Records an answer that was settled.
pub fn answered(
    outcome: &'static str,
    took: Duration,
    distance: Option<f64>,
    escalation: Option<&'static str>,
    is_ungrounded: bool,
) {
    metrics::histogram!(ANSWER, "outcome" => outcome).record(took);
    if let Some(distance) = distance {
        metrics::histogram!(DISTANCE).record(distance);
    }
    if let Some(reason) = escalation {
        metrics::counter!(ESCALATIONS, "reason" => reason).increment(1);
    }
    if is_ungrounded {
        metrics::counter!(UNGROUNDED).increment(1);
    }
}

/// Sets the connections to our own database.
pub fn connections(used: u32, idle: u32) {
    metrics::gauge!(CONNECTIONS, "state" => "used").set(used);
    metrics::gauge!(CONNECTIONS, "state" => "idle").set(idle);
}

/// Sets whether the settings that were read last are in force.
pub fn reloaded(successfully: bool) {
    metrics::gauge!(RELOAD).set(u8::from(successfully));
}

/// Counts a message to a webhook.
pub fn delivered(webhook: &str, outcome: &'static str) {
    metrics::counter!(DELIVERIES, "webhook" => webhook.to_owned(), "outcome" => outcome).increment(1);
}

/// Sets a figure of a golden set.
pub fn evaluated(figure: &'static str, value: f64) {
    metrics::gauge!(EVAL, "figure" => figure).set(value);
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
