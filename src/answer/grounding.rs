//! What of an answer is founded: which passages it cites.

use serde::Serialize;

/// A place in an answer that cites a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Citation {
    /// The passage's number, from 1.
    pub source: u32,
    /// The first character of `[n]`, counted in Unicode code points.
    pub start: u32,
    /// The first character after it.
    pub end: u32,
}

/// Finds the marks `[n]` in an answer: those that name one of `passages`, and the numbers of those
/// that do not.
pub fn cited(text: &str, passages: usize) -> (Vec<Citation>, Vec<u32>) {
    let (mut citations, mut invalid) = (Vec::new(), Vec::new());
    let mut open = None;
    let mut number = String::new();
    for (position, character) in (0_u32..).zip(text.chars()) {
        match (character, open) {
            ('[', _) => {
                open = Some(position);
                number.clear();
            }
            (digit, Some(_)) if digit.is_ascii_digit() => number.push(digit),
            (']', Some(start)) => {
                if let Ok(source) = number.parse::<u32>() {
                    if (1..=passages).contains(&(source as usize)) {
                        citations.push(Citation { source, start, end: position + 1 });
                    } else {
                        invalid.push(source);
                    }
                }
                open = None;
            }
            _ => open = None,
        }
    }
    (citations, invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_found_by_character_not_by_byte() {
        let (citations, invalid) = cited("Größe 42 [1], rot [2] und [9].", 2);
        let first = Citation { source: 1, start: 9, end: 12 };
        let second = Citation { source: 2, start: 18, end: 21 };
        assert_eq!((citations, invalid), (vec![first, second], vec![9]));
    }

    #[test]
    fn brackets_that_hold_no_number_are_text() {
        assert_eq!(cited("[a] [] [1 ] [[x]] [99999999999999999999]", 3), (vec![], vec![]));
    }
}
