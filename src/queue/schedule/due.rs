//! Which ticks of a schedule are due.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::Ticks;

/// What is done about missed ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum CatchUp {
    Latest,
    Skip,
    All,
}

/// A job at ticks of the clock.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Schedule {
    /// Unique.
    pub name: String,
    pub ticks: Ticks,
    pub catch_up: CatchUp,
    /// Skip jobs whose previous one has not ended.
    pub skip_live: bool,
    /// The longest random delay of the jobs.
    pub jitter: Duration,
    /// Time limit of one run of the jobs.
    pub time_limit: Option<Duration>,
    pub kind: &'static str,
    /// One job for each key.
    pub keys: Vec<String>,
    pub payloads: Vec<Value>,
}

/// Ticks younger than this are punctual, and each of them fires. Longer than a round, even one that waits for a lock until
/// its time limit.
pub(super) const PUNCTUAL: TimeDelta = TimeDelta::seconds(20);
/// The most ticks of one schedule that fire in one round.
const MOST: usize = 1000;
/// The search for the latest missed tick goes back by these steps.
const LOOK_BACK: [TimeDelta; 5] = [
    TimeDelta::minutes(1),
    TimeDelta::hours(1),
    TimeDelta::days(1),
    TimeDelta::days(32),
    TimeDelta::days(400),
];

/// The ticks to fire now, the oldest first. A last tick in the future, by a clock that was ahead, holds none back: none
/// fires twice anyway.
pub(super) fn due(schedule: &Schedule, last_at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let last_at = if last_at > now { now - PUNCTUAL } else { last_at };
    let between = |from: DateTime<Utc>, to: DateTime<Utc>| {
        std::iter::successors(schedule.ticks.after(from), |tick| schedule.ticks.after(*tick))
            .take_while(move |tick| *tick <= to)
    };
    let punctual = last_at.max(now - PUNCTUAL);
    if schedule.catch_up == CatchUp::All {
        return between(last_at, now).take(MOST).collect();
    }
    let mut due: Vec<_> = between(punctual, now).take(MOST).collect();
    if schedule.catch_up == CatchUp::Latest && due.is_empty() && last_at < punctual {
        let latest =
            LOOK_BACK.iter().find_map(|back| between(last_at.max(punctual - *back), punctual).last());
        due.extend(latest);
    }
    due
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn schedule(cron: &str, catch_up: CatchUp) -> Schedule {
        Schedule {
            name: "s".into(),
            ticks: Ticks::new(cron, Tz::UTC).unwrap(),
            catch_up,
            skip_live: false,
            jitter: Duration::ZERO,
            time_limit: None,
            kind: "k",
            keys: Vec::new(),
            payloads: Vec::new(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn missed_ticks_are_caught_up_as_the_schedule_says() {
        let (last, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-03T00:30:00Z"));
        let due = |catch_up| due(&schedule("0 * * * *", catch_up), last, now);
        assert_eq!(due(CatchUp::Latest), [at("2026-01-03T00:00:00Z")]);
        assert!(due(CatchUp::Skip).is_empty());
        assert_eq!(due(CatchUp::All).len(), 48);
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_last_tick_keeps_none_back() {
        let (ahead, now) = (at("2027-01-01T00:00:00Z"), at("2026-01-03T00:00:05Z"));
        for catch_up in [CatchUp::Latest, CatchUp::Skip, CatchUp::All] {
            assert_eq!(due(&schedule("0 * * * *", catch_up), ahead, now), [at("2026-01-03T00:00:00Z")]);
        }
    }

    #[test]
    fn ticks_in_time_are_all_seen_to() {
        for catch_up in [CatchUp::Latest, CatchUp::Skip, CatchUp::All] {
            let due = due(
                &schedule("* * * * * *", catch_up),
                at("2026-01-01T00:00:00Z"),
                at("2026-01-01T00:00:03.5Z"),
            );
            assert_eq!(due.len(), 3, "{catch_up:?}");
        }
    }
}
