//! English words as far as quoting needs them: sentences, stems, and what carries no meaning.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

/// Stems of the words that say something.
pub(super) type Stems = BTreeSet<String>;

/// Words that say nothing about what is asked for.
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

/// Stems of the words of a text without stop words.
pub(super) fn stems(text: &str) -> Stems {
    words(text).filter(|word| !is_stop_word(word)).map(|word| stem(&word)).collect()
}

/// Whether a lower-case word says nothing about what is asked for.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(word)
}

/// The part of a lower-case word that its forms share. Words that customers and shops use for the same thing become one.
pub(super) fn stem(word: &str) -> String {
    let stem = strip_endings(word);
    let canonical = match stem.as_str() {
        "deliv" | "dispatch" | "shipment" => "ship",
        "cost" | "expensiv" | "cheap" => "pric",
        "avail" | "availability" | "left" => "stock",
        "guarante" | "guaranty" => "warranty",
        "colour" => "color",
        "gray" => "grey",
        "refund" => "return",
        "fabric" => "material",
        "couch" => "sofa",
        "heavy" | "weigh" => "weight",
        "waterproof" | "watertight" => "waterproof",
        _ => return stem,
    };
    canonical.to_owned()
}

fn strip_endings(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word.to_owned();
    }
    let mut stem = match word {
        _ if let Some(start) = word.strip_suffix("eries") => format!("{start}er"),
        _ if let Some(start) = word.strip_suffix("ery") => format!("{start}er"),
        _ if let Some(start) = word.strip_suffix("ies") => format!("{start}y"),
        _ if let Some(start) = word.strip_suffix("es").filter(|start| start.ends_with(['x', 'h', 's'])) => {
            start.to_owned()
        }
        _ if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") => word.to_owned(),
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    };
    for (ending, rest) in [("able", 4), ("ing", 3), ("ed", 3), ("er", 4)] {
        let length = stem.len();
        if length >= ending.len() + rest && stem.ends_with(ending) {
            stem.truncate(length - ending.len());
            undouble(&mut stem);
            break;
        }
    }
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    stem
}

/// "shipp" is the stem of "ship" in its other forms; "fall" and "press" are whole.
fn undouble(stem: &mut String) {
    let mut last = stem.chars().rev();
    if let (Some(one), Some(two)) = (last.next(), last.next())
        && one == two
        && !"lsz".contains(one)
    {
        stem.pop();
    }
}

/// Splits a line into sentences: at `.`, `!` or `?` before white space, thus not within `89.00`.
pub(super) fn sentences(line: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut letters = line.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let ends =
            matches!(letter, '.' | '!' | '?') && letters.peek().is_none_or(|(_, next)| next.is_whitespace());
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
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            &["ship", "ships", "shipping", "shipped", "delivery", "deliveries", "deliver"][..],
            &["price", "prices", "priced", "cost", "costs"],
            &["return", "returns", "returned", "refund", "refunds"],
            &["wash", "washing", "washable", "washed", "washes"],
            &["warranty", "warranties", "guarantee"],
            &["box", "boxes"],
            &["available", "availability", "stock"],
        ] {
            let stems: BTreeSet<_> = forms.iter().map(|form| stem(form)).collect();
            assert_eq!(stems.len(), 1, "{forms:?} have the stems {stems:?}");
        }
        assert_eq!(stem("glass"), "glass");
    }

    #[test]
    fn a_sentence_does_not_end_within_a_number() {
        assert_eq!(
            sentences("It costs 89.00 EUR. Really? Yes! And"),
            ["It costs 89.00 EUR.", "Really?", "Yes!", "And"]
        );
    }
}
