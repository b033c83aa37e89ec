//! The metrics' names and descriptions, and their rendering for Prometheus.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Names metrics, and describes them to the recorder.
macro_rules! describe {
    ($($describe:ident $name:ident = $text:literal: $help:literal;)*) => {
        $(pub(super) const $name: &str = $text;)*
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

/// Kept in `COSTS`, because the recorder's counters are whole numbers.
const COST: &str = "shopkeeper_model_cost_usd_total";

/// Seconds, from a quick statement to an hour's sync.
const BUCKETS: [f64; 14] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

/// Cosine distances: 0 is the same direction, and good answers are between 0.2 and 0.6.
const DISTANCES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 2.0];
/// Inputs of one request, up to OpenAI's limit.
const INPUTS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0];

/// Dollars by operation.
pub(super) static COSTS: Mutex<BTreeMap<&'static str, f64>> = Mutex::new(BTreeMap::new());

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
