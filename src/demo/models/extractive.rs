//! Answers by quoting.
//!
//! It reads the prompt that we write ourselves: the system message has instructions, and maybe a line `Refusal: …`; the
//! last user message has passages, the nearest first, and the question ([`passages::read`]). It quotes one to three
//! sentences or facts with citations, or refuses. Everything it says about a product is in the passages verbatim, so it
//! cannot invent a price; it cannot reason either.
//!
//! Words are weighted by their rarity among the sentences (inverse document frequency). A word of the question that no
//! passage contains weighs most, so it refuses rather than give an irrelevant answer.

mod condense;
mod facts;
mod passages;
mod quotes;
mod stems;
mod tag;
#[cfg(test)]
mod tests;
mod weights;
mod words;

use self::facts::{FACT_COVERAGE, state_facts};
use self::stems::{Stems, stems};
use self::{condense::condense, passages::Passage, quotes::quote, weights::Weights, words::words};
use super::completions::{Message, Role, last_user_text};

const REFUSAL: &str = "I don't have information about that. Let me connect you with a human agent.";
/// The share of the question's weight that a passage must contain to be quoted.
const COVERAGE: f64 = 0.4;
/// Retrieval puts the likeliest passage first.
const FIRST_PASSAGE: f64 = 1.15;
const MAX_QUOTES: usize = 3;

/// Answers the last user message, or rewrites it if a standalone question is asked for.
pub(super) fn complete(messages: &[Message]) -> String {
    let system = || {
        messages.iter().filter(|message| message.role == Role::System).map(|message| message.text.as_str())
    };
    if system().any(|text| text.to_lowercase().contains("standalone question")) {
        return condense(messages);
    }
    let (passages, question) = passages::read(last_user_text(messages));
    answer(&passages, question).unwrap_or_else(|| {
        let refusal = system().flat_map(str::lines).find_map(|line| line.trim().strip_prefix("Refusal:"));
        refusal.map_or(REFUSAL, str::trim).to_owned()
    })
}

fn answer(passages: &[Passage], question: &str) -> Option<String> {
    let mut asked = stems(question);
    let wants_a_price = asks_how_much(question);
    if wants_a_price {
        asked.insert("pric".to_owned());
    }
    // A sentence about another product does not answer a question about a price either.
    let coverage = if wants_a_price { FACT_COVERAGE } else { COVERAGE };
    if asked.is_empty() {
        return None;
    }
    let weights = Weights::new(passages);
    state_facts(passages, &asked, &weights).or_else(|| quote(passages, &asked, &weights, coverage))
}

/// "How much is…", but not "how much does it weigh".
fn asks_how_much(question: &str) -> bool {
    let words: Vec<_> = words(question).collect();
    words.windows(3).any(|three| {
        three[0] == "how"
            && three[1] == "much"
            && matches!(three[2].as_str(), "is" | "are" | "s" | "for" | "was")
    })
}

fn boost(place: usize) -> f64 {
    if place == 0 { FIRST_PASSAGE } else { 1.0 }
}

fn all_stems(passage: &Passage) -> Stems {
    let facts = passage.facts.iter().flat_map(|fact| &fact.stems);
    let prose = passage.sentences.iter().flat_map(|sentence| &sentence.stems);
    facts.chain(prose).cloned().chain(passage.title_stems.iter().cloned()).collect()
}
