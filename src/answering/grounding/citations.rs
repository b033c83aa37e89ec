//! The citations of an answer: `[n]` names the passage with that number.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A place in an answer that cites a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The passage's number, from 1.
    pub source: u32,
    /// The first character of `[n]`, counted in Unicode code points.
    pub start: u32,
    /// The first character after it.
    pub end: u32,
}

/// Finds the marks `[n]` in an answer: those that name one of `passages`, and the numbers of the others.
pub fn find_citations(text: &str, passages: usize) -> (Vec<Citation>, Vec<u32>) {
    let (mut citations, mut invalid) = (Vec::new(), Vec::new());
    for (at, _) in text.match_indices('[') {
        let after = &text[at + 1..];
        let number = &after[..after.bytes().take_while(u8::is_ascii_digit).count()];
        let Ok(source) = number.parse::<u32>() else { continue };
        if !after[number.len()..].starts_with(']') {
            continue;
        }
        if (1..=passages).contains(&(source as usize)) {
            let start = text[..at].chars().count();
            let [start, end] =
                [start, start + number.len() + 2].map(|place| u32::try_from(place).unwrap_or(u32::MAX));
            citations.push(Citation { source, start, end });
        } else {
            invalid.push(source);
        }
    }
    (citations, invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_found_by_character_not_by_byte() {
        let (citations, invalid) = find_citations("Größe 42 [1], rot [2] und [9].", 2);
        let first = Citation { source: 1, start: 9, end: 12 };
        let second = Citation { source: 2, start: 18, end: 21 };
        assert_eq!((citations, invalid), (vec![first, second], vec![9]));
    }

    #[test]
    fn brackets_that_hold_no_number_are_text() {
        assert_eq!(find_citations("[a] [] [1 ] [[x]] [99999999999999999999]", 3), (vec![], vec![]));
    }
}
