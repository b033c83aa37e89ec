//! Records measurements.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::registry::{
    ANSWER, BATCH, CONNECTIONS, COSTS, DELIVERIES, DISTANCE, DOCUMENTS, ESCALATIONS, EVAL, JOB_DURATION,
    JOB_WAIT, JOBS, LAG, LAST_SYNC, QUEUE_DEPTH, QUEUE_OLDEST, RELOAD, REQUESTS, SCHEDULE_LAST, TOKENS,
    UNGROUNDED, WAITING, WAITING_AGE,
};

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

/// The labels of a budget.
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
