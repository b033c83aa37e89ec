//! Answers by quoting.
//!
//! It reads the prompt that we write ourselves: the system message has instructions, and maybe a line `Refusal: …`; the
//! last user message has passages, the nearest first, and the question ([`passages::read`]). It quotes one to three
//! sentences or facts with citations, or refuses. Everything it says about a product is in the passages verbatim, so it
//! cannot invent a price; it cannot reason either.
//!
//! Words are weighted by their rarity among the sentences (inverse document frequency). Of a question in another
//! language than the passages, numbers, names and the kind of fact that it asks for ([`asks`]) are understood; retrieval
//! has understood the rest.

mod asks;
mod condense;
mod facts;
mod language;
mod passages;
mod question;
mod quotes;
mod rank;
mod stems;
mod tag;
#[cfg(test)]
mod tests;
mod weights;
mod words;

use self::{condense::condense, question::Question};
use super::completions::{Message, Role, last_user_text};

const REFUSAL: &str = "I don't have information about that. Let me connect you with a human agent.";

/// Answers the last user message, or rewrites it if a standalone question is asked for.
pub(super) fn complete(messages: &[Message]) -> String {
    let system = || {
        messages.iter().filter(|message| message.role == Role::System).map(|message| message.text.as_str())
    };
    let last = last_user_text(messages);
    if system().any(|text| text.to_lowercase().contains("standalone question")) {
        return condense(messages, last);
    }
    let (passages, question) = passages::read(last);
    let question = Question::new(question, &condense(messages, question), &passages);
    quotes::answer(&passages, &question).unwrap_or_else(|| {
        let refusal = system().flat_map(str::lines).find_map(|line| line.trim().strip_prefix("Refusal:"));
        refusal.map_or(REFUSAL, str::trim).to_owned()
    })
}
