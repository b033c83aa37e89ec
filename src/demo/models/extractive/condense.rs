//! Rewrites a question that refers to earlier messages.

use crate::demo::models::{
    completions::{Message, Role},
    extractive::words::{is_stop_word, words},
};

const REFERRING: &[&str] = &[
    "and", "it", "its", "one", "ones", "that", "their", "them", "these", "they", "this", "those", "version",
];

/// Prepends the customer's previous question to the last one if that refers to it.
pub(super) fn condense(messages: &[Message], question: &str) -> String {
    let question = question.trim();
    let refers = words(question).any(|word| REFERRING.binary_search(&word.as_str()).is_ok());
    let mut asked = messages.iter().rev().filter(|message| message.role == Role::User).skip(1);
    match asked.next() {
        Some(before) if refers && !names_a_product(question) => {
            format!("{} {question}", before.text.trim().replace('\n', " "))
        }
        _ => question.to_owned(),
    }
}

/// Whether two or more consecutive words are capitalized like a name.
fn names_a_product(text: &str) -> bool {
    let is_name =
        |word: &str| word.starts_with(|letter: char| letter.is_uppercase() || letter.is_ascii_digit());
    let plain = |word: &str| word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
    text.split(['.', '?', '!', ',', ':', ';', '\n', '[', ']', '(', ')']).any(|clause| {
        let words: Vec<_> = clause.split_whitespace().collect();
        words.chunk_by(|one, two| is_name(one) && is_name(two)).any(|run| {
            let mut name = run.iter().skip_while(|word| is_stop_word(&plain(word)));
            name.next().is_some_and(|word| word.starts_with(char::is_uppercase)) && name.next().is_some()
        })
    })
}
