//! Fits the handover to questions whose right outcome is known.

use strum::VariantArray;

use crate::{
    answering::handover::{Fit, Signal, Signals, Weight},
    evaluation::metrics::{mean, share},
};

/// Steps of the descent; it has converged long before.
const STEPS: usize = 5000;
const RATE: f64 = 0.5;
/// Keeps weights small that few questions speak for (ridge).
const PENALTY: f64 = 0.1;

/// A question's signals, and whether it needs a human.
pub struct Example {
    /// What is known of it.
    pub signals: Signals,
    /// Whether no document answers it.
    pub needs_human: bool,
}

/// Fits a logistic model; both outcomes weigh the same, however many questions they have. `None` unless there are
/// questions of both.
pub fn fit(examples: &[Example]) -> Option<Fit> {
    let positives = mean(examples.iter().map(|example| share(example.needs_human)))?;
    if positives <= 0.0 || positives >= 1.0 {
        return None;
    }
    let scales: Vec<_> = Signal::VARIANTS.iter().filter_map(|signal| scale(*signal, examples)).collect();
    let rows: Vec<(Vec<f64>, f64, f64)> = examples
        .iter()
        .map(|example| {
            let standard = |(signal, scale): &(Signal, Weight)| {
                example.signals.get(*signal).map_or(0.0, |value| (value - scale.mean) / scale.spread)
            };
            let share_of_sort = if example.needs_human { positives } else { 1.0 - positives };
            (scales.iter().map(standard).collect(), share(example.needs_human), 0.5 / share_of_sort)
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "no golden set has 2^52 questions")]
    let count = rows.len() as f64;
    let (mut bias, mut weights) = (0.0, vec![0.0; scales.len()]);
    for _ in 0..STEPS {
        let (mut bias_slope, mut slopes) = (0.0, vec![0.0; weights.len()]);
        for (values, needed, balance) in &rows {
            let log_odds =
                bias + weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>();
            let error = balance * (1.0 / (1.0 + (-log_odds).exp()) - needed);
            bias_slope += error;
            for (slope, value) in slopes.iter_mut().zip(values) {
                *slope += error * value;
            }
        }
        bias -= RATE * bias_slope / count;
        for (weight, slope) in weights.iter_mut().zip(slopes) {
            *weight -= RATE * (slope / count + PENALTY * *weight);
        }
    }
    let signals = scales.into_iter().zip(weights);
    Some(Fit {
        bias,
        signals: signals.map(|((signal, scale), weight)| (signal, Weight { weight, ..scale })).collect(),
    })
}

/// The mean of the shares of right decisions about both sorts of questions, from pairs of decision and truth.
pub fn balanced_accuracy(decisions: &[(bool, bool)]) -> Option<f64> {
    let right = |sort: bool| {
        let those = decisions.iter().filter(move |(_, needed)| *needed == sort);
        mean(those.map(|(decided, needed)| share(decided == needed)))
    };
    Some(f64::midpoint(right(true)?, right(false)?))
}

/// The mean and spread of a signal; `None` if it says nothing.
fn scale(signal: Signal, examples: &[Example]) -> Option<(Signal, Weight)> {
    let values = || examples.iter().filter_map(|example| example.signals.get(signal));
    let average = mean(values())?;
    let spread = mean(values().map(|value| (value - average).powi(2)))?.sqrt();
    (spread > 1e-9).then_some((signal, Weight { mean: average, spread, weight: 0.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answering::{Passage, handover::Doubt};

    fn example(distance: f64, second_distance: Option<f64>, needs_human: bool) -> Example {
        let passage = Passage { distance, second_distance, ..Passage::default() };
        Example { signals: Signals::new("", &[passage]), needs_human }
    }

    #[test]
    fn what_separates_the_questions_gets_the_weight() {
        let noise = [0.2, 0.3, 0.25, 0.22, 0.28];
        let near = noise.iter().map(|noise| example(0.2 + noise, Some(*noise), false));
        let far = noise.iter().map(|noise| example(0.6 + noise, Some(*noise), true));
        // Few questions need a human, and they weigh as much as the others.
        let examples: Vec<_> = near.clone().chain(near).chain(far).collect();
        let fit = fit(&examples).unwrap();
        let weight = |signal| fit.signals[&signal].weight;
        assert!(weight(Signal::Distance) > 1.0, "{fit:?}");
        assert!(weight(Signal::SecondDistance).abs() < 0.4, "{fit:?}");
        assert!(!fit.signals.contains_key(&Signal::Margin), "it is always zero");
        for example in &examples {
            let doubt = Doubt::new(&example.signals, Some(&fit));
            assert_eq!(doubt.hands_over(&[], 0.0), example.needs_human);
        }
    }

    #[test]
    fn questions_of_one_outcome_make_no_fit() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[example(0.2, None, false), example(0.8, None, false)]), None);
        let without_signals = [example(2.0, None, false), example(2.0, None, true)];
        assert!(fit(&without_signals).unwrap().signals.is_empty());
    }
}
