//! The weight of words, and with it how well a text fits a question.

use std::collections::BTreeMap;

use super::passages::Passage;
use super::stems::{Stems, is_form};

/// The weight of a word is `ln(1 + n / (1 + n with it))` over the titles, sentences and facts.
pub(super) struct Weights {
    units: f64,
    holding: BTreeMap<String, f64>,
    titles: Vec<Stems>,
}

impl Weights {
    pub(super) fn new(passages: &[Passage]) -> Self {
        let mut weights = Self {
            units: 0.0,
            holding: BTreeMap::new(),
            titles: passages.iter().map(|passage| passage.title_stems.clone()).collect(),
        };
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

    /// A word in the forms that the passages have: as asked, or with another ending or a typo.
    pub(super) fn forms(&self, stem: &str) -> Vec<String> {
        if self.holding.contains_key(stem) {
            return vec![stem.to_owned()];
        }
        self.holding.keys().filter(|known| is_form(stem, known)).cloned().collect()
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

    /// The share that a title has of the words by which a question names products, and the share of the title that they
    /// are.
    pub(super) fn name_fit(&self, asked: &Stems, title: &Stems) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "there are few passages")]
        let weight = |stem: &String| {
            let holding = self.titles.iter().filter(|title| title.contains(stem)).count();
            (1.0 + self.titles.len() as f64 / holding.max(1) as f64).ln()
        };
        let sum = |stems: &mut dyn Iterator<Item = &String>| stems.map(weight).sum::<f64>();
        let both = sum(&mut asked.intersection(title));
        if both == 0.0 {
            return (0.0, 0.0);
        }
        let naming =
            sum(&mut asked.iter().filter(|stem| self.titles.iter().any(|title| title.contains(*stem))));
        (both / naming, both / sum(&mut title.iter()))
    }
}
