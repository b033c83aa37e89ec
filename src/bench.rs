//! Measures this program beside others that do the same, on one server in one run.
//!
//! Machines differ and are shared, so what counts is the ratio of two figures that were measured in
//! turns. Each figure is the median of the rounds.

use serde::Serialize;

pub mod answers;
#[cfg(feature = "bench-peers")]
mod peers;
pub mod queue;
pub mod sync;

/// One figure beside that of somebody else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What was measured.
    pub name: &'static str,
    /// Ours.
    pub value: f64,
    /// Of both values.
    pub unit: &'static str,
    /// Who else was measured.
    pub compared_to: &'static str,
    /// Theirs.
    pub compared_value: f64,
    /// Ours by theirs.
    pub ratio: f64,
}

/// The middle one of some values; of none it is not a number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that so large a share of some sorted values does not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
