//! Splits an answer into sentences, clauses and words, with the passages that each sentence cites.

use crate::answering::grounding::lexicon::{ABBREVIATIONS, CONTRASTS, RELATIVES, phrases};

/// A sentence of an answer.
#[derive(Debug, Default)]
pub(super) struct Sentence<'a> {
    /// Its words, by clause.
    pub(super) clauses: Vec<Vec<Word<'a>>>,
    /// The numbers of the cited passages, from 1.
    pub(super) cited: Vec<usize>,
}

/// A word, as written and without punctuation.
#[derive(Clone, Debug)]
pub(super) struct Word<'a> {
    /// With punctuation: `€300,`.
    pub(super) raw: &'a str,
    /// Without it: `300`.
    pub(super) text: &'a str,
    /// In lower case.
    pub(super) lower: String,
}

impl<'a> Word<'a> {
    fn new(raw: &'a str) -> Self {
        let text = raw.trim_matches(|character: char| !character.is_alphanumeric());
        let lower = text.to_lowercase().replace('’', "'");
        let lower = lower.strip_prefix("d'").map(str::to_owned).unwrap_or(lower);
        Self { raw, text, lower }
    }

    /// Whether it is in this list.
    pub(super) fn is(&self, list: &str) -> bool {
        phrases(list).any(|word| word == self.lower)
    }
}

/// Splits a text into words.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let splits = |character: char| character.is_whitespace() || "()[]{}\"*_`~".contains(character);
    text.split(splits).filter(|raw| !raw.is_empty()).map(Word::new)
}

/// Splits an answer into sentences, without the citations and the numbers of lists.
pub(super) fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut sentences = vec![Sentence::default()];
    for line in text.lines() {
        for (place, part) in without_number(line).split('[').enumerate() {
            // The text after a citation, unless the brackets hold words.
            let part = match part.split_once(']') {
                Some((inside, after)) if place > 0 && is_citation(inside) => {
                    add_citations(&mut sentences, inside);
                    after
                }
                _ => part,
            };
            add_words(part, &mut sentences);
        }
        start_sentence(&mut sentences);
    }
    sentences
}

fn is_citation(inside: &str) -> bool {
    inside.chars().all(|inside| inside.is_ascii_digit() || ", ".contains(inside))
}

/// Adds citations to the last sentence, also after its end.
fn add_citations(sentences: &mut [Sentence<'_>], numbers: &str) {
    let is_begun = |sentence: &&mut Sentence<'_>| !sentence.clauses.is_empty();
    if let Some(sentence) = sentences.iter_mut().rev().find(is_begun) {
        sentence.cited.extend(numbers.split([',', ' ']).filter_map(|number| number.parse::<usize>().ok()));
    }
}

fn add_words<'a>(text: &'a str, sentences: &mut Vec<Sentence<'a>>) {
    let words: Vec<_> = words(text).collect();
    for (place, word) in words.iter().enumerate() {
        let is_dash = word.text.is_empty() && word.raw.chars().all(|character| "-–—".contains(character));
        if word.is(CONTRASTS) || is_dash {
            start_clause(sentences);
        }
        let Some(sentence) = sentences.last_mut() else { return };
        match sentence.clauses.last_mut() {
            Some(clause) => clause.push(word.clone()),
            None => sentence.clauses.push(vec![word.clone()]),
        }
        let goes_on = words.get(place + 1).is_some_and(|next| next.is(RELATIVES));
        match word.raw.chars().next_back() {
            Some('.') if word.is(ABBREVIATIONS) => {}
            Some('.' | '!' | '?' | '…') => start_sentence(sentences),
            Some(',') if goes_on => {}
            Some(',' | ';' | ':') => start_clause(sentences),
            _ => {}
        }
    }
}

fn start_clause(sentences: &mut [Sentence<'_>]) {
    if let Some(sentence) = sentences.last_mut()
        && sentence.clauses.last().is_some_and(|clause| !clause.is_empty())
    {
        sentence.clauses.push(Vec::new());
    }
}

fn start_sentence(sentences: &mut Vec<Sentence<'_>>) {
    if sentences.last().is_some_and(|sentence| !sentence.clauses.is_empty()) {
        sentences.push(Sentence::default());
    }
}

/// Removes the number of a list's item.
fn without_number(line: &str) -> &str {
    let line =
        line.trim_start_matches(|character: char| character.is_whitespace() || "*#>-".contains(character));
    let item = line.trim_start_matches(|character: char| character.is_ascii_digit());
    let text = item.strip_prefix(". ").or_else(|| item.strip_prefix(") "));
    text.filter(|_| (1..=2).contains(&(line.len() - item.len()))).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(text: &str) -> Vec<(Vec<String>, Vec<usize>)> {
        let sentences = sentences(text).into_iter().filter(|sentence| !sentence.clauses.is_empty());
        let clause = |clause: Vec<Word<'_>>| {
            clause.iter().map(|word| word.text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        };
        sentences
            .map(|Sentence { clauses, cited }| {
                (clauses.into_iter().map(clause).filter(|clause| !clause.is_empty()).collect(), cited)
            })
            .collect()
    }

    #[test]
    fn an_answer_is_parted_into_sentences_with_their_citations() {
        assert_eq!(
            parted("Yes, it costs 89,90 € [1]. It is max. 5 kg. [2, 3] Fine"),
            [
                (vec!["Yes".into(), "it costs 89,90".into()], vec![1]),
                (vec!["It is max 5 kg".into()], vec![2, 3]),
                (vec!["Fine".into()], vec![]),
            ]
        );
        assert_eq!(
            parted("1. Es gibt kein Zelt, das unter 300 € kostet, aber das Alva – 349 €\n[a] b"),
            [
                (
                    vec![
                        "Es gibt kein Zelt das unter 300 kostet".into(),
                        "aber das Alva".into(),
                        "349".into()
                    ],
                    vec![]
                ),
                (vec!["a b".into()], vec![]),
            ]
        );
    }
}
