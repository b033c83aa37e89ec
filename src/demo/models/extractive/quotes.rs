//! Sentences and facts of the passages that answer a question.

use super::asks::Ask;
use super::passages::{Passage, Sentence};
use super::question::Question;
use super::rank::{Ranked, rank};
use super::stems::{Stems, stems};

const MAX_QUOTES: usize = 3;
/// How much the passage of a sentence counts beside its words.
const PASSAGE: f64 = 0.8;
/// How much it counts that a sentence has the kind of fact that is asked for.
const KIND: f64 = 1.2;
/// A sentence is quoted beside the best one if it is worse by no more.
const BESIDE_THE_BEST: f64 = 0.8;
/// The share of the names in the question that a title must have for its product to be compared.
const COMPARABLE: f64 = 0.6;

/// Answers from the passages that fit the question best, or `None`.
pub(super) fn answer(passages: &[Passage], question: &Question) -> Option<String> {
    let ranked = rank(passages, question);
    let (_, best) = *ranked.first()?;
    if question.is_beyond(best) {
        return None;
    }
    let compared = compare(&ranked, question);
    let quotes = if compared.len() > 1 { compared } else { describe(best, &ranked, question) };
    (!quotes.is_empty()).then(|| quotes.join(" "))
}

/// Quotes once from each of the products that are compared.
fn compare(ranked: &[Ranked], question: &Question) -> Vec<String> {
    let is_named = |(_, passage): &&Ranked| {
        question.weights.name_fit(&question.stems, &passage.title_stems).0 >= COMPARABLE
    };
    let compared = ranked.iter().filter(|_| question.compares).filter(is_named).take(MAX_QUOTES);
    let one = |ranked: &Ranked| {
        state_facts(ranked.1, question).into_iter().chain(quote(&[*ranked], question, 1)).next()
    };
    compared.filter_map(one).collect()
}

/// States the facts that are asked for, or quotes, and adds the price to what looks for a product.
fn describe(best: &Passage, ranked: &[Ranked], question: &Question) -> Vec<String> {
    let state = |name| best.fact(name).map(|fact| cite(&fact.state(best, question.language), best));
    let mut quotes = state_facts(best, question);
    let asks_price = question.asks.contains(&Ask::Price);
    let is_stated = !quotes.is_empty() && !best.facts.iter().any(|fact| fact.has_code(question));
    let price = state("price").filter(|_| !asks_price && question.wants_price(is_stated));
    if is_stated && question.asks == [Ask::Price] {
        quotes.extend(price_of_part(best, question));
    } else if !is_stated || !asks_price && question.asks_for_measure() {
        if quotes.is_empty() {
            quotes.extend(state_value(best, question));
        }
        let room = MAX_QUOTES - quotes.len() - usize::from(price.is_some());
        quotes.extend(quote(ranked, question, room));
    }
    quotes.extend(price);
    quotes
}

fn cite(text: &str, passage: &Passage) -> String {
    format!("{text} [{}]", passage.number)
}

/// States up to two facts of a passage that the question names.
fn state_facts(passage: &Passage, question: &Question) -> Vec<String> {
    let rest = beyond_title(passage, question);
    let facts = passage.facts.iter().filter(|fact| fact.is_asked(question, &rest));
    facts.take(MAX_QUOTES - 1).map(|fact| cite(&fact.state(passage, question.language), passage)).collect()
}

/// States a fact whose value is in the question and in no sentence: a colour, a size.
fn state_value(passage: &Passage, question: &Question) -> Option<String> {
    let is_in_text = |stem: &String| {
        let mut sentences = passage.sentences.iter().filter(|sentence| passage.says_more(sentence));
        sentences.any(|sentence| sentence.stems.contains(stem))
    };
    let words = beyond_title(passage, question).into_iter().filter(|stem| !is_in_text(stem)).collect();
    let fact = passage.facts.iter().find(|fact| fact.has_value(&words))?;
    Some(cite(&fact.state(passage, question.language), passage))
}

/// The price of a spare part is in the text rather than among the facts.
fn price_of_part(passage: &Passage, question: &Question) -> Option<String> {
    let rest = beyond_title(passage, question);
    let is_meant = |sentence: &&Sentence| {
        Ask::Price.is_answered_by(&sentence.text)
            && sentence.text.contains(|letter: char| letter.is_ascii_digit())
            && !sentence.stems.is_disjoint(&rest)
    };
    passage.sentences.iter().find(is_meant).map(|sentence| cite(&sentence.text, passage))
}

fn beyond_title(passage: &Passage, question: &Question) -> Stems {
    question.stems.difference(&passage.title_stems).cloned().collect()
}

/// Quotes the best sentences, in the order of the passages.
fn quote(ranked: &[Ranked], question: &Question, most: usize) -> Vec<String> {
    let mut quotes: Vec<(f64, &Sentence, &Passage)> = Vec::new();
    for (passage_score, passage) in ranked {
        let sentences: Vec<_> =
            passage.sentences.iter().filter(|sentence| passage.says_more(sentence)).collect();
        let is_relevant = |sentence: &Sentence| relevance(sentence, passage, question) > 0.0;
        let has_relevant = sentences.iter().any(|sentence| is_relevant(sentence));
        for sentence in sentences.into_iter().filter(|sentence| !has_relevant || is_relevant(sentence)) {
            // Variants of a product share sentences.
            if !quotes.iter().any(|(_, other, _)| other.text == sentence.text) {
                let score = PASSAGE * passage_score + relevance(sentence, passage, question);
                quotes.push((score, sentence, passage));
            }
        }
    }
    let best = quotes.iter().map(|(score, ..)| *score).fold(0.0, f64::max);
    let mut chosen: Vec<_> =
        quotes.iter().enumerate().filter(|(_, quote)| quote.0 >= best - BESIDE_THE_BEST).collect();
    chosen.sort_by(|(_, one), (_, two)| two.0.total_cmp(&one.0));
    chosen.truncate(most);
    chosen.sort_by_key(|(place, _)| *place);
    chosen.into_iter().map(|(_, (_, sentence, passage))| cite(&sentence.text, passage)).collect()
}

/// How much of the question a sentence contains that its title does not, and whether it has the kind of fact.
fn relevance(sentence: &Sentence, passage: &Passage, question: &Question) -> f64 {
    let own = question.share(beyond_title(passage, question).intersection(&sentence.stems));
    // "Warranty: 24 months." answers only questions about the warranty.
    let is_meant = sentence
        .text
        .split_once(": ")
        .is_none_or(|(name, rest)| rest.split(' ').count() > 3 || !stems(name).is_disjoint(&question.stems));
    let has_kind = is_meant && question.asks.iter().any(|ask| ask.is_answered_by(&sentence.text));
    own + if has_kind { KIND } else { 0.0 }
}
