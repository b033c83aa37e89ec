//! Sizes: "size 44", "in Größe M", "I take an XL".

use super::{
    FieldValues, Fields, Rated,
    fields::Role,
    question::Question,
    units::is_unit,
    values::{Mention, Value, condition_of},
    words::Word,
};

const CUES: &[&str] = &[
    "size",
    "sizes",
    "grosse",
    "groesse",
    "gr",
    "schuhgrosse",
    "kleidergrosse",
    "talla",
    "tallas",
    "numero",
    "taille",
    "pointure",
    "taglia",
    "misura",
    "maat",
    "schoenmaat",
    "rozmiar",
    "rozmiarze",
    "rozmiaru",
];
const PREPOSITIONS: &[&str] = &["in", "en", "w"];
/// Words before a letter that is a size.
const LETTER_CUES: &[&str] =
    &["in", "en", "w", "a", "an", "une", "un", "eine", "take", "wear", "need", "trage", "brauche"];
const FILLERS: &[&str] = &[":", "eu", "of", "is", "nr", "numero", "ist", "es", "est"];
const JOINS: &[&str] = &["or", "oder", "o", "ou", "of", "lub", "and", "und", "y", "et", ","];
const LETTERS: [(&str, &str); 6] = [
    ("xs", "xs"),
    ("s", "s small klein pequena pequeno petit petite"),
    ("m", "m medium mittel mediana mediano moyen media"),
    ("l", "l large gross grande grand groot"),
    ("xl", "xl"),
    ("xxl", "xxl 2xl"),
];
/// Sizes that fit everybody.
const UNIVERSAL: &[&str] = &[
    "one size",
    "onesize",
    "universal",
    "einheitsgrosse",
    "talla unica",
    "taille unique",
    "taglia unica",
    "rozmiar uniwersalny",
];
const CERTAIN: u8 = 78;

/// Finds the sizes that a question asks for.
pub(super) fn find_sizes(question: &Question<'_>, fields: &Fields) -> Vec<Rated> {
    if question.asks_yes_or_no {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, field) in fields.with_role(Role::Size) {
        let mut mentions: Vec<Mention> = Vec::new();
        for at in 0..question.words.len() {
            let joined =
                mentions.last().filter(|last| last.to + 1 == at && JOINS.contains(&question.at(at - 1)));
            let certainty = rate(question, at).or_else(|| joined.map(|last| last.certainty));
            let Some(certainty) = certainty else { continue };
            let Some((to, size)) = read_size(question, at) else { continue };
            let values = fitting(field, &size);
            if !values.is_empty() {
                mentions.push(Mention { from: at, to, values, certainty });
            }
        }
        found.extend(condition_of(question, name, mentions, usize::MAX));
    }
    found
}

/// Returns how certainly a size is at a place.
fn rate(question: &Question<'_>, at: usize) -> Option<u8> {
    let is_filled = FILLERS.contains(&question.before(at, 1));
    let cue = question.before(at, if is_filled { 2 } else { 1 });
    if CUES.contains(&cue) {
        return Some(CERTAIN);
    }
    let word = &question.words[at];
    let before = question.before(at, 1);
    if word.number.is_some() {
        let is_last = question.words.get(at + 1).is_none_or(|next| next.is_break);
        return (is_last && PREPOSITIONS.contains(&before)).then_some(40);
    }
    let is_letter = LETTERS.iter().any(|(letter, _)| *letter == word.folded);
    let next = question.words.get(at + 1);
    // "M-Audio", "L'été".
    let is_prefix = next.is_some_and(|next| !next.is_break && (next.is_hyphenated || question.is_elided(at)));
    if !is_letter || !word.is_capital || is_prefix {
        return None;
    }
    if word.folded.len() > 1 {
        return Some(74);
    }
    let is_apart = at.checked_sub(1).is_none_or(|before| question.words[before].is_break);
    ((is_apart || LETTER_CUES.contains(&before)) && question.is_end(at + 1)).then_some(60)
}

/// A size that is asked for.
enum Size {
    Number(f64),
    Word(String),
}

/// Reads a size, and the place where it ends.
fn read_size(question: &Question<'_>, at: usize) -> Option<(usize, Size)> {
    let word = question.words.get(at)?;
    let next = question.at(at + 1);
    match word.number {
        Some(2.0) if matches!(next, "xl" | "xs") => Some((at + 2, Size::Word(format!("x{next}")))),
        Some(_) if is_unit(next) => None,
        Some(number) => Some((at + 1, Size::Number(number))),
        None => {
            let size = letter_of(&word.folded).unwrap_or(&word.folded);
            Some((at + 1, Size::Word(size.to_owned())))
        }
    }
}

/// The values of a field that a size fits, with those that fit everybody.
fn fitting(field: &FieldValues, size: &Size) -> Vec<String> {
    let values: Vec<_> = field.values.iter().map(|value| Value::read(value)).collect();
    let fits = |value: &&Value<'_>| fits(value, size);
    let mut fitting: Vec<_> = values.iter().filter(fits).map(|value| value.text.to_owned()).collect();
    if !fitting.is_empty() {
        let folded = |value: &Value<'_>| {
            value.words.iter().map(|word| word.folded.as_str()).collect::<Vec<_>>().join(" ")
        };
        let universal = values.iter().filter(|value| UNIVERSAL.contains(&folded(value).as_str()));
        fitting.extend(universal.map(|value| value.text.to_owned()));
    }
    fitting
}

fn fits(value: &Value<'_>, size: &Size) -> bool {
    match size {
        Size::Number(wanted) => fits_number(&value.words, *wanted),
        Size::Word(wanted) => fits_word(&value.words, wanted),
    }
}

/// "44", "EU 44", and "36–46".
fn fits_number(words: &[Word], wanted: f64) -> bool {
    let is_wanted = |word: &Word| word.number.is_some_and(|number| (number - wanted).abs() < 1e-9);
    let is_system = |word: &Word| matches!(word.folded.as_str(), "eu" | "eur");
    match words {
        [number] => is_wanted(number),
        [system, number] if is_system(system) => is_wanted(number),
        [number, system] if is_system(system) => is_wanted(number),
        [low, high] => low.number.zip(high.number).is_some_and(|(low, high)| low <= wanted && wanted <= high),
        _ => false,
    }
}

/// "M", "Medium", "M 54–58 cm" and "M/L", but not "long sleeve" for "long" or "10 m" for "M".
fn fits_word(words: &[Word], wanted: &str) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    let is_letter = |word: &Word| letter_of(&word.folded).is_some();
    let is_wanted = |word: &Word| letter_of(&word.folded).unwrap_or(&word.folded) == wanted;
    let measures = |word: &Word| word.number.is_some() || is_unit(&word.folded);
    match rest {
        [] => is_wanted(first),
        [second] if is_letter(first) && is_letter(second) => is_wanted(first) || is_wanted(second),
        rest => is_letter(first) && is_wanted(first) && rest.iter().all(measures),
    }
}

fn letter_of(folded: &str) -> Option<&'static str> {
    let known = LETTERS.iter().find(|(_, names)| names.split(' ').any(|name| name == folded));
    known.map(|(letter, _)| *letter)
}
