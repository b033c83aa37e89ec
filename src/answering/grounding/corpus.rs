//! How well the check tells right sentences from wrong ones, on hand-made pairs (docs/evaluation.md).

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answering::{Passage, grounding::Grounding};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    id: String,
    kind: String,
    language: String,
    question: String,
    passages: Vec<Product>,
    sentence: String,
    supported: bool,
    why: String,
    #[serde(default)]
    held_out: bool,
}

#[derive(Deserialize)]
struct Product {
    title: String,
    content: String,
    metadata: Box<RawValue>,
}

impl Pair {
    fn is_sound(&self) -> bool {
        let passages = self.passages.iter().map(|product| Passage {
            title: product.title.clone(),
            content: product.content.clone(),
            metadata: product.metadata.clone(),
            ..Passage::default()
        });
        let passages: Vec<_> = passages.collect();
        Grounding::check(&self.sentence, &passages, &[&self.question], Vec::new()).is_sound()
    }
}

/// Counts of pairs. The positive class is the wrong sentence.
#[derive(Default)]
struct Figures {
    caught: u32,
    missed: u32,
    false_alarms: u32,
    passed: u32,
}

impl Figures {
    fn of<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Self {
        let mut figures = Self::default();
        for pair in pairs {
            let count = match (pair.supported, pair.is_sound()) {
                (false, false) => &mut figures.caught,
                (false, true) => &mut figures.missed,
                (true, false) => &mut figures.false_alarms,
                (true, true) => &mut figures.passed,
            };
            *count += 1;
        }
        figures
    }

    fn precision(&self) -> f64 {
        f64::from(self.caught) / f64::from(self.caught + self.false_alarms)
    }

    fn recall(&self) -> f64 {
        f64::from(self.caught) / f64::from(self.caught + self.missed)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caught, missed, false_alarms, passed } = self;
        let (precision, recall) = (self.precision(), self.recall());
        write!(
            formatter,
            "precision {precision:.3}, recall {recall:.3} (wrong: {caught} caught, {missed} missed; right: {passed} \
             passed, {false_alarms} refused)"
        )
    }
}

fn pairs() -> Vec<Pair> {
    include_str!("corpus.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "docs/evaluation.md quotes the figures")]
fn the_check_is_as_good_on_the_corpus_as_documented() {
    let pairs = pairs();
    for (part, held_out, missed, false_alarms) in [("tuning", false, 3, 0), ("held-out", true, 3, 2)] {
        let pairs = || pairs.iter().filter(|pair| pair.held_out == held_out);
        let figures = Figures::of(pairs());
        println!("{part}: {figures}");
        // What fails in the held-out part is not shown, lest somebody tune on it.
        for pair in pairs().filter(|pair| !held_out && pair.supported != pair.is_sound()) {
            let Pair { id, kind, language, sentence, why, .. } = pair;
            let fault = if pair.supported { "refused" } else { "missed" };
            println!("  {fault}: {id} ({language}, {kind}): {sentence:?}, {why}");
        }
        assert!(figures.missed <= missed && figures.false_alarms <= false_alarms, "{part}: {figures}");
    }
}
