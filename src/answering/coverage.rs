//! How much of a question its passages are about.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation;

use crate::answering::{
    Passage,
    language::{is_foreign, is_stop_word},
};

/// Shorter words say little.
const LEAST_LETTERS: usize = 3;
/// Words that share so many letters at their beginning are taken for forms of one.
const STEM_LETTERS: usize = 5;

/// The share of the content words of a question that the passages contain, from 0 to 1. `None` if it has none, or is in
/// another language than the passages.
pub fn coverage(question: &str, passages: &[Passage]) -> Option<f64> {
    let asked = content(question);
    if asked.is_empty() || is_foreign(question, passages) {
        return None;
    }
    let texts =
        passages.iter().flat_map(|passage| [&*passage.title, &*passage.content, passage.metadata.get()]);
    let known: HashSet<_> = texts.flat_map(words).map(|word| stem(&word)).collect();
    Some(count(asked.intersection(&known).count()) / count(asked.len()))
}

/// How many words of a question have content; `None` if none has.
pub fn content_words(question: &str) -> Option<f64> {
    Some(count(content(question).len())).filter(|words| *words > 0.0)
}

fn content(question: &str) -> HashSet<String> {
    words(question).filter(|word| !is_stop_word(word)).map(|word| stem(&word)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a question has few words")]
fn count(words: usize) -> f64 {
    words as f64
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.unicode_words().map(str::to_lowercase);
    words.filter(|word| word.chars().count() >= LEAST_LETTERS)
}

fn stem(word: &str) -> String {
    match word.char_indices().nth(STEM_LETTERS) {
        Some((end, _)) => &word[..end],
        None => word.strip_suffix('s').unwrap_or(word),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_words_are_counted_in_any_form() {
        let passages = [Passage { content: "Waterproof tents, sewn by hand.".into(), ..Passage::default() }];
        for (question, share) in [
            ("Do you have a waterproof tent?", Some(1.0)),
            ("Is the tent waterproofed and green?", Some(2.0 / 3.0)),
            ("A kayak?", Some(0.0)),
            ("Do you have it?", None),
            ("Habt ihr ein wasserdichtes Zelt für zwei Personen?", None),
        ] {
            assert_eq!(coverage(question, &passages), share, "{question}");
        }
        let long =
            "Waterproof tents, sewn by hand. They stand without pegs and weigh very little on the way.";
        let passages = [Passage { content: long.into(), ..Passage::default() }];
        assert_eq!(coverage("Habt ihr ein wasserdichtes Zelt für zwei Personen?", &passages), None);
    }
}
