//! Parts texts into tokens.
//!
//! The tokenizer is `XLM-RoBERTa`'s: characters are replaced by their usual forms, words are parted at white space, and of
//! all ways to part a word into pieces, the most probable is taken.

use std::collections::HashMap;

use tokenizers::NormalizedString;

use super::packed::Vocabulary;

/// Precedes each word.
const WORD_START: char = '▁';
/// How much less probable an unknown character is than any piece (logarithm), as in `SentencePiece`.
const UNKNOWN_PENALTY: f32 = 10.0;

pub(super) struct Pieces {
    /// Token and logarithm of the probability.
    known: HashMap<Box<str>, (u32, f32)>,
    /// The bytes of the longest piece.
    longest: usize,
    begin: u32,
    end: u32,
    unknown: (u32, f32),
    replacements: HashMap<char, String>,
}

/// The best way to part a word up to some place.
#[derive(Clone, Copy)]
struct Step {
    score: f32,
    token: u32,
    start: usize,
}

impl Pieces {
    pub(super) fn new(vocabulary: Vocabulary<'_>) -> Self {
        let Vocabulary { pieces: list, begin, end, unknown, replacements, .. } = vocabulary;
        let mut known = HashMap::with_capacity(list.len());
        let (mut longest, mut lowest) = (0, 0_f32);
        for (token, (piece, score)) in (0..).zip(list) {
            // Those that mark something have 0 and are not for texts.
            if score < 0.0 {
                known.insert(piece.into(), (token, score));
            }
            (longest, lowest) = (longest.max(piece.len()), lowest.min(score));
        }
        Self { known, longest, begin, end, unknown: (unknown, lowest - UNKNOWN_PENALTY), replacements }
    }

    /// Returns the tokens of a text with those for its begin and end, at most this many.
    pub(super) fn tokens(&self, text: &str, limit: usize) -> Vec<u32> {
        let mut tokens = vec![self.begin];
        for word in self.normalize(text).split_whitespace() {
            if tokens.len() >= limit {
                break;
            }
            self.part(&format!("{WORD_START}{word}"), &mut tokens);
        }
        tokens.truncate(limit - 1);
        tokens.push(self.end);
        tokens
    }

    fn normalize(&self, text: &str) -> String {
        let mut normal = String::with_capacity(text.len());
        for char in text.chars() {
            match self.replacements.get(&char) {
                Some(replacement) => normal.push_str(replacement),
                None => normal.push(char),
            }
        }
        // The file replaces single characters only: letters and their marks are put together here.
        NormalizedString::from(normal).nfc().get().to_owned()
    }

    fn part(&self, word: &str, tokens: &mut Vec<u32>) {
        let (unknown, unknown_score) = self.unknown;
        let nowhere = Step { score: f32::NEG_INFINITY, token: unknown, start: 0 };
        let mut steps = vec![nowhere; word.len() + 1];
        steps[0].score = 0.0;
        for (start, first) in word.char_indices() {
            let before = steps[start].score;
            let mut reach = |end: usize, token, score| {
                if before + score > steps[end].score {
                    steps[end] = Step { score: before + score, token, start };
                }
            };
            reach(start + first.len_utf8(), unknown, unknown_score);
            for end in start + 1..=word.len().min(start + self.longest) {
                if let Some((token, score)) = word.get(start..end).and_then(|piece| self.known.get(piece)) {
                    reach(end, *token, *score);
                }
            }
        }
        let (first, mut end) = (tokens.len(), word.len());
        while end > 0 {
            tokens.push(steps[end].token);
            end = steps[end].start;
        }
        tokens[first..].reverse();
        // Several unknown characters in a row are one token.
        tokens.dedup_by(|next, last| *next == unknown && *last == unknown);
    }
}
