//! The distance above which questions are handed over, measured and calibrated on a golden set.

use serde::Serialize;

use crate::evaluation::{
    golden::Case,
    metrics::{Grade, mean, share},
};

/// A distance above which questions are handed over, and how well it separates them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Cosine distance of the nearest passage.
    pub distance: f64,
    /// Of the questions above it: the share that must be handed over.
    pub precision: Option<f64>,
    /// Of the questions that must be handed over: the share above it.
    pub recall: f64,
    /// Of the answerable questions: the share not above it.
    pub kept: f64,
    /// The mean of `recall` and `kept`; 0.5 is no better than a coin.
    pub balanced_accuracy: f64,
}

impl Threshold {
    /// Measures a threshold; `None` unless there are questions of both sorts.
    pub fn judge(graded: &[(Case, Grade)], distance: f64) -> Option<Self> {
        let above = |graded: &Grade| graded.nearest.is_none_or(|nearest| nearest > distance);
        let rate = |is_answerable: bool| {
            let those = graded.iter().filter(move |(case, _)| case.is_answerable() == is_answerable);
            mean(those.map(|(_, graded)| share(above(graded) != is_answerable)))
        };
        let (recall, kept) = (rate(false)?, rate(true)?);
        let escalated = graded.iter().filter(|(_, graded)| above(graded));
        Some(Self {
            distance,
            precision: mean(escalated.map(|(case, _)| share(!case.is_answerable()))),
            recall,
            kept,
            balanced_accuracy: f64::midpoint(recall, kept),
        })
    }
}

/// Finds the threshold of the highest balanced accuracy for questions like these.
///
/// Each question counts by the probability that one at a slightly different distance is above the threshold: the best
/// cut through a small set is mostly chance, and one that is also good nearby holds for future questions.
pub fn calibrate(graded: &[(Case, Grade)]) -> Option<Threshold> {
    let mut distances: Vec<_> = graded.iter().filter_map(|(_, graded)| graded.nearest).collect();
    distances.sort_by(f64::total_cmp);
    distances.dedup();
    let average = mean(distances.iter().copied())?;
    let spread = mean(distances.iter().map(|distance| (distance - average).powi(2)))?.sqrt();
    let above = |graded: &Grade, threshold: f64| {
        let distance = graded.nearest.unwrap_or(f64::INFINITY);
        1.0 / (1.0 + ((threshold - distance) / (BLUR * spread)).exp())
    };
    let soft = |threshold: f64| {
        let of = |is_answerable: bool| {
            let those = graded.iter().filter(move |(case, _)| case.is_answerable() == is_answerable);
            mean(those.map(|(_, graded)| above(graded, threshold)))
        };
        of(false).zip(of(true)).map(|(recall, lost)| recall - lost)
    };
    let gaps = distances.windows(2).map(|pair| short_midpoint(pair[0], pair[1]));
    let scored = gaps.filter_map(|threshold| Some((threshold, soft(threshold)?)));
    let (best, _) = scored.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    Threshold::judge(graded, best)
}

/// How much the distance of a question may differ from those of the set, as a share of their spread.
const BLUR: f64 = 0.2;

/// Returns the middle of a gap with as few digits as fit into it.
fn short_midpoint(low: f64, high: f64) -> f64 {
    let middle = f64::midpoint(low, high);
    let shorter = [100.0, 1000.0, 10_000.0].map(|scale| (middle * scale).round() / scale);
    shorter.into_iter().find(|short| (low..high).contains(short)).unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::golden::tests::case;

    fn at(nearest: f64, expected: &[&str]) -> (Case, Grade) {
        (case(expected), Grade { nearest: Some(nearest), ..Grade::default() })
    }

    #[test]
    fn the_threshold_parts_what_can_be_parted_and_does_not_follow_a_stray_question() {
        let graded = [at(0.3, &["a"]), at(0.41, &["a"]), at(0.6, &[]), at(0.62, &["a"]), at(0.7, &[])];
        let best = calibrate(&graded).unwrap();
        assert_eq!((best.distance, best.recall, best.kept), (0.51, 1.0, 2.0 / 3.0));
        let near = [0.30, 0.32, 0.34, 0.36, 0.38].map(|distance| at(distance, &["a"]));
        let far = [0.62, 0.64, 0.66, 0.68, 0.70].map(|distance| at(distance, &[]));
        // One that can be answered and is far, and one that cannot and is near: the cut stays between the others.
        let stray = [at(0.69, &["a"]), at(0.31, &[])];
        let best = calibrate(&[&near[..], &far, &stray].concat());
        assert_eq!(best.map(|best| best.distance), Some(0.5));
        assert_eq!(calibrate(&[at(0.3, &["a"]), at(0.4, &["a"])]), None);
        let close = [at(0.43211, &["a"]), at(0.43219, &[])];
        assert!((calibrate(&close).unwrap().distance - 0.43215).abs() < 1e-5);
    }

    #[test]
    fn a_question_without_passages_is_above_every_threshold() {
        let mut none = at(0.0, &[]);
        none.1.nearest = None;
        let judged = Threshold::judge(&[none, at(0.5, &["a"])], 2.0).unwrap();
        assert_eq!((judged.recall, judged.kept), (1.0, 1.0));
    }
}
