//! Answers by quoting.
//!
//! It reads the prompt that we write ourselves: the system message holds instructions, perhaps with a line
//! `Refusal: …`; the last user message holds passages, the nearest first, and the question
//! ([`passages::read`]). It quotes one to three sentences or facts with their citations, or refuses. All that it says of
//! a product is in the passages, word by word, so it cannot invent a price; it cannot reason either.
//!
//! Words are weighed by their rarity among the sentences (inverse document frequency). A question word that no passage
//! holds weighs most, which is why it refuses rather than answers beside the point.

mod condense;
mod passages;
mod weights;
mod words;

use crate::demo::models::{
    completions::{Message, Role, last_user_text},
    extractive::{
        condense::condense,
        passages::{Fact, Passage, Sentence},
        weights::Weights,
        words::{Stems, stems, words},
    },
};

const REFUSAL: &str = "I don't have information about that. Let me connect you with a human agent.";
/// Part of the question's weight that a passage must hold to be quoted.
const COVERAGE: f64 = 0.4;
/// Part that it must hold when a fact is stated: the price of another product is worse than none.
const FACT_COVERAGE: f64 = 0.6;
/// Retrieval has put the likeliest passage first.
const FIRST_PASSAGE: f64 = 1.15;
/// A passage is quoted beside the best one when it holds this part of what the best one holds.
const FIT_BESIDE_THE_BEST: f64 = 0.75;
/// A sentence is quoted beside the best one when it has this part of the best one's score.
const BESIDE_THE_BEST: f64 = 0.6;
const MAX_QUOTES: usize = 3;

/// Answers the last user message, or rewrites it when a standalone question is asked for.
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
    // A sentence about another product does not answer a question for a price either.
    let coverage = if wants_a_price { FACT_COVERAGE } else { COVERAGE };
    if asked.is_empty() {
        return None;
    }
    let weights = Weights::new(passages);
    state_facts(passages, &asked, &weights).or_else(|| quote_sentences(passages, &asked, &weights, coverage))
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

/// States the facts whose names the question holds, of the passage that the rest of the question fits best.
fn state_facts(passages: &[Passage], asked: &Stems, weights: &Weights) -> Option<String> {
    let mut best: Option<(f64, &Passage, Vec<&Fact>)> = None;
    for (place, passage) in passages.iter().enumerate() {
        let facts: Vec<_> = passage.facts.iter().filter(|fact| !fact.name_stems.is_disjoint(asked)).collect();
        let rest = asked
            .iter()
            .filter(|stem| !facts.iter().any(|fact| fact.name_stems.contains(*stem)))
            .cloned()
            .collect();
        if facts.is_empty() || weights.coverage(&rest, &all_stems(passage)) < FACT_COVERAGE {
            continue;
        }
        let score = boost(place) * (1.0 + weights.title_fit(&rest, &passage.title_stems));
        if best.as_ref().is_none_or(|(so_far, ..)| score > *so_far) {
            best = Some((score, passage, facts));
        }
    }
    let (_, passage, facts) = best?;
    let stated =
        facts.iter().take(MAX_QUOTES).map(|fact| format!("{} [{}]", state(fact, passage), passage.number));
    Some(stated.collect::<Vec<_>>().join(" "))
}

/// Puts a fact into words without a word of its own about the product.
fn state(fact: &Fact, passage: &Passage) -> String {
    let (title, value) = (passage.title.as_str(), fact.value.as_str());
    let is_number = value.chars().all(|letter| letter.is_ascii_digit());
    match fact.name.to_lowercase().as_str() {
        "price" => {
            let currency = passage.fact("currency").filter(|currency| !value.contains(currency));
            let unit = currency.map(|currency| format!(" {currency}")).unwrap_or_default();
            format!("The price of {title} is {value}{unit}.")
        }
        "stock" if value == "0" => format!("{title} is out of stock."),
        "stock" if is_number => format!("{title} is in stock: {value} available."),
        name => format!("{title}: {name} {value}."),
    }
}

/// Quotes the sentences that hold most of the question, of the passages that hold enough of it.
fn quote_sentences(passages: &[Passage], asked: &Stems, weights: &Weights, coverage: f64) -> Option<String> {
    let fits: Vec<f64> = passages.iter().map(|passage| fit(passage, asked, weights, coverage)).collect();
    let best_fit = fits.iter().copied().fold(0.0, f64::max);
    let mut quotes = Vec::new();
    for (place, passage) in passages.iter().enumerate() {
        if fits[place] > 0.0 && fits[place] >= best_fit * FIT_BESIDE_THE_BEST {
            let scored = score_quotes(passage, asked, weights);
            quotes.extend(scored.into_iter().map(|(score, quote)| (boost(place) * score, quote)));
        }
    }
    choose(&quotes)
}

/// How much of the question a passage holds, or 0 when it holds less of it beside its title than `coverage`.
fn fit(passage: &Passage, asked: &Stems, weights: &Weights, coverage: f64) -> f64 {
    let held = all_stems(passage);
    let rest = asked.difference(&passage.title_stems).cloned().collect();
    if weights.coverage(&rest, &held) < coverage { 0.0 } else { weights.coverage(asked, &held) }
}

/// The sentences that say more of the question than the title does; if none, the facts that do.
fn score_quotes(passage: &Passage, asked: &Stems, weights: &Weights) -> Vec<(f64, String)> {
    let rest: Stems = asked.difference(&passage.title_stems).cloned().collect();
    let cite = |text: &str| format!("{text} [{}]", passage.number);
    let says_more = |sentence: &&Sentence| rest.is_empty() || !sentence.stems.is_disjoint(&rest);
    let sentences: Vec<_> = passage
        .sentences
        .iter()
        .filter(says_more)
        .map(|sentence| (weights.sentence_score(asked, sentence, &passage.title_stems), cite(&sentence.text)))
        .collect();
    if !sentences.is_empty() {
        return sentences;
    }
    // A colour, a size, an article number; then what the product is.
    let facts = passage.facts.iter().filter(|fact| !fact.stems.is_disjoint(&rest));
    let stated = facts.map(|fact| cite(&state(fact, passage)));
    let first = passage.sentences.first().map(|sentence| cite(&sentence.text));
    stated.chain(first).map(|quote| (weights.sum(&rest), quote)).collect()
}

/// The best quotes in the order in which they were found.
fn choose(quotes: &[(f64, String)]) -> Option<String> {
    let best = quotes.iter().map(|(score, _)| *score).fold(0.0, f64::max);
    let mut chosen: Vec<_> =
        quotes.iter().enumerate().filter(|(_, (score, _))| *score >= best * BESIDE_THE_BEST).collect();
    chosen.sort_by(|(_, one), (_, two)| two.0.total_cmp(&one.0));
    chosen.truncate(MAX_QUOTES);
    chosen.sort_by_key(|(place, _)| *place);
    let texts: Vec<_> = chosen.into_iter().map(|(_, (_, text))| text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

fn boost(place: usize) -> f64 {
    if place == 0 { FIRST_PASSAGE } else { 1.0 }
}

fn all_stems(passage: &Passage) -> Stems {
    let facts = passage.facts.iter().flat_map(|fact| &fact.stems);
    let prose = passage.sentences.iter().flat_map(|sentence| &sentence.stems);
    facts.chain(prose).cloned().chain(passage.title_stems.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGES: &str = r#"
<passage-9f3c n="1" source="product" key="17" title="Aurora Desk Lamp">
sku: AUR-0231
price: 89.00
currency: EUR
stock: 3
colours: black, sea blue
A warm light for reading in bed. The arm turns in every direction. It dims in 5 steps.
</passage-9f3c>
<passage-9f3c n="2" source="product" key="18" title="Aurora Floor Lamp">
price: 149.00
currency: EUR
stock: 0
A tall light for the living room, made of oak.
</passage-9f3c>
<passage-9f3c n="3" source="policy" key="4" title="Returns">
You can send back an unused item within 30 days. Opened food cannot be returned.
</passage-9f3c>
<passage-9f3c n="4" source="policy" key="5" title="Shipping">
Delivery within the EU costs 4.90 EUR and is free above 50.00 EUR. Parcels arrive within 2 to 4 days.
</passage-9f3c>

"#;

    fn message(role: Role, text: impl Into<String>) -> Message {
        Message { role, text: text.into() }
    }

    fn ask(question: &str) -> String {
        complete(&[
            message(Role::System, "Answer from the passages.\nRefusal: I do not know."),
            message(Role::User, format!("{PASSAGES}Question: {question}")),
        ])
    }

    #[test]
    fn a_question_about_the_price_quotes_the_price_of_that_product() {
        let desk = "The price of Aurora Desk Lamp is 89.00 EUR. [1]";
        assert_eq!(ask("How much is the Aurora desk lamp?"), desk);
        assert_eq!(ask("What does the desk lamp cost?"), desk);
        assert_eq!(ask("how much is it?"), desk);
        assert_eq!(ask("Price of the floor lamp?"), "The price of Aurora Floor Lamp is 149.00 EUR. [2]");
    }

    #[test]
    fn a_question_about_stock_quotes_the_stock() {
        assert_eq!(ask("Is the desk lamp available?"), "Aurora Desk Lamp is in stock: 3 available. [1]");
        assert_eq!(ask("Do you have the floor lamp in stock?"), "Aurora Floor Lamp is out of stock. [2]");
    }

    #[test]
    fn other_facts_and_article_numbers_are_found() {
        assert_eq!(
            ask("Which colors does the desk lamp come in?"),
            "Aurora Desk Lamp: colours black, sea blue. [1]"
        );
        assert!(ask("What is AUR-0231?").starts_with("Aurora Desk Lamp: sku AUR-0231. [1]"));
        assert!(
            ask("Do you have the desk lamp in blue?")
                .starts_with("Aurora Desk Lamp: colours black, sea blue. [1]")
        );
    }

    #[test]
    fn the_best_sentences_are_quoted_with_citations() {
        assert_eq!(ask("Is the desk lamp good for reading?"), "A warm light for reading in bed. [1]");
        assert_eq!(ask("Can I return opened food?"), "Opened food cannot be returned. [3]");
        assert!(
            ask("How much does shipping cost?").contains("costs 4.90 EUR and is free above 50.00 EUR. [4]")
        );
        assert_eq!(ask("Is there a lamp made of oak?"), "A tall light for the living room, made of oak. [2]");
    }

    #[test]
    fn what_the_passages_do_not_hold_is_refused() {
        for question in [
            "What is the price of a helicopter?",
            "How much is the Aurora chandelier?",
            "Does the desk lamp have Bluetooth?",
            "Who won the football championship?",
            "Do you have a store in Lisbon?",
            "Hello!",
            "",
        ] {
            assert_eq!(ask(question), "I do not know.", "{question}");
        }
        let alone = complete(&[message(Role::User, "How much is the lamp?")]);
        assert_eq!(alone, REFUSAL);
    }

    #[test]
    fn no_number_is_stated_that_the_passages_do_not_hold() {
        let words = "lamp,price,stock,days,free,above,steps,available,returns,oak,how much is".split(',');
        for one in words.clone() {
            for two in words.clone() {
                let answer = ask(&format!("{one} {two}"));
                let quoted = answer.split_whitespace().filter(|word| !word.starts_with('['));
                for number in quoted.filter(|word| word.contains(|letter: char| letter.is_ascii_digit())) {
                    assert!(PASSAGES.contains(number.trim_end_matches('.')), "{number} in {answer}");
                }
            }
        }
    }

    #[test]
    fn a_question_that_refers_back_gets_the_question_before_it() {
        let condensed = |question: &str| {
            complete(&[
                message(Role::System, "Rewrite the last message as a standalone question."),
                message(Role::User, "What does the lamp cost?"),
                message(Role::Assistant, "The price of Aurora Desk Lamp is 89.00 EUR. [1]"),
                message(Role::User, question),
            ])
        };
        assert_eq!(condensed("Is it in stock?"), "What does the lamp cost? Is it in stock?");
        assert_eq!(condensed("and the blue one?"), "What does the lamp cost? and the blue one?");
        assert_eq!(condensed("How long does shipping take?"), "How long does shipping take?");
        assert_eq!(condensed("Is it like the Lofoten Armchair?"), "Is it like the Lofoten Armchair?");
    }
}
