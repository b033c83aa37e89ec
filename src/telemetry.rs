//! Logs and metrics. Logs go to stderr, so that results on stdout stay clean; metrics are named here and
//! nowhere else.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

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

/// Starts logging, and sends traces when it is said where to. The filter is the operator's; what libraries say is kept down beneath it, and what
/// could quote a question is kept out altogether.
pub fn start(filter: &str, format: Format, otlp: Option<&str>) {
    let (filter, handle) = reload::Layer::new(own_filter(filter));
    let terminal = std::io::stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(filter);
    let _ = FILTER.set(handle);
    let sent = otlp.map(traces::tracer).transpose();
    let (sent, wrong) = match sent {
        Ok(to) => (to.map(|to| tracing_opentelemetry::layer().with_tracer(to)), None),
        Err(error) => (None, Some(error)),
    };
    let registry = registry.with(sent);
    let own = fmt::layer().with_writer(std::io::stderr);
    let journal = || tracing_journald::layer().ok();
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        Format::Pretty => registry.with(own.with_ansi(terminal).with_target(false)).try_init(),
        Format::Json => registry.with(own.json().flatten_event(true)).try_init(),
        Format::Journald => match journal() {
            Some(journal) => registry.with(journal).try_init(),
            None => registry.with(own.json().flatten_event(true)).try_init(),
        },
    };
    if let Some(error) = wrong {
        tracing::error!("no traces are sent: {error}");
    }
}

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Logs by another filter from now on.
pub fn filter(filter: &str) {
    if let Some(handle) = FILTER.get() {
        // It fails only when logging has ended.
        let _ = handle.reload(own_filter(filter));
    }
}

/// A level is ours alone; a filter with targets is taken as it is. Of two directives for a target the later counts.
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

const JOBS: &str = "shopkeeper_jobs_total";
const JOB_WAIT: &str = "shopkeeper_job_wait_seconds";
const JOB_DURATION: &str = "shopkeeper_job_duration_seconds";
const QUEUE_DEPTH: &str = "shopkeeper_queue_depth";
const QUEUE_OLDEST: &str = "shopkeeper_queue_oldest_age_seconds";
const WAITING: &str = "shopkeeper_budget_waiting_jobs";
const WAITING_AGE: &str = "shopkeeper_budget_waiting_age_seconds";
const SCHEDULE_LAST: &str = "shopkeeper_schedule_last_fired_timestamp_seconds";
const BUILD: &str = "shopkeeper_build_info";
const DOCUMENTS: &str = "shopkeeper_documents";
const LAG: &str = "shopkeeper_embedding_lag_seconds";
const LAST_SYNC: &str = "shopkeeper_sync_last_success_timestamp_seconds";
const REQUESTS: &str = "shopkeeper_model_requests_total";
const COST: &str = "shopkeeper_model_cost_usd_total";
const BATCH: &str = "shopkeeper_embedding_batch_inputs";
const ANSWER: &str = "shopkeeper_answer_seconds";
const DISTANCE: &str = "shopkeeper_answer_nearest_distance";
const ESCALATIONS: &str = "shopkeeper_escalations_total";
const UNGROUNDED: &str = "shopkeeper_grounding_failures_total";
const CONNECTIONS: &str = "shopkeeper_db_pool_connections";
const RELOAD: &str = "shopkeeper_config_last_reload_successful";
const DELIVERIES: &str = "shopkeeper_webhook_deliveries_total";
const EVAL: &str = "shopkeeper_eval_ratio";
const TOKENS: &str = "shopkeeper_model_tokens_total";

/// From a quick statement to an hour's sync, in seconds.
const BUCKETS: [f64; 14] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

/// Cosine distances: 0 is the same direction, and good answers stand between 0.2 and 0.6.
const DISTANCES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 2.0];
/// Inputs of one request, to the most that OpenAI takes.
const INPUTS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0];

/// Starts counting; before that nothing is counted.
pub fn count() {
    let buckets = [
        (Matcher::Suffix("_seconds".to_owned()), &BUCKETS[..]),
        (Matcher::Full(DISTANCE.to_owned()), &DISTANCES),
        (Matcher::Full(BATCH.to_owned()), &INPUTS),
    ];
    let buckets = buckets.into_iter().try_fold(PrometheusBuilder::new(), |builder, (metric, buckets)| {
        builder.set_buckets_for_metric(metric, buckets)
    });
    // It fails only without a bucket.
    let buckets = buckets.unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = buckets.build_recorder();
    let handle = recorder.handle();
    // A second start in one process (tests) keeps the first.
    if metrics::set_global_recorder(recorder).is_err() {
        return;
    }
    let _ = METRICS.set(handle);
    metrics::describe_counter!(JOBS, "Runs of jobs that ended, by outcome.");
    metrics::describe_histogram!(JOB_WAIT, "From when a job was due to when it was claimed.");
    metrics::describe_histogram!(JOB_DURATION, "How long runs of jobs took.");
    metrics::describe_gauge!(QUEUE_DEPTH, "Jobs in the queue, by state.");
    metrics::describe_gauge!(QUEUE_OLDEST, "How long the oldest ready job has been due.");
    metrics::describe_gauge!(
        WAITING,
        "Jobs that wait for the budget of a model, tomorrow's money or the stop button."
    );
    metrics::describe_gauge!(WAITING_AGE, "How long there have been jobs that wait for this budget.");
    metrics::describe_gauge!(SCHEDULE_LAST, "The last tick that this process fired.");
    metrics::describe_gauge!(DOCUMENTS, "Documents of a source, by state; counted once a minute at most.");
    metrics::describe_histogram!(LAG, "From when a change was noticed to when it was indexed.");
    metrics::describe_gauge!(LAST_SYNC, "When a source was last compared in full by this process.");
    metrics::describe_counter!(REQUESTS, "Requests to models, by how they ended.");
    metrics::describe_counter!(TOKENS, "Tokens that models charged.");
    metrics::describe_histogram!(BATCH, "Texts in one request for embeddings.");
    metrics::describe_histogram!(ANSWER, "From when a question was asked to when it was settled.");
    metrics::describe_histogram!(DISTANCE, "Cosine distance of the nearest passage.");
    metrics::describe_counter!(ESCALATIONS, "Answers for which a human is asked, by reason.");
    metrics::describe_counter!(
        UNGROUNDED,
        "Answers that were withheld because no passage says what they say."
    );
    metrics::describe_gauge!(CONNECTIONS, "Connections to our own database, by state.");
    metrics::describe_gauge!(RELOAD, "Whether the settings that were read last are in force.");
    metrics::gauge!(RELOAD).set(1.0);
    metrics::describe_counter!(DELIVERIES, "Messages to webhooks that were sent, by outcome.");
    metrics::describe_gauge!(EVAL, "Figures of the golden set that was measured last by this process.");
    metrics::describe_gauge!(BUILD, "One, with the version as its label.");
    metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// All metrics in Prometheus' text format.
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

/// Takes up what was measured since the last time, so that it does not pile up where nobody scrapes.
pub fn take_up() {
    if let Some(handle) = METRICS.get() {
        handle.run_upkeep();
    }
}

/// Notes how many jobs of a kind there are in each state, and how long the oldest has been due.
#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
pub fn queue(kind: &str, depths: &[(&'static str, i64)], oldest_seconds: f64) {
    for (state, jobs) in depths {
        metrics::gauge!(QUEUE_DEPTH, "kind" => kind.to_owned(), "state" => *state).set(*jobs as f64);
    }
    metrics::gauge!(QUEUE_OLDEST, "kind" => kind.to_owned()).set(oldest_seconds);
}

/// The labels of a figure.
type Labels = [(&'static str, String); 4];

/// Budgets that jobs have waited for.
static WAITED: Mutex<BTreeSet<Labels>> = Mutex::new(BTreeSet::new());

/// Notes how many jobs wait for each budget, and for how many seconds there have been any. What is left out waits no more.
#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
pub fn budget_waits(waits: impl Iterator<Item = (Labels, i64, f64)>) {
    let mut waited = WAITED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ended = waited.clone();
    let set = |labels: &Labels, jobs: i64, age: f64| {
        metrics::gauge!(WAITING, labels).set(jobs as f64);
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

/// Notes that a schedule fired.
#[expect(clippy::cast_precision_loss, reason = "a time in seconds")]
pub fn schedule_fired(name: &str, tick: chrono::DateTime<chrono::Utc>) {
    metrics::gauge!(SCHEDULE_LAST, "schedule" => name.to_owned()).set(tick.timestamp() as f64);
}

/// What is not in the settings any more has no figure.
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
    metrics::histogram!(JOB_WAIT, "kind" => kind).record(waited.as_secs_f64());
    metrics::histogram!(JOB_DURATION, "kind" => kind, "outcome" => outcome).record(ran.as_secs_f64());
    metrics::counter!(JOBS, "kind" => kind, "outcome" => outcome).increment(1);
}

/// Notes how many documents of a source there are in each state; of one that is gone there is no figure.
#[expect(clippy::cast_precision_loss, reason = "a count of documents")]
pub fn documents(source: &str, states: &[(&'static str, i64)], is_gone: bool) {
    for (state, documents) in states {
        let documents = if is_gone { f64::NAN } else { *documents as f64 };
        metrics::gauge!(DOCUMENTS, "source" => source.to_owned(), "state" => *state).set(documents);
    }
}

/// Notes how long after a change was noticed a document was indexed.
pub fn indexed(lag: Duration) {
    metrics::histogram!(LAG).record(lag.as_secs_f64());
}

/// Notes that a source was compared in full.
#[expect(clippy::cast_precision_loss, reason = "a time in seconds")]
pub fn synced(source: &str, at: chrono::DateTime<chrono::Utc>) {
    metrics::gauge!(LAST_SYNC, "source" => source.to_owned()).set(at.timestamp() as f64);
}

/// Counts a request to a model that ended so.
pub fn model_requested(operation: &'static str, code: &'static str) {
    metrics::counter!(REQUESTS, "operation" => operation, "code" => code).increment(1);
}

/// What models cost, by operation. The recorder's counters are whole numbers, and dollars are not.
static COSTS: Mutex<BTreeMap<&'static str, f64>> = Mutex::new(BTreeMap::new());

/// Counts what a model cost, in dollars.
pub fn model_cost(operation: &'static str, usd: f64) {
    *COSTS.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += usd;
}

/// Notes how many texts were sent in one request for embeddings.
#[expect(clippy::cast_precision_loss, reason = "a count of inputs")]
pub fn embedding_batch(inputs: usize) {
    metrics::histogram!(BATCH).record(inputs as f64);
}

/// Notes an answer that was settled.
pub fn answered(
    outcome: &'static str,
    took: Duration,
    distance: Option<f64>,
    escalation: Option<&'static str>,
) {
    metrics::histogram!(ANSWER, "outcome" => outcome).record(took.as_secs_f64());
    if let Some(distance) = distance {
        metrics::histogram!(DISTANCE).record(distance);
    }
    if let Some(reason) = escalation {
        metrics::counter!(ESCALATIONS, "reason" => reason).increment(1);
    }
    if escalation == Some("ungrounded") {
        metrics::counter!(UNGROUNDED).increment(1);
    }
}

/// Notes the connections to our own database.
pub fn connections(used: u32, idle: u32) {
    metrics::gauge!(CONNECTIONS, "state" => "used").set(f64::from(used));
    metrics::gauge!(CONNECTIONS, "state" => "idle").set(f64::from(idle));
}

/// Notes whether the settings that were read last are in force.
pub fn reloaded(successfully: bool) {
    metrics::gauge!(RELOAD).set(f64::from(u8::from(successfully)));
}

/// Counts a message to a webhook that was sent.
pub fn delivered(webhook: &str, outcome: &'static str) {
    metrics::counter!(DELIVERIES, "webhook" => webhook.to_owned(), "outcome" => outcome).increment(1);
}

/// Notes a figure of a golden set.
pub fn evaluated(figure: &'static str, value: f64) {
    metrics::gauge!(EVAL, "figure" => figure).set(value);
}

/// Counts what a model charged.
pub fn model_charged(model: &str, direction: &'static str, tokens: u64) {
    metrics::counter!(TOKENS, "model" => model.to_owned(), "direction" => direction).increment(tokens);
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
