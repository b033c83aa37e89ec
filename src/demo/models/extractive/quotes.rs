//! Sentences of the passages that answer a question.

use super::passages::{Passage, Sentence};
use super::{MAX_QUOTES, all_stems, boost, facts::state, stems::Stems, weights::Weights};

/// A passage is quoted beside the best one if it contains this share of what the best one contains.
const FIT_BESIDE_THE_BEST: f64 = 0.75;

/// A sentence is quoted beside the best one if it has this share of the best one's score.
const BESIDE_THE_BEST: f64 = 0.6;

/// Quotes the sentences that contain most of the question, from the passages that contain enough of it.
pub(super) fn quote(passages: &[Passage], asked: &Stems, weights: &Weights, coverage: f64) -> Option<String> {
    let fits: Vec<f64> = passages.iter().map(|passage| fit(passage, asked, weights, coverage)).collect();
    let best_fit = fits.iter().copied().fold(0.0, f64::max);
    let mut quotes = Vec::new();
    for (place, passage) in passages.iter().enumerate() {
        if fits[place] > 0.0 && fits[place] >= best_fit * FIT_BESIDE_THE_BEST {
            let scored = score_quotes(passage, asked, weights);
            quotes.extend(scored.into_iter().map(|(score, quote)| (boost(place) * score, quote)));
        }
    }
    choose(&quotes)
}

/// How much of the question a passage contains; 0 if, apart from its title's words, that is less than `coverage`.
fn fit(passage: &Passage, asked: &Stems, weights: &Weights, coverage: f64) -> f64 {
    let held = all_stems(passage);
    let rest = asked.difference(&passage.title_stems).cloned().collect();
    if weights.coverage(&rest, &held) < coverage { 0.0 } else { weights.coverage(asked, &held) }
}

/// Scores the sentences that contain more of the question than the title does, or if there are none, such facts.
fn score_quotes(passage: &Passage, asked: &Stems, weights: &Weights) -> Vec<(f64, String)> {
    let rest: Stems = asked.difference(&passage.title_stems).cloned().collect();
    let cite = |text: &str| format!("{text} [{}]", passage.number);
    let says_more = |sentence: &&Sentence| rest.is_empty() || !sentence.stems.is_disjoint(&rest);
    let sentences: Vec<_> = passage
        .sentences
        .iter()
        .filter(says_more)
        .map(|sentence| (weights.sentence_score(asked, sentence, &passage.title_stems), cite(&sentence.text)))
        .collect();
    if !sentences.is_empty() {
        return sentences;
    }
    // A colour, a size, an article number; then what the product is.
    let facts = passage.facts.iter().filter(|fact| !fact.stems.is_disjoint(&rest));
    let stated = facts.map(|fact| cite(&state(fact, passage)));
    let first = passage.sentences.first().map(|sentence| cite(&sentence.text));
    stated.chain(first).map(|quote| (weights.sum(&rest), quote)).collect()
}

/// Joins the best quotes in the order in which they were found.
fn choose(quotes: &[(f64, String)]) -> Option<String> {
    let best = quotes.iter().map(|(score, _)| *score).fold(0.0, f64::max);
    let mut chosen: Vec<_> =
        quotes.iter().enumerate().filter(|(_, (score, _))| *score >= best * BESIDE_THE_BEST).collect();
    chosen.sort_by(|(_, one), (_, two)| two.0.total_cmp(&one.0));
    chosen.truncate(MAX_QUOTES);
    chosen.sort_by_key(|(place, _)| *place);
    let texts: Vec<_> = chosen.into_iter().map(|(_, (_, text))| text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}
