//! The retry policy: what becomes of a job whose run failed.

use std::time::Duration;

use crate::{
    catalogue::CatalogueError,
    job::Attempt,
    model::{ModelError, ModelFault},
    store::{
        StoreError,
        jobs::{AfterFailure, WaitsFor},
    },
};

/// Why a run failed, and what the queue does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum JobError {
    /// The next attempt may succeed; this one counts, and the wait doubles.
    #[error("{0}")]
    Retry(String),
    /// A model server answers nonsense, or fails on this job's input and not on others: the next attempt runs alone, and
    /// the third is the last.
    #[error("{0}")]
    Faulty(String),
    /// The failure is not this job's fault: the job waits, and the attempt does not count.
    #[error("{reason}")]
    Snooze { after: Duration, reason: String },
    /// A budget is used up, or an operator has paused spending: the job waits in the same way.
    #[error("{reason}")]
    Withheld { after: Duration, reason: String, by: WaitsFor },
    /// No attempt can succeed as things are.
    #[error("{0}")]
    Dead(String),
    /// The row cannot become a document: nothing but another row can help.
    #[error("{0}")]
    Unfit(String),
    /// The model server rejects the input.
    #[error("{reason}")]
    Rejected { server: String, reason: String },
    /// Another worker holds the job; nothing of this run was written.
    #[error("the lease was lost")]
    LeaseLost,
}

impl JobError {
    /// Limits the wait.
    #[must_use]
    pub fn within(mut self, most: Duration) -> Self {
        if let Self::Snooze { after, .. } | Self::Withheld { after, .. } = &mut self {
            *after = most.min(*after);
        }
        self
    }

    /// Whether the job ends with this failure.
    pub fn ends(&self, attempt: &Attempt) -> bool {
        match self {
            Self::Dead(_) | Self::Unfit(_) | Self::Rejected { .. } => true,
            Self::Retry(_) => attempt.is_last,
            Self::Faulty(_) => attempt.is_last || attempt.number >= FAULTY_ATTEMPTS,
            Self::Snooze { .. } | Self::Withheld { .. } | Self::LeaseLost => false,
        }
    }

    /// Whether the job waits and its attempt does not count.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Snooze { .. } | Self::Withheld { .. })
    }

    /// What becomes of the job after this attempt; `None` if another worker has it. `random` is from 0 to 1.
    pub fn after(&self, backoff: Backoff, attempt: u32, random: f64) -> Option<AfterFailure> {
        Some(match self {
            Self::Retry(_) => AfterFailure::Retry(backoff.after(attempt, random)),
            Self::Faulty(_) if attempt < FAULTY_ATTEMPTS => {
                AfterFailure::Crash(backoff.after(attempt, random))
            }
            Self::LeaseLost => return None,
            Self::Snooze { after, .. } => AfterFailure::Snooze(spread(*after, random), None),
            Self::Withheld { after, by, .. } => {
                AfterFailure::Snooze(spread(*after, random), Some(by.clone()))
            }
            Self::Faulty(_) | Self::Dead(_) => AfterFailure::Dead { rejected_by: None },
            Self::Unfit(_) => AfterFailure::Dead { rejected_by: Some(RENDERING.to_owned()) },
            Self::Rejected { server, .. } => AfterFailure::Dead { rejected_by: Some(server.clone()) },
        })
    }
}

/// Who rejects a row that cannot become a document: no model server.
pub const RENDERING: &str = "rendering";

/// Waits that double from `first` to `max`. Each is shortened at random, so that jobs which failed together are not
/// retried together.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait after this many attempts; `random` is from 0 to 1.
    pub fn after(self, attempts: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
        // Half is kept, so that a failing job never spins.
        doubled.min(self.max).mul_f64(0.5 + 0.5 * random)
    }
}

/// The most that is added to a snooze.
const LONGEST_JITTER: Duration = Duration::from_mins(1);

/// Lengthens a snooze at random by up to a fifth, so that jobs do not all run at once, and none too early.
fn spread(after: Duration, random: f64) -> Duration {
    after.saturating_add((after / 5).min(LONGEST_JITTER).mul_f64(random))
}

/// Attempts of a job whose input the model server fails on.
const FAULTY_ATTEMPTS: u32 = 3;

/// How long a job waits for another job.
pub const BUSY: Duration = Duration::from_secs(1);
/// How long a job waits for something that is down and did not say how long.
pub const OUTAGE: Duration = Duration::from_secs(5);

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(_) => Self::Snooze { after: OUTAGE, reason: error.to_string() },
            StoreError::Overtaken => Self::Snooze { after: BUSY, reason: error.to_string() },
            StoreError::LeaseLost(_) => Self::LeaseLost,
            StoreError::Undecodable(_) => Self::Dead(error.to_string()),
            StoreError::TooSlow(_)
            | StoreError::Forbidden(_)
            | StoreError::Unsuitable(_)
            | StoreError::SessionBusy(_)
            | StoreError::IdempotencyMismatch(_)
            | StoreError::UnknownName(_)
            | StoreError::Failed(_) => Self::Retry(error.to_string()),
        }
    }
}

impl From<CatalogueError> for JobError {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Unreachable { .. } => Self::Snooze { after: OUTAGE, reason: error.to_string() },
            CatalogueError::Broken { .. } | CatalogueError::Misfit { .. } => Self::Retry(error.to_string()),
        }
    }
}

impl From<ModelError> for JobError {
    fn from(error: ModelError) -> Self {
        let reason = error.to_string();
        match error.fault {
            ModelFault::Unavailable { retry_after, .. } => {
                Self::Snooze { after: retry_after.unwrap_or(OUTAGE), reason }
            }
            // Someone has to pay or correct a setting first.
            ModelFault::Refused => Self::Snooze { after: Duration::from_mins(1), reason },
            ModelFault::Nonsense => Self::Faulty(reason),
            ModelFault::Rejected => Self::Rejected { server: error.server, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_mins(1) };
        let waits: Vec<_> =
            [1, 2, 5, 20, u32::MAX].map(|attempts| backoff.after(attempts, 1.0).as_secs()).into();
        assert_eq!(waits, [1, 2, 16, 60, 60]);
    }

    #[test]
    fn chance_shortens_a_wait_by_half_at_most() {
        let backoff = Backoff { first: Duration::from_secs(2), max: Duration::from_mins(1) };
        assert_eq!(backoff.after(1, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn a_snooze_is_lengthened_by_a_fifth_and_a_minute_at_most() {
        assert_eq!(spread(Duration::from_secs(10), 0.0), Duration::from_secs(10));
        assert_eq!(spread(Duration::from_secs(10), 1.0), Duration::from_secs(12));
        assert_eq!(spread(Duration::from_hours(24), 1.0), Duration::from_hours(24) + Duration::from_mins(1));
        assert_eq!(spread(Duration::MAX, 1.0), Duration::MAX);
    }
}
