//! Values of fields that a question names word by word: brands, connectors, materials.

use std::collections::BTreeSet;

use super::{
    Constraint, Fields, Rated,
    fields::Role,
    lexicon,
    question::Question,
    words::{Word, fold, read_words},
};
use crate::catalogue::filter::{Condition, Scalar};

/// A value of a field, and its words.
pub(super) struct Value<'a> {
    pub(super) text: &'a str,
    pub(super) words: Vec<Word>,
}

/// Values of one field that a question names at one place.
pub(super) struct Mention {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) values: Vec<String>,
    pub(super) certainty: u8,
}

impl<'a> Value<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut words = read_words(text);
        words.retain(|word| !word.is_break);
        Self { text, words }
    }

    /// Returns whether the whole value is in the question at a place; the last word may be a simple plural.
    pub(super) fn is_at(&self, question: &Question<'_>, place: usize) -> bool {
        let last = self.words.len().checked_sub(1);
        last.is_some_and(|last| {
            self.words.iter().enumerate().all(|(index, word)| {
                let Some(asked) = question.words.get(place + index) else { return false };
                word.folded == asked.folded || index == last && is_plural(&asked.folded, &word.folded)
            })
        })
    }
}

fn is_plural(many: &str, one: &str) -> bool {
    one.len() >= 4
        && one.parse::<f64>().is_err()
        && matches!(many.strip_prefix(one), Some("s" | "es" | "n" | "en" | "e"))
}

/// Makes one condition of everything that a question names of a field: the values it asks for, or else those that it
/// excludes. Names that fit every value restrict nothing, and neither do wishes of a question that compares.
pub(super) fn condition_of(
    question: &Question<'_>,
    field: &str,
    mentions: Vec<Mention>,
    of: usize,
) -> Vec<Rated> {
    let is_negated = |mention: &Mention| question.is_negated(mention.from);
    let (excluded, wanted): (Vec<_>, Vec<_>) = mentions.into_iter().partition(is_negated);
    let mut found = Vec::new();
    for (mentions, is_wanted) in [(wanted, true), (excluded, false)] {
        let (Some(first), Some(last)) = (mentions.first(), mentions.last()) else { continue };
        let words = question.quote(first.from, last.to);
        let certainty = mentions.iter().map(|mention| mention.certainty).min().unwrap_or_default();
        let values: BTreeSet<_> = mentions.into_iter().flat_map(|mention| mention.values).collect();
        if values.is_empty() || values.len() >= of && of > 1 || is_wanted && question.is_relative() {
            continue;
        }
        let values = values.into_iter().map(Scalar::Text).collect();
        let condition = if is_wanted { Condition::In(values) } else { Condition::Not(values) };
        found.push(Rated { certainty, constraint: Constraint { words, field: field.to_owned(), condition } });
    }
    found
}

const FROM: &[&str] = &[
    "from", "by", "von", "vom", "de", "por", "par", "di", "da", "van", "door", "od", "brand", "marke",
    "marca", "marque",
];
/// Words before a brand's name that make it the brand of something else: "a case for my Orvane".
const FOR: &[&str] = &[
    "for",
    "with",
    "my",
    "our",
    "his",
    "her",
    "fits",
    "fit",
    "to",
    "compatible",
    "on",
    "into",
    "fur",
    "mit",
    "mein",
    "meine",
    "meinen",
    "meinem",
    "an",
    "zu",
    "zum",
    "para",
    "con",
    "mi",
    "pour",
    "avec",
    "mon",
    "ma",
    "per",
    "mio",
    "mia",
    "voor",
    "met",
    "mijn",
    "do",
    "dla",
    "z",
    "than",
    "like",
    "als",
    "que",
    "comme",
    "than",
];
const WITH: &[&str] = &["with", "mit", "con", "avec", "met", "z", "ze", "having"];
const WITHOUT: &[&str] = &["without", "ohne", "sin", "sans", "senza", "zonder", "bez"];
/// Things that come with a product; their connector is not the product's.
const EXTRAS: &[&str] = &[
    "cable",
    "cables",
    "charger",
    "adapter",
    "plug",
    "kabel",
    "ladegerat",
    "cargador",
    "chargeur",
    "cavo",
    "lader",
];

/// Finds brands by their names.
pub(super) fn find_brands(question: &Question<'_>, fields: &Fields) -> Vec<Rated> {
    let rate = |question: &Question<'_>, at: usize| {
        if FROM.contains(&question.before(at, 1)) {
            return Some(80);
        }
        let before = (1..=3).map(|count| question.before(at, count));
        let mut before = before.take_while(|word| !word.is_empty() && *word != ",");
        let is_name = question.words[at].is_capital && !question.is_sentence_start(at);
        let is_own = question.is_negated(at) || !before.any(|word| FOR.contains(&word));
        (is_name && is_own && !question.asks_yes_or_no).then_some(75)
    };
    find_literals(question, fields, Role::Brand, rate)
}

/// Finds values of other fields, only as in "with USB-C".
pub(super) fn find_others(question: &Question<'_>, fields: &Fields) -> Vec<Rated> {
    let rate = |question: &Question<'_>, at: usize| {
        let place = if lexicon::ARTICLES.contains(&question.before(at, 1)) { at.checked_sub(1)? } else { at };
        let before = question.before(place, 1);
        let is_cued = WITH.contains(&before) || WITHOUT.contains(&before);
        (is_cued && !question.asks_yes_or_no).then_some(45)
    };
    find_literals(question, fields, Role::Other, rate)
}

fn find_literals(
    question: &Question<'_>,
    fields: &Fields,
    role: Role,
    rate: impl Fn(&Question<'_>, usize) -> Option<u8>,
) -> Vec<Rated> {
    let mut found = Vec::new();
    for (name, field) in fields.with_role(role).into_iter().filter(|(_, field)| !field.is_number) {
        let places: Vec<_> =
            (0..question.words.len()).filter_map(|at| Some((at, rate(question, at)?))).collect();
        if places.is_empty() {
            continue;
        }
        // Of thousands of values only those are read that may start here.
        let may_start = |value: &&String| {
            let first =
                value.split(|character: char| !character.is_alphanumeric()).find(|word| !word.is_empty());
            let first = fold(first.unwrap_or_default());
            places.iter().any(|(at, _)| question.at(*at).starts_with(&first))
        };
        let values: Vec<_> = field.values.iter().filter(may_start).map(|value| Value::read(value)).collect();
        let mentions = places.into_iter().filter_map(|(at, certainty)| {
            let is_here = |value: &&Value<'_>| is_distinct(value) && value.is_at(question, at);
            let fitting: Vec<_> = values.iter().filter(is_here).collect();
            let length = fitting.iter().map(|value| value.words.len()).max()?;
            let is_extra = role == Role::Other && EXTRAS.contains(&question.at(at + length));
            let longest = fitting.iter().filter(|value| value.words.len() == length);
            let values = longest.map(|value| value.text.to_owned()).collect();
            (!is_extra).then_some(Mention { from: at, to: at + length, values, certainty })
        });
        found.extend(condition_of(question, name, mentions.collect(), field.values.len()));
    }
    found
}

/// Returns whether a value is more than a number, a quantity or a common word.
fn is_distinct(value: &Value<'_>) -> bool {
    let has_letters = value.words.iter().any(|word| word.folded.chars().any(char::is_alphabetic));
    let is_common =
        value.words.len() == 1 && lexicon::FUNCTION_WORDS.contains(&value.words[0].folded.as_str());
    let is_quantity = value.words.len() == 2 && value.words[0].number.is_some();
    has_letters && !is_quantity && value.text.chars().count() >= 2 && !is_common
}
