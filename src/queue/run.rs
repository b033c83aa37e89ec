//! Runs claimed jobs, and reports their outcomes.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{sync::mpsc::WeakUnboundedSender, task::JoinError};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    acknowledge::{RunEnd, RunResult},
    slots::{SlotGuard, Slots},
};
use crate::{
    job::{Attempt, BatchJob, Job, JobError, JobRun, Outcome},
    store::jobs::ClaimedJob,
    telemetry,
};

/// Jobs that are run one at a time.
pub(super) struct Single<J>(pub(super) Arc<J>);

impl<J: Job> BatchJob for Single<J> {
    const KIND: &'static str = J::KIND;
    const MOST: usize = 1;
    type Payload = J::Payload;

    fn lane(_: &J::Payload) -> &'static str {
        ""
    }

    async fn run(&self, batch: Vec<JobRun<J::Payload>>) -> Vec<Result<Outcome, JobError>> {
        let runs = batch.into_iter().map(async |claimed| self.0.run(claimed.payload, &claimed.attempt).await);
        join_all(runs).await
    }
}

/// Runs batches of one kind.
pub(super) struct Runner<J> {
    pub(super) job: Arc<J>,
    pub(super) slots: Arc<Slots>,
    /// Weak, because the worker may outlive its last run.
    pub(super) outcomes: WeakUnboundedSender<RunEnd>,
    pub(super) stop: CancellationToken,
    pub(super) given_up: CancellationToken,
}

impl<J: BatchJob> Runner<J> {
    /// Runs a batch, each lane apart. A payload that does not parse fails its job.
    pub(super) async fn run(&self, batch: Vec<SlotGuard>) {
        let mut lanes: BTreeMap<String, Vec<(SlotGuard, J::Payload)>> = BTreeMap::new();
        for mut slot in batch {
            match serde_json::from_value(slot.job.payload.take()) {
                Ok(payload) => {
                    lanes.entry(J::lane(&payload).to_owned()).or_default().push((slot, payload));
                }
                Err(error) => {
                    let error = JobError::Dead(format!("the payload is not one of {}: {error}", J::KIND));
                    self.hand_in(&slot.job, RunResult::Outcome(Err(error)), Instant::now());
                }
            }
        }
        join_all(lanes.into_values().map(|lane| self.run_lane(lane))).await;
    }

    async fn run_lane(&self, lane: Vec<(SlotGuard, J::Payload)>) {
        let (slots, payloads): (Vec<_>, Vec<_>) = lane.into_iter().unzip();
        let (started, is_shared) = (Instant::now(), slots.len() > 1);
        let batch = slots.iter().zip(payloads).map(|(slot, payload)| self.claimed(&slot.job, payload));
        let batch: Vec<_> = batch.collect();
        let lost = batch.iter().map(|claimed| claimed.attempt.lost.clone().cancelled_owned());
        let all_lost = join_all(lost.collect::<Vec<_>>());
        let limit = slots.iter().filter_map(|slot| slot.job.time_limit).min();
        let (job, given_up) = (self.job.clone(), self.given_up.clone());
        let run = async move {
            tokio::select! {
                outcomes = within(limit, job.run(batch)) => outcomes,
                // Nothing of this run would be written.
                () = given_up.cancelled() => Ok(Vec::new()),
                _ = all_lost => Ok(Vec::new()),
            }
        };
        // A task of its own may use another core, and its panic ends nothing else.
        let run = self.slots.tasks.spawn(run.instrument(span(J::KIND, &slots)));
        let mut outcomes = run.await.unwrap_or_else(crash).map(Vec::into_iter);
        for slot in slots {
            let result = match &mut outcomes {
                Ok(outcomes) => RunResult::Outcome(outcomes.next().unwrap_or(Err(JobError::LeaseLost))),
                Err(reason) => RunResult::Crash { reason: reason.clone(), is_shared },
            };
            self.hand_in(&slot.job, result, started);
        }
    }

    fn claimed(&self, job: &ClaimedJob, payload: J::Payload) -> JobRun<J::Payload> {
        let attempt = Attempt {
            lease: job.lease,
            key: job.key.clone().unwrap_or_default(),
            number: job.attempt,
            waited: job.waited,
            is_last: job.attempt >= job.max_attempts,
            stop: self.stop.clone(),
            lost: self.slots.held.lost(job.lease),
        };
        JobRun { payload, attempt }
    }

    fn hand_in(&self, job: &ClaimedJob, result: RunResult, started: Instant) {
        telemetry::job_ended(J::KIND, result.name(), job.waited, started.elapsed());
        // The receiver lives until the last run has finished.
        if let Some(outcomes) = self.outcomes.upgrade() {
            let _ = outcomes.send(RunEnd { lease: job.lease, attempt: job.attempt, result });
        }
    }
}

fn span(kind: &'static str, slots: &[SlotGuard]) -> Span {
    let (first, is_alone) = (&slots[0].job, slots.len() == 1);
    let span = tracing::info_span!(
        "job",
        kind,
        job.id = first.lease.job,
        job.attempt = first.attempt,
        jobs = (!is_alone).then_some(slots.len())
    );
    for slot in slots {
        telemetry::follow(&span, slot.job.traceparent.as_deref(), is_alone && first.attempt == 1);
    }
    span
}

/// Applies a time limit; the error says that it was exceeded.
async fn within<T>(limit: Option<Duration>, run: impl Future<Output = T>) -> Result<T, String> {
    let Some(limit) = limit else { return Ok(run.await) };
    tokio::time::timeout(limit, run).await.map_err(|_| {
        format!("it took longer than the {} that its schedule allows", humantime::format_duration(limit))
    })
}

/// The error of a run that panicked; a cancelled run has none.
fn crash<T: Default>(error: JoinError) -> Result<T, String> {
    let Ok(panic) = error.try_into_panic() else { return Ok(T::default()) };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Err(format!("the job panicked: {text}"))
}
