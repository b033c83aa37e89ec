//! Logs jobs that wait for a budget, a server, another job, or an operator. A wait is not a failure and costs no attempt,
//! and hundreds of jobs may wait for the same reason.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The shortest interval between two lines with the same reason.
const QUIET: Duration = Duration::from_mins(1);

/// The waiting jobs of one kind.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Jobs since the last line, by reason.
    new: BTreeMap<String, WaitSpan>,
    /// When each reason was last logged.
    logged: BTreeMap<String, Instant>,
}

#[derive(Debug)]
struct WaitSpan {
    jobs: u32,
    first: i64,
    after: Duration,
}

impl Waits {
    /// Adds a job that waits.
    pub(super) fn add(&mut self, job: i64, reason: String, after: Duration) {
        let waiting = self.new.entry(reason).or_insert(WaitSpan { jobs: 0, first: job, after });
        waiting.jobs += 1;
        waiting.after = waiting.after.min(after);
    }

    /// Logs one line for each reason that is not throttled.
    pub(super) fn log(&mut self, kind: &str) {
        for text in self.lines(Instant::now()) {
            tracing::info!(kind, "{kind}: {text}");
        }
    }

    fn lines(&mut self, now: Instant) -> Vec<String> {
        self.logged.retain(|_, at| now.duration_since(*at) < QUIET);
        let mut lines = Vec::new();
        for (reason, WaitSpan { jobs, first, after }) in std::mem::take(&mut self.new) {
            if self.logged.contains_key(&reason) {
                continue;
            }
            let after = humantime::format_duration(whole_seconds(after));
            let who = if jobs == 1 { format!("job {first} waits") } else { format!("{jobs} jobs wait") };
            lines.push(format!("{who} {after}: {reason}"));
            self.logged.insert(reason, now);
        }
        lines
    }
}

/// Rounded up.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_wait_for_the_same_are_one_line_a_minute() {
        let (mut waits, now) = (Waits::default(), Instant::now());
        waits.add(7, "the budget is spent".into(), Duration::from_millis(9200));
        assert_eq!(waits.lines(now), ["job 7 waits 10s: the budget is spent"]);
        for job in 8..308 {
            waits.add(job, "the budget is spent".into(), Duration::from_secs(9));
            waits.add(job, "no reply".into(), Duration::from_secs(100 - u64::from(job == 200)));
        }
        assert_eq!(waits.lines(now), ["300 jobs wait 1m 39s: no reply"]);
        waits.add(7, "the budget is spent".into(), Duration::from_secs(9));
        assert_eq!(waits.lines(now + QUIET), ["job 7 waits 9s: the budget is spent"]);
        assert!(waits.lines(now + QUIET).is_empty());
    }
}
