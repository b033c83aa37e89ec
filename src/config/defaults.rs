//! Defaults and bounds that several sections use.

use std::{num::NonZeroU32, time::Duration};

use super::{ReadError, Section};

pub(super) const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("defaults are constants above zero")
}

pub(super) const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(super) const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

pub(super) const fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}

pub(super) fn at_least_one(section: &Section<'_>, key: &str, default: u32) -> Result<u32, ReadError> {
    section.get(key, count(default)).map(NonZeroU32::get)
}

pub(super) fn at_most(section: &Section<'_>, key: &str, default: f64, most: f64) -> Result<f64, ReadError> {
    let is_within = |number: &f64| {
        (*number <= most).then_some(()).ok_or_else(|| format!("must be from 0 to {most}, not {number}"))
    };
    section.checked(key, default, is_within)
}
