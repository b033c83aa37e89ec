//! The ticks of a cron expression: wall times of an IANA zone. croner decides what a change of the clock does to them:
//!
//! | second, minute and hour | times that the change skips | times that it repeats |
//! |---|---|---|
//! | one value each (`30 2 * * *`) | fire at the first instant after the gap | fire once, in the first pass |
//! | a list, range, step or `*` in any (`0 * * * *`) | do not fire | fire in both passes |
//!
//! So an hourly schedule fires every hour all year round, and a daily one once a day.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::{GapInfo, Tz};

/// The nominal instants of a cron expression in a zone.
#[derive(Clone, Debug)]
pub struct Ticks {
    cron: croner::Cron,
    zone: Tz,
}

impl Ticks {
    /// Reads five fields, or six with seconds first.
    pub fn new(cron: &str, zone: Tz) -> Result<Self, croner::errors::CronError> {
        Ok(Self { cron: croner::Cron::from_str(cron)?, zone })
    }

    /// The cron expression, as it was written.
    pub fn cron(&self) -> &str {
        self.cron.as_str()
    }

    /// Whose wall times they are.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Returns the first tick after an instant, or `None` if the expression never fires again.
    pub fn after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let instant = instant.with_timezone(&self.zone);
        let tick = match self.cron.find_next_occurrence(&instant, false) {
            Ok(tick) => tick,
            Err(_) => self.end_of_long_gap(&instant)?,
        };
        Some(tick.to_utc())
    }

    /// The end of the gap that holds the next tick, if there is one.
    ///
    /// croner looks no further than two hours for it. Samoa skipped a whole day, and Antarctic stations have
    /// skipped three hours.
    fn end_of_long_gap(&self, instant: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        let skipped = self.cron.find_next_occurrence(&instant.naive_local(), false).ok()?;
        GapInfo::new(&skipped, &self.zone)?.end
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Offset, TimeDelta};
    use proptest::prelude::*;

    use super::*;

    fn ticks(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let ticks = Ticks::new(cron, zone.parse().unwrap()).unwrap();
        let from = from.parse().unwrap();
        let all = std::iter::successors(ticks.after(from), |tick| ticks.after(*tick));
        all.take(count).map(|tick| tick.format("%m-%d %H:%M:%S").to_string()).collect()
    }

    #[test]
    fn a_single_time_that_a_change_of_the_clock_skips_fires_at_the_first_instant_after_the_gap() {
        for (zone, cron, from, expected) in [
            // 02:30 on 2026-03-29 does not exist: 03:00 CEST is 01:00 UTC.
            ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", ["03-29 01:00:00", "03-30 00:30:00"]),
            ("America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z", ["03-08 07:00:00", "03-09 06:30:00"]),
            // Half an hour only: 02:00 to 02:30.
            (
                "Australia/Lord_Howe",
                "15 2 * * *",
                "2026-10-03T00:00:00Z",
                ["10-03 15:30:00", "10-04 15:15:00"],
            ),
            // At midnight: 2026-09-06 begins at 01:00.
            ("America/Santiago", "0 0 * * *", "2026-09-05T12:00:00Z", ["09-06 04:00:00", "09-07 03:00:00"]),
            // Across midnight, from 23:30 to 00:30 of the next day.
            ("America/Toronto", "45 23 * * *", "1919-03-30T12:00:00Z", ["03-31 04:30:00", "04-01 03:45:00"]),
            // Three hours, from 00:01 to 03:01.
            ("Antarctica/Casey", "30 0 * * *", "2020-10-03T12:00:00Z", ["10-03 16:01:00", "10-04 13:30:00"]),
            // A whole day: Samoa had no 2011-12-30.
            ("Pacific/Apia", "0 12 * * *", "2011-12-29T12:00:00Z", ["12-29 22:00:00", "12-30 10:00:00"]),
        ] {
            assert_eq!(ticks(cron, zone, from, 2), expected, "{zone}");
        }
    }

    #[test]
    fn a_single_time_that_a_change_of_the_clock_repeats_fires_once_in_the_first_pass() {
        for (zone, cron, from, expected) in [
            ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", ["10-25 00:30:00", "10-26 01:30:00"]),
            ("America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z", ["11-01 05:30:00", "11-02 06:30:00"]),
            (
                "Australia/Lord_Howe",
                "45 1 * * *",
                "2026-04-04T00:00:00Z",
                ["04-04 14:45:00", "04-05 15:15:00"],
            ),
            // From the second pass on it is past.
            ("Europe/Berlin", "30 2 * * *", "2026-10-25T01:10:00Z", ["10-26 01:30:00", "10-27 01:30:00"]),
        ] {
            assert_eq!(ticks(cron, zone, from, 2), expected, "{zone}");
        }
    }

    /// For more zones, [`schedules_of_repeated_times_fire_whenever_the_clock_shows_one`] holds the same.
    #[test]
    fn repeated_times_do_not_fire_when_the_clock_skips_them_and_fire_in_both_passes_when_it_repeats_them() {
        for (cron, from, expected) in [
            ("*/15 * * * *", "2026-03-29T00:40:00Z", ["03-29 00:45:00", "03-29 01:00:00", "03-29 01:15:00"]),
            // A list of hours is not one value: 02:00 is left out on the 29th.
            ("0 2,14 * * *", "2026-03-28T00:00:00Z", ["03-28 01:00:00", "03-28 13:00:00", "03-29 12:00:00"]),
            ("0 * * * *", "2026-10-24T23:30:00Z", ["10-25 00:00:00", "10-25 01:00:00", "10-25 02:00:00"]),
            ("30 2,14 * * *", "2026-10-24T22:00:00Z", ["10-25 00:30:00", "10-25 01:30:00", "10-25 13:30:00"]),
        ] {
            assert_eq!(ticks(cron, "Europe/Berlin", from, 3), expected, "{cron}");
        }
    }

    /// Zones whose clocks change by an hour, by half an hour, at midnight, by two hours or three, by a day, and never.
    const ZONES: [Tz; 12] = [
        Tz::Europe__Berlin,
        Tz::America__New_York,
        Tz::America__Santiago,
        Tz::America__Havana,
        Tz::America__Scoresbysund,
        Tz::Africa__Casablanca,
        Tz::Africa__Cairo,
        Tz::Australia__Lord_Howe,
        Tz::Antarctica__Troll,
        Tz::Antarctica__Casey,
        Tz::Pacific__Apia,
        Tz::UTC,
    ];

    /// An instant of the years 2005 to 2036; every other one lies within two days of a change of the zone's clock.
    fn instant(zone: Tz, at: u32, near_change: bool) -> DateTime<Utc> {
        let start = at_second(1_104_537_600 + i64::from(at % 1_009_843_200));
        let offset = |day: i64| (start + TimeDelta::days(day)).with_timezone(&zone).offset().fix();
        match (0..400).find(|day| offset(*day) != offset(*day + 1)) {
            Some(day) if near_change => start + TimeDelta::days(day) + TimeDelta::nanoseconds(i64::from(at)),
            _ => start,
        }
    }

    fn at_second(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    proptest! {
        #[test]
        fn ticks_come_one_after_the_other(
            cron in prop::sample::select(vec![
                "* * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "0 0 * * *", "0 12 * * *", "45 1 * * *", "0 2,14 * * *",
                "0-10 1-3 * * *", "30 23 * * *", "0 0 1 * *", "15 2 * * 0", "*/20 * * * * *", "30 30 2 * * *",
            ]),
            zone in prop::sample::select(ZONES.to_vec()), at: u32, near_change: bool,
        ) {
            let (ticks, from) = (Ticks::new(cron, zone).unwrap(), instant(zone, at, near_change));
            let all = std::iter::successors(ticks.after(from), |tick| ticks.after(*tick));
            let mut before = from;
            for tick in all.take(200) {
                prop_assert!(tick > before, "{tick} after {before}");
                before = tick;
            }
            prop_assert!(before > from, "none");
            // From any instant in between, the next tick is the same.
            let next = ticks.after(from).unwrap();
            prop_assert_eq!(ticks.after(from + (next - from) / 2), Some(next));
        }

        #[test]
        fn schedules_of_repeated_times_fire_whenever_the_clock_shows_one(
            cron in prop::sample::select(vec!["*/15 * * * *", "0 * * * *", "0 2,14 * * *", "0-10 1-3 * * *", "* 0 * * *"]),
            zone in prop::sample::select(ZONES.to_vec()), at: u32, near_change: bool,
        ) {
            let (ticks, from) = (Ticks::new(cron, zone).unwrap(), instant(zone, at, near_change));
            let minute = at_second(from.timestamp() - from.timestamp() % 60);
            let shown = (1..=60 * 24 * 8).map(|n| minute + TimeDelta::minutes(n))
                .find(|at| ticks.cron.is_time_matching(&at.with_timezone(&zone)).unwrap());
            prop_assert_eq!(ticks.after(from), shown);
        }
    }

    #[test]
    fn six_fields_begin_with_seconds_and_a_date_that_never_comes_has_no_tick() {
        assert_eq!(
            ticks("*/30 * * * * *", "UTC", "2026-01-01T00:00:00Z", 2),
            ["01-01 00:00:30", "01-01 00:01:00"]
        );
        assert!(ticks("0 0 31 2 *", "UTC", "2026-01-01T00:00:00Z", 1).is_empty());
    }
}
