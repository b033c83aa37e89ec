//! Whether an answer is handed over to a human, by more than the nearest distance.
//!
//! A fit is a logistic model of a handful of signals, made by `eval calibrate` from questions whose right outcome is known.
//! Without one, the distance of the nearest passage decides.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answering::{
        Passage,
        coverage::{content_words, coverage},
        passage::{FARTHEST, is_far},
    },
    words::words,
};

words! {
    /// What is known of a question and its passages.
    #[derive(PartialOrd, Ord)]
    pub enum Signal {
        /// Cosine distance of the nearest passage.
        Distance,
        /// The same by the second model.
        SecondDistance,
        /// How much nearer the nearest passage is than the passages on average.
        Margin,
        /// The same by the second model.
        SecondMargin,
        /// How far the best passage stands out among the candidates of two models, in standard deviations.
        Score,
        /// The share of the question's content words that the passages contain.
        Coverage,
        /// The content words of the question.
        Words,
        /// 1 if the model found no answer in the passages, else 0.
        Refusal,
        /// The reranker's score of the best passage.
        RerankScore,
    }
}

/// The first passages, which the signals are computed from: as many as an answer has by default.
const CONSIDERED: usize = 5;

/// The signals that a question has.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Signals(BTreeMap<Signal, f64>);

impl Signals {
    /// Computes the signals of a question and its passages, the best first. The distances of a model that did not order
    /// them, because it does not know the question's language, say nothing.
    pub fn new(question: &str, passages: &[Passage]) -> Self {
        let passages = &passages[..passages.len().min(CONSIDERED)];
        let by = |distance: fn(&Passage) -> Option<f64>| nearness(passages.iter().filter_map(distance));
        let first = by(|passage| {
            let counts = passage.rank.is_some() || passage.second_rank.is_none();
            (counts && passage.distance < FARTHEST).then_some(passage.distance)
        });
        let second = by(|passage| {
            let counts = passage.second_rank.is_some() || passage.rank.is_none();
            passage.second_distance.filter(|_| counts)
        });
        let values = [
            (Signal::Distance, first.map(|(nearest, _)| nearest)),
            (Signal::Margin, first.map(|(_, margin)| margin)),
            (Signal::SecondDistance, second.map(|(nearest, _)| nearest)),
            (Signal::SecondMargin, second.map(|(_, margin)| margin)),
            (Signal::Score, passages.first().filter(|best| is_ranked(best)).map(|best| best.score)),
            (Signal::Coverage, coverage(question, passages)),
            (Signal::Words, content_words(question)),
            (
                Signal::RerankScore,
                passages.iter().filter_map(|passage| passage.rerank_score).max_by(f64::total_cmp),
            ),
        ];
        Self(values.into_iter().filter_map(|(signal, value)| Some((signal, value?))).collect())
    }

    /// The same, and whether the model found no answer.
    #[must_use]
    pub fn with_refusal(mut self, is_refusal: bool) -> Self {
        self.0.insert(Signal::Refusal, f64::from(u8::from(is_refusal)));
        self
    }

    /// The value of a signal, if the question has it.
    pub fn get(&self, signal: Signal) -> Option<f64> {
        self.0.get(&signal).copied()
    }
}

/// Whether two models were searched by.
fn is_ranked(passage: &Passage) -> bool {
    passage.rank.is_some() || passage.second_rank.is_some()
}

/// The nearest distance, and how far it is below the mean.
fn nearness(distances: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (mut nearest, mut sum, mut count) = (f64::INFINITY, 0.0, 0.0);
    for distance in distances {
        (nearest, sum, count) = (nearest.min(distance), sum + distance, count + 1.0);
    }
    (count > 0.0).then(|| (nearest, sum / count - nearest))
}

/// How a signal counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Its mean over the questions of the fit.
    pub mean: f64,
    /// Its standard deviation.
    pub spread: f64,
    /// What one standard deviation adds to the log-odds of a handover.
    pub weight: f64,
}

/// A logistic model of the signals. A signal that it does not have counts as nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The log-odds of a handover if every signal is at its mean.
    pub bias: f64,
    /// The signals that count.
    pub signals: BTreeMap<Signal, Weight>,
}

/// Fits for the embedded models, made from the tuning parts of both sample shops.
static BUILT_IN: LazyLock<BTreeMap<String, Arc<Fit>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("handover/fits.json")).expect("a test reads it"));

impl Fit {
    /// The fit for these models, if there is one.
    pub fn built_in(models: &str) -> Option<Arc<Self>> {
        BUILT_IN.get(models).cloned()
    }

    fn effect(&self, signal: Signal, value: f64) -> f64 {
        let weight = self.signals.get(&signal).filter(|weight| weight.spread > 0.0);
        weight.map_or(0.0, |Weight { mean, spread, weight }| weight * (value - mean) / spread)
    }
}

/// How likely a human is needed, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Doubt {
    /// From 0 to 1; above 0.5 the answer is handed over. `null` without a fit: the nearest distance decides.
    pub probability: Option<f64>,
    /// What is known of the question and its passages.
    pub signals: Vec<SignalEffect>,
}

impl Doubt {
    /// Weighs signals by a fit, if there is one. A signal that the question lacks counts as its mean.
    pub fn new(signals: &Signals, fit: Option<&Fit>) -> Self {
        let effect = |signal, value| fit.map_or(0.0, |fit| fit.effect(signal, value));
        let effects = signals.0.iter().map(|(signal, value)| SignalEffect {
            signal: *signal,
            value: *value,
            effect: effect(*signal, *value),
        });
        let effects: Vec<_> = effects.collect();
        let probability = fit.map(|fit| {
            let log_odds = fit.bias + effects.iter().map(|effect| effect.effect).sum::<f64>();
            1.0 / (1.0 + (-log_odds).exp())
        });
        Self { probability, signals: effects }
    }

    /// Whether a human is needed: by the fit, else if all passages are farther than the threshold. Never if the question
    /// names a document by its SKU.
    pub fn hands_over(&self, passages: &[Passage], threshold: f64) -> bool {
        let is_named = passages.iter().any(|passage| passage.is_named);
        self.probability
            .map_or_else(|| is_far(passages, threshold), |probability| probability > 0.5 && !is_named)
    }
}

impl From<Doubt> for Signals {
    fn from(doubt: Doubt) -> Self {
        Self(doubt.signals.into_iter().map(|signal| (signal.signal, signal.value)).collect())
    }
}

/// What a signal did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignalEffect {
    /// Its name.
    pub signal: Signal,
    /// Its value.
    pub value: f64,
    /// What it added to the log-odds of a handover: above zero it speaks for a human, below zero against one.
    pub effect: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(distance: f64, second_distance: Option<f64>) -> Passage {
        Passage { distance, second_distance, content: "A light tent.".into(), ..Passage::default() }
    }

    #[test]
    fn fits_of_the_embedded_models_can_be_read() {
        assert!(Fit::built_in("all-MiniLM-L6-v2 and multilingual-e5-small").is_some());
        assert_eq!(Fit::built_in("text-embedding-3-small"), None);
    }

    #[test]
    fn signals_are_those_of_the_passages() {
        let passages = [passage(0.5, Some(0.2)), passage(0.3, None), passage(0.7, Some(0.4))];
        let signals = Signals::new("Which tent is waterproof?", &passages);
        let near = |signal, expected: f64| (signals.get(signal).unwrap() - expected).abs() < 1e-9;
        assert!(near(Signal::Distance, 0.3) && near(Signal::Margin, 0.2));
        assert!(near(Signal::SecondDistance, 0.2) && near(Signal::SecondMargin, 0.1));
        assert!(near(Signal::Coverage, 0.5) && near(Signal::Words, 2.0));
        assert_eq!(signals.get(Signal::Score), None);
        assert_eq!(signals.get(Signal::RerankScore), None);
        assert_eq!(Signals::new("", &[passage(FARTHEST, None)]), Signals::default(), "nothing is known");
        let by_both = Passage { rank: Some(1), score: 3.5, ..passage(0.3, Some(0.1)) };
        assert_eq!(Signals::new("", &[by_both]).get(Signal::Score), Some(3.5));
        let by_second = Passage { second_rank: Some(1), score: 2.5, ..passage(0.3, Some(0.1)) };
        let signals = Signals::new("", &[by_second]);
        assert_eq!(signals.get(Signal::Score), Some(2.5));
        assert_eq!((signals.get(Signal::Distance), signals.get(Signal::SecondDistance)), (None, Some(0.1)));
    }

    #[test]
    fn a_doubt_says_what_each_signal_did_and_a_missing_one_counts_as_its_mean() {
        let weight = |weight| Weight { mean: 0.4, spread: 0.1, weight };
        let signals = [(Signal::Distance, weight(2.0)), (Signal::SecondDistance, weight(1.0))];
        let fit = Fit { bias: -1.0, signals: signals.into() };
        let passages = [passage(0.5, None)];
        let signals = Signals::new("", &passages);
        let doubt = Doubt::new(&signals, Some(&fit));
        assert!((doubt.signals[0].effect - 2.0).abs() < 1e-9);
        assert!((doubt.probability.unwrap() - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-9);
        assert!(doubt.hands_over(&passages, 0.9), "the fit decides");
        let named = [Passage { is_named: true, ..passage(0.5, None) }];
        assert!(!doubt.hands_over(&named, 0.1));
        assert!(!Doubt::new(&Signals::default(), Some(&fit)).hands_over(&[], 0.9));
        let without_fit = Doubt::new(&signals, None);
        assert_eq!(without_fit.probability, None);
        assert!(without_fit.hands_over(&passages, 0.4) && !without_fit.hands_over(&passages, 0.6));
    }
}
