//! Rewrites a follow-up ("and the blue one?") to a standalone question, before the search.

use crate::model::{Message, Prompt, Role};

const SYSTEM: &str = include_str!("condense.md");

const MAX_TOKENS: u32 = 200;
/// Room for models that think first.
const THOUGHT_TOKENS: u32 = 2000;

/// Builds the prompt that asks a model to rewrite a question.
pub fn condense(question: &str, history: &[Message]) -> Prompt {
    let mut messages = history.to_vec();
    messages.push(Message { role: Role::User, content: question.to_owned() });
    Prompt {
        system: SYSTEM.to_owned(),
        messages,
        temperature: Some(0.0),
        max_tokens: MAX_TOKENS,
        thought_tokens: THOUGHT_TOKENS,
    }
}

/// Reads the standalone question in a completion; `None` unless it is one line.
pub fn parse_standalone(text: &str) -> Option<&str> {
    let text = text.trim().trim_matches('"').trim();
    (!text.is_empty() && !text.contains('\n')).then_some(text)
}

/// Joins a follow-up with the question before it, for when no model rewrites it.
pub fn join_previous(question: &str, history: &[Message]) -> String {
    let before = history.iter().rev().find(|message| message.role == Role::User);
    before.map_or_else(|| question.to_owned(), |before| format!("{}\n{question}", before.content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: Role, content: &str) -> Message {
        Message { role, content: content.to_owned() }
    }

    #[test]
    fn a_model_is_asked_with_the_conversation_and_one_line_of_it_is_taken() {
        let history = [said(Role::User, "Do you have kettles?"), said(Role::Assistant, "Yes.")];
        let prompt = condense("And a blue one?", &history);
        assert!(prompt.system.contains("standalone question"));
        assert_eq!(prompt.messages.len(), 3);
        assert_eq!(prompt.messages[2], said(Role::User, "And a blue one?"));
        assert_eq!(parse_standalone(" \"Do you have a blue kettle?\"\n"), Some("Do you have a blue kettle?"));
        assert_eq!((parse_standalone(" "), parse_standalone("Here it is:\nblue")), (None, None));
    }

    #[test]
    fn without_a_model_the_question_before_goes_with_it() {
        let history = [said(Role::User, "Do you have kettles?"), said(Role::Assistant, "Yes.")];
        assert_eq!(join_previous("And a blue one?", &history), "Do you have kettles?\nAnd a blue one?");
        assert_eq!(join_previous("And a blue one?", &history[1..]), "And a blue one?");
    }
}
