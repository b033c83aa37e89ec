//! Words and phrases of the lexicon in a clause.

use super::{lexicon::phrases, sentences::Word};

/// Whether words end in one of these phrases.
pub(super) fn ends(words: &[Word<'_>], list: &str) -> bool {
    phrases(list).any(|phrase| {
        let length = phrase.split(' ').count();
        words.len() >= length && is_phrase(&words[words.len() - length..], phrase)
    })
}

/// Whether words begin with one of these phrases.
pub(super) fn begins(words: &[Word<'_>], list: &str) -> bool {
    phrases(list).any(|phrase| is_phrase(words, phrase))
}

/// Whether words contain one of these phrases.
pub(super) fn has(words: &[Word<'_>], list: &str) -> bool {
    (0..words.len()).any(|start| begins(&words[start..], list))
}

fn is_phrase(words: &[Word<'_>], phrase: &str) -> bool {
    let mut words = words.iter();
    phrase.split(' ').all(|part| words.next().is_some_and(|word| word.lower == part))
}
