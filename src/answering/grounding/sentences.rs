//! Splits an answer into sentences, clauses and words, with the passages and the addresses that each sentence cites.

use std::ops::Range;

use crate::answering::grounding::lexicon::{ABBREVIATIONS, CONTRASTS, MONEY, RELATIVES, phrases};

/// A sentence of an answer.
#[derive(Debug, Default)]
pub(super) struct Sentence<'a> {
    /// Its words, by clause.
    pub(super) clauses: Vec<Vec<Word<'a>>>,
    /// The numbers of the cited passages, from 1.
    pub(super) cited: Vec<usize>,
    /// Web addresses, which are not among its words.
    pub(super) links: Vec<&'a str>,
    /// Its place in the answer, in bytes.
    span: Option<Range<usize>>,
}

impl<'a> Sentence<'a> {
    /// Returns the sentence as written.
    pub(super) fn text(&self, answer: &'a str) -> &'a str {
        self.span.clone().and_then(|span| answer.get(span)).unwrap_or_default()
    }

    fn is_begun(&self) -> bool {
        self.span.is_some()
    }
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
        let text = without_prefix(text);
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

/// Removes a currency or an elided article from a number: `EUR45`, `d'1,5`.
fn without_prefix(text: &str) -> &str {
    let Some(digit) = text.find(|character: char| character.is_ascii_digit()) else { return text };
    let (prefix, number) = text.split_at(digit);
    let is_elided =
        prefix.ends_with(['\'', '’']) && prefix.chars().all(|character| !character.is_ascii_digit());
    if is_elided || phrases(MONEY).any(|money| money == prefix.to_lowercase()) { number } else { text }
}

/// Splits an answer into sentences, without the citations and the numbers of lists.
pub(super) fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut splitter = Splitter { answer: text, sentences: vec![Sentence::default()] };
    for line in text.lines() {
        for (place, part) in without_number(line).split('[').enumerate() {
            // The text after a citation, unless the brackets hold words.
            let part = match part.split_once(']') {
                Some((inside, after)) if place > 0 && is_citation(inside) => {
                    splitter.add_citations(inside);
                    after
                }
                _ => part,
            };
            splitter.add_text(part);
        }
        splitter.end_sentence();
    }
    splitter.sentences
}

fn is_citation(inside: &str) -> bool {
    inside.chars().all(|inside| inside.is_ascii_digit() || ", ".contains(inside))
}

struct Splitter<'a> {
    answer: &'a str,
    sentences: Vec<Sentence<'a>>,
}

impl<'a> Splitter<'a> {
    /// Adds citations to the last sentence, also after its end.
    fn add_citations(&mut self, numbers: &str) {
        if let Some(sentence) = self.sentences.iter_mut().rev().find(|sentence| sentence.is_begun()) {
            let numbers = numbers.split([',', ' ']).filter_map(|number| number.parse::<usize>().ok());
            sentence.cited.extend(numbers);
        }
    }

    fn add_text(&mut self, text: &'a str) {
        let mut rest = text;
        let begins =
            |rest: &str| ["https://", "http://", "www."].iter().filter_map(|start| rest.find(start)).min();
        while let Some(start) = begins(rest) {
            let (before, link) = rest.split_at(start);
            let ends = |character: char| character.is_whitespace() || "<>\"'()[]{}|".contains(character);
            let link = &link[..link.find(ends).unwrap_or(link.len())];
            let link = link.trim_end_matches(['.', ',', ';', ':', '!', '?']);
            self.add_words(before);
            if let Some(sentence) = self.extend_sentence(link) {
                sentence.links.push(link);
            }
            rest = &rest[start + link.len()..];
        }
        self.add_words(rest);
    }

    fn add_words(&mut self, text: &'a str) {
        let words: Vec<_> = words(text).collect();
        for (place, word) in words.iter().enumerate() {
            let is_dash = word.text.is_empty() && word.raw.chars().all(|character| "-–—".contains(character));
            let is_range = is_dash
                && place > 0
                && [place - 1, place + 1].iter().all(|beside| {
                    words
                        .get(*beside)
                        .is_some_and(|word| word.text.starts_with(|first: char| first.is_ascii_digit()))
                });
            if word.is(CONTRASTS) || is_dash && !is_range {
                self.end_clause();
            }
            let Some(sentence) = self.extend_sentence(word.raw) else { return };
            match sentence.clauses.last_mut() {
                Some(clause) => clause.push(word.clone()),
                None => sentence.clauses.push(vec![word.clone()]),
            }
            let goes_on = words.get(place + 1).is_some_and(|next| next.is(RELATIVES));
            match word.raw.chars().next_back() {
                Some('.') if word.is(ABBREVIATIONS) => {}
                Some('.' | '!' | '?' | '…') => self.end_sentence(),
                Some(',') if goes_on => {}
                Some(',' | ';' | ':') => self.end_clause(),
                _ => {}
            }
        }
    }

    /// Returns the last sentence, which goes on to the end of this part of the answer.
    fn extend_sentence(&mut self, part: &'a str) -> Option<&mut Sentence<'a>> {
        let start = part.as_ptr().addr() - self.answer.as_ptr().addr();
        let sentence = self.sentences.last_mut()?;
        let begin = sentence.span.as_ref().map_or(start, |span| span.start);
        sentence.span = Some(begin..start + part.len());
        Some(sentence)
    }

    fn end_clause(&mut self) {
        if let Some(sentence) = self.sentences.last_mut()
            && sentence.clauses.last().is_some_and(|clause| !clause.is_empty())
        {
            sentence.clauses.push(Vec::new());
        }
    }

    fn end_sentence(&mut self) {
        if self.sentences.last().is_some_and(Sentence::is_begun) {
            self.sentences.push(Sentence::default());
        }
    }
}

/// Removes the number of a list's item.
fn without_number(line: &str) -> &str {
    let line =
        line.trim_start_matches(|character: char| character.is_whitespace() || "*#>-".contains(character));
    let item = line.trim_start_matches(|character: char| character.is_ascii_digit());
    // `**1.** Alva` is a number in bold.
    let text = item.strip_prefix(['.', ')']).map(|text| text.trim_start_matches('*'));
    let text = text.filter(|text| text.starts_with(' '));
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
            .map(|Sentence { clauses, cited, .. }| {
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
    #[test]
    fn a_sentence_is_told_as_written_and_its_addresses_are_no_words() {
        let answer = "Yes: **89 €** [1]. See https://shop.example/p/1.\n- Or `www.shop.example`, it's 7!";
        let sentences = sentences(answer);
        let texts: Vec<_> = sentences.iter().map(|sentence| sentence.text(answer)).collect();
        assert_eq!(
            texts,
            ["Yes: **89 €** [1].", "See https://shop.example/p/1.", "Or `www.shop.example`, it's 7!", ""]
        );
        assert_eq!(sentences[1].links, ["https://shop.example/p/1"]);
        assert_eq!(parted(answer)[1].0, ["See"]);
    }

    #[test]
    fn the_number_of_a_lists_item_is_none_of_its_words() {
        for item in ["1. Alva", "2) Alva", "- 3. Alva", "**4.** Alva"] {
            assert_eq!(parted(item), [(vec!["Alva".to_owned()], vec![])], "{item}");
        }
        assert_eq!(parted("1.5 l"), [(vec!["1.5 l".to_owned()], vec![])]);
    }
}
