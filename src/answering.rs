//! Answers questions from the index: retrieve, prompt, complete, judge, settle.
//!
//! The decisions are pure: [`sku`] finds article numbers in a question, [`condense`](mod@condense) rewrites a follow-up,
//! [`prompt`] builds the request to the model, [`grounding`] checks its answer, [`human_request`] recognises a wish for a human,
//! [`verdict`] decides what the customer gets and whether a human is asked for. [`job`] takes a question through all
//! steps.

use std::collections::BTreeMap;

pub mod complete;
pub mod condense;
pub mod constraints;
pub mod cost;
pub mod coverage;
pub mod fallback;
mod family;
pub mod fuse;
pub mod grounding;
pub mod handover;
pub mod human_request;
pub mod job;
pub mod known_fields;
pub mod language;
mod live;
pub mod object;
pub mod outdated;
pub mod passage;
mod phrasings;
pub mod prompt;
pub mod question;
pub mod rank;
pub mod retrieve;
pub mod sku;
pub mod stream;
pub mod verdict;

pub use passage::Passage;
pub use question::Question;

/// Picks the text for a locale (`de-CH`), else for its language (`de`), else the English one.
pub fn in_language<'a>(texts: &'a BTreeMap<String, String>, locale: Option<&str>) -> &'a str {
    let locale = locale.unwrap_or("en");
    let language = locale.split(['-', '_']).next().unwrap_or_default();
    let text = [locale, language, "en"].iter().find_map(|name| texts.get(*name));
    text.map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_in_the_language_of_the_locale_or_in_english() {
        let texts = [("en", "Sorry."), ("de", "Leider."), ("de-CH", "Leider nöd.")];
        let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let said = |locale| in_language(&texts, locale);
        assert_eq!((said(None), said(Some("fr-FR")), said(Some("de_AT"))), ("Sorry.", "Sorry.", "Leider."));
        assert_eq!((said(Some("de")), said(Some("de-CH"))), ("Leider.", "Leider nöd."));
    }
}
