//! Several phrasings of a question: the search looks for what they have in common.
//!
//! One request to the answers' model, for shops without a reranker. The vectors of all phrasings are averaged, so that one
//! search by each model is enough.

use crate::model::{Message, Prompt, Role};

const SYSTEM: &str = include_str!("phrasings.md");

const MAX_TOKENS: u32 = 300;
/// Room for models that think first.
const THOUGHT_TOKENS: u32 = 2000;

/// Builds the prompt that asks a model for so many other phrasings.
pub(super) fn prompt(question: &str, others: u32) -> Prompt {
    Prompt {
        system: SYSTEM.replace("{others}", &others.to_string()),
        messages: vec![Message { role: Role::User, content: question.to_owned() }],
        temperature: Some(0.0),
        max_tokens: MAX_TOKENS,
        thought_tokens: THOUGHT_TOKENS,
    }
}

/// Reads at most so many phrasings in a completion: its lines, without numbers and bullets before them.
pub(super) fn parse(text: &str, others: u32) -> Vec<String> {
    let bare = |line: &str| {
        let line = line.trim().trim_start_matches(|c: char| c.is_ascii_digit());
        line.trim_start_matches(['.', ')', '-', '*', '•', ' ']).trim_matches('"').trim().to_owned()
    };
    text.lines().map(bare).filter(|line| !line.is_empty()).take(others as usize).collect()
}

/// The mean direction of vectors; `None` without any that has one.
pub(super) fn mean(vectors: impl IntoIterator<Item = Vec<f32>>) -> Option<Vec<f32>> {
    let mut sum: Vec<f32> = Vec::new();
    for vector in vectors {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length == 0.0 || !length.is_finite() {
            continue;
        }
        sum.resize(vector.len(), 0.0);
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value / length);
    }
    sum.iter().any(|value| *value != 0.0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_phrasings_however_they_are_numbered() {
        let text = "1. Is the tent waterproof?\n\n- Does it keep \"rain\" out?\n* Third\nFourth";
        assert_eq!(parse(text, 3), ["Is the tent waterproof?", "Does it keep \"rain\" out?", "Third"]);
        assert!(parse(" \n", 2).is_empty());
        assert!(prompt("Dry?", 2).system.contains("Write 2 questions"));
    }

    #[test]
    fn the_mean_is_of_directions() {
        assert_eq!(mean([vec![2.0, 0.0], vec![0.0, 0.5], vec![0.0, 0.0]]), Some(vec![1.0, 1.0]));
        assert_eq!(mean([vec![0.0, 0.0]]), None);
    }
}
