//! English sentences and words, and which words carry no meaning.

use std::{collections::HashSet, sync::LazyLock};

/// Words that say nothing about what a customer is looking for.
static STOP_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "\
    a about actually all also am an and any anything are as at be been best better but by can \
    come could current currently did do does don each exactly for from get give good great had \
    has have hello help here hey hi how i if in information interested into is it item items its \
    just kind know let like ll long looking m make many may me might more much must my need nice \
    no not now of offer on one ones or other our out please product products question re really \
    s say sell shall shop should so some something sort store suitable t tell than thank thanks \
    that the their them then there these they thing this those to today too up us ve very want \
    was we were what when where whether which who why will with would yes you your"
        .split(' ')
        .collect()
});

/// Splits a text into lower-case words: runs of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(word)
}

/// Splits a line into sentences: at `.`, `!` or `?` before whitespace and no small letter, so not within `89.00` or after `p.m.`.
pub(super) fn sentences(line: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, letter) in line.char_indices() {
        let mut next = line[at + letter.len_utf8()..].chars();
        let ends = matches!(letter, '.' | '!' | '?')
            && next.next().is_none_or(char::is_whitespace)
            && !next.find(|letter| !letter.is_whitespace()).is_some_and(char::is_lowercase);
        if ends {
            sentences.push(line[start..at + letter.len_utf8()].trim());
            start = at + letter.len_utf8();
        }
    }
    sentences.push(line[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_does_not_end_within_a_number() {
        let split = sentences("It costs 89.00 EUR until 2 p.m. today. Really? Yes! And");
        assert_eq!(split, ["It costs 89.00 EUR until 2 p.m. today.", "Really?", "Yes!", "And"]);
    }
}
