//! Colours, across languages: a question's "in Rot" fits a catalogue's "red", "Rojo" or "red check".

use super::{
    Rated,
    fields::Role,
    lexicon,
    question::Question,
    values::{Mention, Value, condition_of},
};
use crate::answering::constraints::Fields;
use names::{COLOURS, colour_of};

mod names;

/// Materials that are written as colours. A question for "a steel bottle" means the material, so that these are not read
/// in questions.
const MATERIALS: [(&str, &str); 4] = [
    (
        "silver",
        "steel stainless aluminium aluminum titanium chrome nickel stahl edelstahl acero acier acciaio staal",
    ),
    ("gold", "brass messing laton laiton ottone"),
    (
        "brown",
        "oak walnut larch hickory beech wood eiche nussbaum holz roble nogal madera chene noyer bois legno",
    ),
    ("beige", "natural sand cream natur naturel naturale naturfarben"),
];

/// What a colour's name does not mean before these words: not a product's colour.
const OTHER_NOUNS: &[&str] = &[
    "light",
    "lights",
    "wine",
    "wines",
    "tea",
    "friday",
    "noise",
    "balance",
    "energy",
    "electricity",
    "cabbage",
    "cheese",
    "coffee",
    "pepper",
    "meat",
    "bread",
    "led",
    "leds",
    "licht",
    "wein",
    "tee",
    "friday",
    "luz",
    "vino",
    "te",
    "lumiere",
    "vin",
    "the",
    "luce",
    "wijn",
    "thee",
    "oil",
    "juice",
    "leaf",
    "leaves",
    "beach",
    "water",
    "stains",
    "eye",
    "eyes",
    "screen",
    "spot",
    "spots",
    "list",
    "box",
    "cross",
    "pan",
    "list",
];
/// What comes before a colour that belongs to the light or the sheets, not to the product.
const BEFORE_OTHER: &[&str] = &["warm", "neutral", "cool"];
/// Prepositions of other things than the product.
const OTHER_CUES: &[&str] =
    &["for", "with", "fits", "fur", "mit", "para", "con", "pour", "avec", "per", "voor", "met", "dla", "z"];
/// What comes before "for" and the product itself.
const SEEKING: &[&str] = &["looking", "look", "searching", "search", "shopping", "hunting", "asking", "ask"];
const CHANGES: &[&str] = &[
    "went", "goes", "turns", "turned", "became", "becomes", "stays", "stayed", "wird", "wurde", "bleibt",
    "reste", "devient", "wordt", "werd", "diventa",
];
const CUES: &[&str] =
    &["in", "en", "colour", "color", "farbe", "couleur", "colore", "kleur", "kolorze", "w", "im"];
const NOUNS: &[&str] = &[
    "one", "ones", "version", "versions", "model", "variant", "edition", "coloured", "colored", "colour",
    "color", "farbe", "variante", "farben",
];

/// Finds the colours that a question asks for, in each field of colours.
pub(super) fn find_colours(question: &Question<'_>, fields: &Fields) -> Vec<Rated> {
    let mut found = Vec::new();
    for (name, field) in fields.with_role(Role::Colour) {
        let values: Vec<_> = field.values.iter().map(|value| Value::read(value)).collect();
        let mut mentions = Vec::new();
        let mut at = 0;
        while at < question.words.len() {
            let mention = literal(question, &values, at).or_else(|| named(question, &values, at));
            at = mention.as_ref().map_or(at + 1, |mention: &Mention| mention.to);
            mentions.extend(mention);
        }
        // "The blue one, do you have it in green?" asks for green, which must not hide the others.
        let is_partial = question.asks_yes_or_no && mentions.len() < count(question);
        if !is_partial {
            found.extend(condition_of(question, name, mentions, values.len()));
        }
    }
    found
}

/// Counts the words that can only be colours.
fn count(question: &Question<'_>) -> usize {
    let colours = question.words.iter().filter_map(|word| colour_of(word, question.is_english));
    colours.filter(|colour| !colour.is_ambiguous).count()
}

/// A value of several words, or one that is no known colour but is asked for as one.
fn literal(question: &Question<'_>, values: &[Value<'_>], at: usize) -> Option<Mention> {
    let fitting: Vec<_> = values.iter().filter(|value| value.is_at(question, at)).collect();
    let length = fitting.iter().map(|value| value.words.len()).max()?;
    let is_known = length == 1 && colour_of(&question.words[at], false).is_some();
    let is_plain = length > 1 || ["colour", "color", "farbe"].contains(&question.before(at, 1));
    if is_known || !is_plain || question.asks_yes_or_no || BEFORE_OTHER.contains(&question.at(at)) {
        return None;
    }
    let longest = fitting.iter().filter(|value| value.words.len() == length);
    let values = longest.map(|value| value.text.to_owned()).collect();
    Some(Mention { from: at, to: at + length, values, certainty: 66 })
}

fn named(question: &Question<'_>, values: &[Value<'_>], at: usize) -> Option<Mention> {
    let word = &question.words[at];
    let colour = colour_of(word, question.is_english)?;
    let (before, after) = (question.before(at, 1), question.at(at + 1));
    if OTHER_NOUNS.contains(&after) || BEFORE_OTHER.contains(&before) || is_of_another(question, at) {
        return None;
    }
    let is_cued = CUES.contains(&before) || NOUNS.contains(&after);
    let is_attribute = lexicon::DEFINITES.contains(&before) || NOUNS.contains(&after);
    let is_certain = !colour.is_ambiguous || is_cued || is_apart(question, at) || is_listed(question, at);
    if !is_certain || question.asks_yes_or_no && !is_attribute {
        return None;
    }
    let shades = || COLOURS.iter().filter(|other| other.name == colour.name || other.shade_of == colour.name);
    let fits = |value: &&Value<'_>| {
        value.words.iter().any(|word| shades().any(|shade| shade.is(&word.folded, false)))
    };
    if !values.iter().any(|value| fits(&value)) {
        return None;
    }
    let fits = |value: &&Value<'_>| fits(value) || is_of_material(value, colour.name);
    let values = values.iter().filter(fits).map(|value| value.text.to_owned()).collect();
    let certainty = if colour.is_ambiguous { 55 } else { 70 };
    Some(Mention { from: at, to: at + 1, values, certainty })
}

/// Returns whether a colour is that of something else than the product: "my black bike", "batteries for a black remote",
/// "the screen went black".
fn is_of_another(question: &Question<'_>, at: usize) -> bool {
    let has_article = lexicon::ARTICLES.contains(&question.before(at, 1));
    let place = if has_article { at.saturating_sub(1) } else { at };
    let is_sought = SEEKING.contains(&question.before(place, 2));
    let is_other = OTHER_CUES.contains(&question.before(place, 1)) && !is_sought;
    let is_weather = question.before(at, 2) == "it" && ["s", "is"].contains(&question.before(at, 1));
    is_other || is_weather || CHANGES.contains(&question.before(at, 1)) || question.is_owned(at)
}

fn is_of_material(value: &Value<'_>, colour: &str) -> bool {
    let materials = MATERIALS.iter().filter(|(name, _)| *name == colour);
    let mut materials = materials.flat_map(|(_, materials)| materials.split(' '));
    materials.any(|material| value.words.iter().any(|word| word.folded == material))
}

/// Returns whether a word is set apart by punctuation, as in "Lark 6, sage", or describes a name, as in "the coral Tern".
fn is_apart(question: &Question<'_>, at: usize) -> bool {
    let next = question.words.get(at + 1);
    let is_before_end = next.is_none_or(|word| word.is_break);
    let is_after_comma = question.before(at, 1) == ",";
    let is_of_name = lexicon::DEFINITES.contains(&question.before(at, 1))
        && next.is_some_and(|word| word.is_capital)
        && question.is_english;
    is_after_comma && is_before_end || is_of_name
}

/// Returns whether a word is one of several colours: "red, orange or black".
fn is_listed(question: &Question<'_>, at: usize) -> bool {
    let is_plain = |place: Option<usize>| {
        let word = place.and_then(|place| question.words.get(place));
        word.is_some_and(|word| {
            colour_of(word, question.is_english).is_some_and(|colour| !colour.is_ambiguous)
        })
    };
    let joins = |word: &str| ["or", "oder", "o", "ou", "of", "lub", ","].contains(&word);
    joins(question.before(at, 1)) && is_plain(at.checked_sub(2))
        || joins(question.at(at + 1)) && is_plain(Some(at + 2))
}
