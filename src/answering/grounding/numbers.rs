//! Numbers as shops and models write them.

use std::{collections::HashMap, sync::LazyLock};

use super::lexicon::phrases;

/// A number in millionths, so that equal numbers are equal however they are written.
pub(super) type Value = i128;

/// The value of 1.
pub(super) const ONE: Value = 1_000_000;

/// The most digits before the decimals. More would overflow when a unit is converted.
const MAX_DIGITS: usize = 22;

/// Numbers in words in English, German, French, Spanish, Italian and Dutch. One is an article in most of them.
const WORDS: [(Value, &str); 11] = [
    (2, "two, zwei, deux, dos, due, twee"),
    (3, "three, drei, trois, tres, tre, drie"),
    (4, "four, vier, quatre, cuatro, quattro"),
    (5, "five, fünf, cinq, cinco, cinque, vijf"),
    (6, "six, sechs, seis, sei, zes"),
    (7, "seven, sieben, sept, siete, sette, zeven"),
    (8, "eight, acht, huit, ocho, otto"),
    (9, "nine, neun, neuf, nueve, nove, negen"),
    (10, "ten, zehn, dix, diez, dieci, tien"),
    (11, "eleven, elf, onze, once, undici"),
    (12, "twelve, zwölf, douze, doce, dodici, twaalf"),
];
/// Words of these that are also something else, mostly in another language: `neuf` is new, `sei` is be or are.
const AMBIGUOUS: &str = "dos, due, tres, sei, sept, acht, otto, neuf, ten, elf, onze, once";

/// Reads a number in words, from 2 to 12.
pub(super) fn number_in_words(word: &str) -> Option<Value> {
    static VALUES: LazyLock<HashMap<&str, Value>> = LazyLock::new(|| {
        WORDS.iter().flat_map(|(value, words)| phrases(words).map(move |word| (word, value * ONE))).collect()
    });
    VALUES.get(word).copied()
}

/// Whether a number in words needs a unit beside it to be one.
pub(super) fn is_ambiguous(word: &str) -> bool {
    phrases(AMBIGUOUS).any(|ambiguous| ambiguous == word)
}

/// Whether a word has letters before a digit, or between digits: `LMP-310`, `M8x40`; not `250kg`, `$45`, `40x60`,
/// `40cmx60cm`, `x2` or `18h30`.
pub(super) fn is_article_number(word: &str) -> bool {
    let mut letters = String::new();
    for (at, character) in word.char_indices() {
        if character.is_ascii_alphabetic() {
            letters.push(character);
        } else if character.is_ascii_digit() && !letters.is_empty() {
            let starts_with_digit = word.starts_with(|first: char| first.is_ascii_digit());
            let joins = match &*letters {
                "x" => true,
                "mmx" | "cmx" | "mx" => starts_with_digit,
                "h" => starts_with_digit && word.len() - at == 2,
                _ => false,
            };
            if !joins {
                return true;
            }
            letters.clear();
        }
    }
    false
}

/// Finds runs of digits, with the points, commas and apostrophes inside them.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|character: char| !character.is_ascii_digit() && !".,'’".contains(character));
    let parts = parts.map(|part| part.trim_matches(|character: char| !character.is_ascii_digit()));
    parts.filter(|part| !part.is_empty()).flat_map(|part| {
        // The day, month and year of `31.10.2026`.
        let is_date = is_date(part);
        part.split(move |character: char| is_date && character == '.')
    })
}

fn is_date(number: &str) -> bool {
    let lengths: Vec<_> = number.split('.').map(str::len).collect();
    matches!(lengths[..], [1..=2, 1..=2, 2 | 4])
}

/// Returns the values that a number may have: its last point or comma may separate decimals or thousands.
pub(super) fn values_of(number: &str) -> Vec<Value> {
    let Some((whole, decimals)) = number.rsplit_once(['.', ',']) else {
        return value(number, "").into_iter().collect();
    };
    let groups: Vec<_> = number.split(['.', ',', '\'', '’']).collect();
    let is_grouped = groups[1..].iter().all(|group| group.len() == 3);
    let grouped = is_grouped.then(|| value(number, "")).flatten();
    value(whole, decimals).into_iter().chain(grouped).collect()
}

fn value(whole: &str, decimals: &str) -> Option<Value> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let whole = digits(whole);
    let whole = whole.trim_start_matches('0');
    if whole.len() > MAX_DIGITS {
        return None;
    }
    format!("{whole}{:0<6.6}", digits(decimals)).parse().ok()
}

/// Returns the place value of a number's last digit that is not 0: 100 of 1300, 0.1 of 35.6.
pub(super) fn last_place(value: Value) -> Value {
    let places = (0..12).map(|exponent| 10_i128.pow(exponent));
    places.take_while(|place| value % place == 0).last().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_number_has_letters_before_a_digit_that_are_no_sign_of_multiplication_or_time() {
        for article in ["LMP-310", "M8x40", "X5", "2-in-1", "h30", "1h3"] {
            assert!(is_article_number(article), "{article}");
        }
        for number in ["250kg", "$45", "40x60", "40x60x20cm", "40cmx60cm", "x2", "18h30", "10:30"] {
            assert!(!is_article_number(number), "{number}");
        }
    }

    #[test]
    fn a_number_has_a_value_for_each_of_its_readings() {
        assert_eq!(values_of("1,299.00"), [1299 * ONE]);
        assert_eq!(values_of("1.299"), [1_299_000, 1299 * ONE]);
        assert_eq!(values_of("0089,90"), [89_900_000]);
        assert_eq!(values_of("1'299"), [1299 * ONE]);
        assert_eq!(values_of(&"9".repeat(40)), [0; 0]);
        assert_eq!(numbers("31.10.2026, 10:30").collect::<Vec<_>>(), ["31", "10", "2026", "10", "30"]);
    }

    #[test]
    fn the_last_place_is_that_of_the_last_digit_that_is_not_0() {
        assert_eq!(last_place(1300 * ONE), 100 * ONE);
        assert_eq!(last_place(35_600_000), 100_000);
    }
}
