//! Limits before and after a number: "under", "at most", "between … and …", in seven languages.

use serde_json::Number;

use super::question::Question;
use crate::catalogue::filter::{Bound, Range};

/// How a number limits what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Below,
    AtMost,
    Above,
    AtLeast,
    /// "Budget of 50": at most, and the number is money.
    Budget,
}

const BEFORE: [(Limit, &[&str]); 5] = [
    (
        Limit::Below,
        &[
            "under",
            "below",
            "less than",
            "cheaper than",
            "fewer than",
            "smaller than",
            "lower than",
            "<",
            "unter",
            "unterhalb von",
            "weniger als",
            "gunstiger als",
            "billiger als",
            "kleiner als",
            "menos de",
            "menor de",
            "por debajo de",
            "inferior a",
            "mas barato que",
            "moins de",
            "en dessous de",
            "sous",
            "inferieur a",
            "moins cher que",
            "meno di",
            "sotto",
            "sotto i",
            "sotto ai",
            "inferiore a",
            "minder dan",
            "onder",
            "onder de",
            "goedkoper dan",
            "ponizej",
            "mniej niz",
            "tansze niz",
            "tanszy niz",
            "tansza niz",
            "taniej niz",
        ],
    ),
    (
        Limit::AtMost,
        &[
            "at most",
            "up to",
            "max",
            "maximum",
            "no more than",
            "not more than",
            "not over",
            "not above",
            "not exceeding",
            "hochstens",
            "maximal",
            "bis",
            "bis zu",
            "nicht mehr als",
            "nicht uber",
            "hasta",
            "como maximo",
            "maximo",
            "no mas de",
            "a lo sumo",
            "jusqu a",
            "jusqua",
            "au maximum",
            "au plus",
            "pas plus de",
            "fino a",
            "al massimo",
            "massimo",
            "non piu di",
            "maximaal",
            "hoogstens",
            "tot",
            "niet meer dan",
            "do",
            "maksymalnie",
            "najwyzej",
            "nie wiecej niz",
            "maks",
        ],
    ),
    (
        Limit::Above,
        &[
            "over",
            "above",
            "more than",
            "greater than",
            "larger than",
            "bigger than",
            ">",
            "uber",
            "mehr als",
            "grosser als",
            "mas de",
            "por encima de",
            "plus de",
            "au dessus de",
            "piu di",
            "oltre",
            "meer dan",
            "boven",
            "powyzej",
            "wiecej niz",
        ],
    ),
    (
        Limit::AtLeast,
        &[
            "at least",
            "minimum",
            "min",
            "no less than",
            "not less than",
            "not under",
            "not below",
            "mindestens",
            "wenigstens",
            "nicht unter",
            "nicht weniger als",
            "ab",
            "al menos",
            "como minimo",
            "minimo",
            "au moins",
            "a partir de",
            "almeno",
            "a partire da",
            "minstens",
            "minimaal",
            "vanaf",
            "co najmniej",
            "przynajmniej",
            "minimum",
            "od",
        ],
    ),
    (
        Limit::Budget,
        &[
            "budget",
            "my budget",
            "budget of",
            "budget is",
            "budget von",
            "budget ist",
            "presupuesto",
            "presupuesto de",
            "presupuesto es de",
            "budget de",
            "budget est de",
            "budget di",
            "budget van",
            "budget is",
            "budzet",
            "budzet to",
        ],
    ),
];

/// Limits of other languages that English has as different words.
const NOT_ENGLISH: &[&str] = &["do", "tot", "ab", "od", "bis", "sous", "onder"];

const AFTER: [(Limit, &[&str]); 2] = [
    (
        Limit::AtMost,
        &[
            "at most",
            "max",
            "maximum",
            "or less",
            "or under",
            "tops",
            "at the most",
            "hochstens",
            "maximal",
            "oder weniger",
            "como maximo",
            "maximo",
            "o menos",
            "au maximum",
            "maximum",
            "au plus",
            "ou moins",
            "al massimo",
            "massimo",
            "o meno",
            "maximaal",
            "hoogstens",
            "of minder",
            "maksymalnie",
            "lub mniej",
            "budget",
        ],
    ),
    (
        Limit::AtLeast,
        &[
            "or more",
            "or over",
            "minimum",
            "at least",
            "oder mehr",
            "mindestens",
            "o mas",
            "como minimo",
            "ou plus",
            "au moins",
            "o piu",
            "of meer",
            "minimaal",
            "lub wiecej",
        ],
    ),
];

const BETWEEN: &[&str] = &[
    "between", "zwischen", "entre", "tra", "fra", "tussen", "miedzy", "from", "von", "de", "desde", "da",
    "van", "od",
];
const AND: &[&str] = &["and", "und", "y", "et", "e", "en", "a", "i", "to", "bis", "hasta", "tot", "do"];
/// Words between a limit and its number.
const FILLERS: &[&str] =
    &["the", "a", "los", "las", "les", "i", "gli", "de", "about", "around", "of", "is", ":"];
/// Before "more than", these make a limit of it from above: "I don't want to spend more than 50".
const REFUSALS: &[&str] = &[
    "dont", "doesnt", "not", "cannot", "cant", "shouldnt", "mustnt", "wont", "never", "nicht", "kein",
    "keine", "no", "ne", "pas", "non", "niet", "nie",
];

/// Finds the limit of a number, and the place where its words start and end. The number, with its sign or unit, is at the
/// places `from..to`.
pub(super) fn limit_of(question: &Question<'_>, from: usize, to: usize) -> Option<(Limit, usize, usize)> {
    let mut start = from;
    for _ in 0..3 {
        if let Some((limit, length)) = phrase_before(question, start) {
            let limit = refused(question, start - length, limit);
            return Some((limit, start - length, to));
        }
        let is_abbreviated =
            question.before(start, 1) == "." && ["max", "min", "maks"].contains(&question.before(start, 2));
        if !is_abbreviated && !FILLERS.contains(&question.before(start, 1)) {
            break;
        }
        start -= 1;
    }
    let after = AFTER.iter().flat_map(|(limit, phrases)| phrases.iter().map(|phrase| (*limit, *phrase)));
    let after = after.filter_map(|(limit, phrase)| Some((limit, question.phrase(to, phrase)?)));
    let (limit, length) = after.max_by_key(|(_, length)| *length)?;
    Some((limit, from, to + length))
}

/// Finds "between" before a number at a place, and the place of the second number; each with the place where the words
/// start.
pub(super) fn interval(question: &Question<'_>, from: usize, to: usize) -> Option<(bool, usize, usize)> {
    let is_joined =
        AND.contains(&question.at(to)) || question.words.get(to).is_some_and(|word| word.is_hyphenated);
    let second = if AND.contains(&question.at(to)) { to + 1 } else { to };
    let is_article = FILLERS.contains(&question.at(second)) && question.at(second) != ":";
    let second = if is_article { second + 1 } else { second };
    question.words.get(second).filter(|word| is_joined && word.number.is_some())?;
    let has_article =
        FILLERS.contains(&question.before(from, 1)) && BETWEEN.contains(&question.before(from, 2));
    let start = if has_article { from - 1 } else { from };
    let is_between = BETWEEN.contains(&question.before(start, 1));
    Some((is_between, if is_between { start - 1 } else { from }, second))
}

/// Makes a range of a limit.
pub(super) fn range(limit: Limit, number: f64) -> Option<Range> {
    let bound = |is_inclusive| Some(Bound { number: number_of(number)?, is_inclusive });
    Some(match limit {
        Limit::Below => Range { high: Some(bound(false)?), low: None },
        Limit::AtMost | Limit::Budget => Range { high: Some(bound(true)?), low: None },
        Limit::Above => Range { low: Some(bound(false)?), high: None },
        Limit::AtLeast => Range { low: Some(bound(true)?), high: None },
    })
}

/// Writes whole numbers as such.
pub(super) fn number_of(number: f64) -> Option<Number> {
    let whole = format!("{number:.0}").parse::<i64>().ok().filter(|_| number.fract() == 0.0);
    whole.map(Number::from).or_else(|| Number::from_f64(number))
}

fn phrase_before(question: &Question<'_>, end: usize) -> Option<(Limit, usize)> {
    let phrases = BEFORE.iter().flat_map(|(limit, phrases)| phrases.iter().map(|phrase| (*limit, *phrase)));
    let phrases = phrases.filter(|(_, phrase)| !(question.is_english && NOT_ENGLISH.contains(phrase)));
    let found = phrases.filter_map(|(limit, phrase)| {
        let length = phrase.split(' ').count();
        question.phrase(end.checked_sub(length)?, phrase).map(|_| (limit, length))
    });
    found.max_by_key(|(_, length)| *length)
}

fn refused(question: &Question<'_>, start: usize, limit: Limit) -> Limit {
    if limit != Limit::Above {
        return limit;
    }
    let before = (1..=6).map(|count| question.before(start, count));
    let mut before = before.take_while(|word| !word.is_empty() && ![",", ".", "?", "!"].contains(word));
    if before.any(|word| REFUSALS.contains(&word)) { Limit::AtMost } else { limit }
}
