//! How runs of jobs end: done, tried again, or dead.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Lease, NewJob, WaitReason, WaitsFor};

/// The end of one run of a job.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobEnd {
    pub lease: Lease,
    pub ending: Ending,
}

impl JobEnd {
    /// Ends the job.
    pub fn done(lease: Lease, follow_ups: Vec<NewJob>) -> Self {
        Self { lease, ending: Ending::Done(follow_ups) }
    }

    /// Ends a failed run.
    pub fn failed(lease: Lease, failure: AfterFailure, error: String) -> Self {
        Self { lease, ending: Ending::Failed(failure, error) }
    }
}

/// How a run of a job ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The job is done, and these jobs follow from it.
    Done(Vec<NewJob>),
    /// The job goes on as the failure says; the text is its error.
    Failed(AfterFailure, String),
}

/// What becomes of a job whose run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Runs again after this time, or is dead after its last attempt.
    Retry(Duration),
    /// Like `Retry`, but runs alone: its run crashed.
    Crash(Duration),
    /// Runs again at once and alone, uncharged: it was one of several jobs in a run that crashed.
    Suspect,
    /// Runs again after this time, without a charged attempt; may name what it waits for.
    Snooze(Duration, Option<WaitsFor>),
    /// Is dead at once.
    Dead {
        /// The address of the model server that rejects the request for good, if one does.
        rejected_by: Option<String>,
    },
}

const MAX_ERROR_CHARS: usize = 2000;

/// A failure as `shopkeeper.fail` takes it.
pub(super) fn row(lease: Lease, failure: &AfterFailure, error: &str) -> Value {
    let (delay, is_charged, is_dead, is_alone) = match failure {
        AfterFailure::Retry(after) => (*after, true, false, false),
        AfterFailure::Crash(after) => (*after, true, false, true),
        AfterFailure::Suspect => (Duration::ZERO, false, false, true),
        AfterFailure::Snooze(after, _) => (*after, false, false, false),
        AfterFailure::Dead { .. } => (Duration::ZERO, false, true, false),
    };
    let rejected_by =
        if let AfterFailure::Dead { rejected_by } = failure { rejected_by.as_deref() } else { None };
    let waits_for = if let AfterFailure::Snooze(_, waits_for) = failure { waits_for.as_ref() } else { None };
    let model = if let Some(WaitsFor::RateLimit(model)) = waits_for { Some(model) } else { None };
    json!({
        "job": lease.job,
        "fence": lease.fence,
        "delay": delay.as_secs_f64(),
        "charged": is_charged,
        "dead": is_dead,
        "alone": is_alone,
        "error": error.chars().take(MAX_ERROR_CHARS).collect::<String>().replace('\0', "\u{fffd}"),
        "waits_for": waits_for.map(|waits_for| <&str>::from(WaitReason::from(waits_for))),
        "waits_server": model.map(|model| &model.server),
        "waits_model": model.map(|model| &model.model),
        "rejected_by": rejected_by,
    })
}
