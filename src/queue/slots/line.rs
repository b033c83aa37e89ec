//! The jobs that a worker holds: a line of those that wait for a slot.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::store::jobs::ClaimedJob;

/// If nothing starts or ends for this long, the running jobs are long, and jobs that were claimed ahead are given back.
pub(super) const STALL: Duration = Duration::from_millis(100);

/// The jobs that are held.
#[derive(Default)]
pub(super) struct Line {
    /// Claimed, and not started yet.
    pub waiting: VecDeque<ClaimedJob>,
    /// Slots that are taken.
    pub running: u32,
    /// Of them, those of jobs that run alone.
    pub lone: u32,
    /// When a job last started or ended, or came into an empty line.
    pub moved: Option<Instant>,
}

impl Line {
    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn extend(&mut self, claimed: Vec<ClaimedJob>) {
        if self.waiting.is_empty() {
            // A time without jobs is no stall.
            self.moved = Some(Instant::now());
        }
        self.waiting.extend(claimed);
    }

    /// Takes out the next batch, of at most this many jobs.
    pub(super) fn next(&mut self, most: usize) -> Vec<ClaimedJob> {
        let Some(first) = self.waiting.pop_front() else { return Vec::new() };
        let mut batch = vec![first];
        while batch.len() < most
            && !batch[0].is_alone
            && let Some(next) = self.waiting.pop_front_if(|job| !job.is_alone)
        {
            batch.push(next);
        }
        batch
    }

    pub(super) fn has_lone(&self) -> bool {
        self.lone > 0 || self.waiting.iter().any(|job| job.is_alone)
    }

    /// Whether jobs wait because the running ones are long.
    pub(super) fn is_stalled(&self) -> bool {
        !self.waiting.is_empty() && self.moved.is_some_and(|moved| moved.elapsed() > STALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::jobs::Lease;

    #[test]
    fn a_job_that_must_run_alone_is_no_part_of_a_batch() {
        let mut line = Line::default();
        line.extend(
            [false, false, true, false, false, false].map(|is_alone| ClaimedJob { is_alone, ..job() }).into(),
        );
        let sizes: Vec<_> =
            std::iter::from_fn(|| Some(line.next(2).len()).filter(|size| *size > 0)).collect();
        assert_eq!(sizes, [2, 1, 2, 1]);
    }

    fn job() -> ClaimedJob {
        ClaimedJob {
            lease: Lease { job: 1, fence: 1 },
            key: None,
            payload: serde_json::Value::Null,
            priority: 0,
            attempt: 1,
            max_attempts: 1,
            waited: Duration::ZERO,
            traceparent: None,
            time_limit: None,
            is_alone: false,
        }
    }

    #[test]
    fn a_line_stalls_while_jobs_wait_in_it_and_not_while_it_is_empty() {
        let long_ago = Instant::now().checked_sub(10 * STALL).unwrap();
        let mut line = Line { moved: Some(long_ago), ..Line::default() };
        assert!(!line.is_stalled(), "idle");
        line.extend(vec![job()]);
        assert!(line.moved.unwrap() > long_ago, "an idle time is no stall");
        line.moved = Some(long_ago);
        line.extend(vec![job()]);
        assert!(line.is_stalled(), "those that come later start nothing");
    }
}
