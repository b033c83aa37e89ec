//! Stems: what the forms of a word, and words for the same thing, have in common.

use std::collections::BTreeSet;

use super::words::{is_stop_word, words};

pub(super) type Stems = BTreeSet<String>;

/// Returns the stems of a text, without stop words.
pub(super) fn stems(text: &str) -> Stems {
    words(text).filter(|word| !is_stop_word(word)).map(|word| stem(&word)).collect()
}

/// Returns the part that the forms of a lower-case word share; words for the same thing share one stem.
fn stem(word: &str) -> String {
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

/// Makes "ship" of "shipp", but leaves "fall" and "press".
fn undouble(stem: &mut String) {
    let mut last = stem.chars().rev();
    if let (Some(one), Some(two)) = (last.next(), last.next())
        && one == two
        && !"lsz".contains(one)
    {
        stem.pop();
    }
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
}
