//! The weight of words, and with it how well a text fits a question.

use std::collections::BTreeMap;

use super::passages::{Passage, Sentence};
use super::stems::Stems;

/// A word of the title tells which product a sentence is about, but not that it answers the question.
const TITLE_WORD: f64 = 0.5;

/// The weight of a word is `ln(1 + n / (1 + n with it))` over the titles, sentences and facts.
pub(super) struct Weights {
    units: f64,
    holding: BTreeMap<String, f64>,
}

impl Weights {
    pub(super) fn new(passages: &[Passage]) -> Self {
        let mut weights = Self { units: 0.0, holding: BTreeMap::new() };
        for passage in passages {
            let facts = passage.facts.iter().map(|fact| &fact.stems);
            let prose = passage.sentences.iter().map(|sentence| &sentence.stems);
            for unit in facts.chain(prose).chain([&passage.title_stems]) {
                weights.units += 1.0;
                for stem in unit {
                    *weights.holding.entry(stem.clone()).or_default() += 1.0;
                }
            }
        }
        weights
    }

    fn weight(&self, stem: &str) -> f64 {
        (1.0 + self.units / (1.0 + self.holding.get(stem).copied().unwrap_or_default())).ln()
    }

    pub(super) fn sum<'stem>(&self, stems: impl IntoIterator<Item = &'stem String>) -> f64 {
        stems.into_iter().map(|stem| self.weight(stem)).sum()
    }

    /// The share of the asked weight that is held; 1 if nothing is asked.
    pub(super) fn coverage(&self, asked: &Stems, held: &Stems) -> f64 {
        if asked.is_empty() { 1.0 } else { self.sum(asked.intersection(held)) / self.sum(asked) }
    }

    /// How well a title names what is asked for: it should have the question's words and few others.
    pub(super) fn title_fit(&self, asked: &Stems, title: &Stems) -> f64 {
        let both = self.sum(asked.intersection(title));
        if both == 0.0 { 0.0 } else { both * (both / self.sum(title)).sqrt() }
    }

    /// How much of the question a sentence contains, alone or with its title.
    pub(super) fn sentence_score(&self, asked: &Stems, sentence: &Sentence, title: &Stems) -> f64 {
        let own = self.sum(asked.intersection(&sentence.stems));
        let by_title: f64 = asked
            .intersection(title)
            .filter(|stem| !sentence.stems.contains(*stem))
            .map(|stem| self.weight(stem))
            .sum();
        own + TITLE_WORD * by_title
    }
}
