//! "In stock", as a wish: "that is in stock", "must be available now", "sofort lieferbar".

use super::{Constraint, FieldValues, Fields, Rated, fields::Role, question::Question, words::fold};
use crate::catalogue::filter::{Bound, Condition, Range, Scalar};

/// Phrases that say by themselves that a product is in stock.
const CLEAR: &[&str] = &[
    "in stock",
    "ready to ship",
    "available immediately",
    "immediately available",
    "available now",
    "available right now",
    "available today",
    "currently available",
    "available straight away",
    "not sold out",
    "auf lager",
    "vorratig",
    "sofort lieferbar",
    "lieferbar",
    "sofort verfugbar",
    "jetzt verfugbar",
    "nicht ausverkauft",
    "en stock",
    "en existencias",
    "disponible ya",
    "disponible ahora",
    "disponibles ahora",
    "no agotado",
    "no agotada",
    "disponible immediatement",
    "disponible tout de suite",
    "disponibles tout de suite",
    "pas epuise",
    "in magazzino",
    "disponibile subito",
    "disponibili subito",
    "op voorraad",
    "direct leverbaar",
    "direct beschikbaar",
    "na stanie",
    "w magazynie",
    "dostepny od reki",
    "dostepne od reki",
    "dostepna od reki",
];
/// Words that say it only after a demand.
const AVAILABLE: &[&str] = &[
    "available",
    "verfugbar",
    "disponible",
    "disponibles",
    "disponibile",
    "disponibili",
    "beschikbaar",
    "leverbaar",
    "dostepny",
    "dostepna",
    "dostepne",
];
/// Words that demand: "that is", "must be", "has to be".
const DEMANDS: &[&str] = &[
    "that",
    "which",
    "thats",
    "must",
    "should",
    "only",
    "has",
    "needs",
    "die",
    "der",
    "das",
    "muss",
    "mussen",
    "soll",
    "nur",
    "que",
    "debe",
    "deben",
    "solo",
    "qui",
    "doit",
    "doivent",
    "seulement",
    "che",
    "deve",
    "dat",
    "moet",
    "alleen",
    "ktory",
    "ktora",
    "ktore",
    "musi",
];
/// Words between a demand and what it demands.
const LINKS: &[&str] = &[
    "is",
    "are",
    "be",
    "to",
    "you",
    "have",
    "really",
    "actually",
    "currently",
    "still",
    "s",
    "still",
    "right",
    "now",
    "ist",
    "sind",
    "sein",
    "ihr",
    "habt",
    "auch",
    "gerade",
    "wirklich",
    "este",
    "esten",
    "esta",
    "estan",
    "estar",
    "sea",
    "tengais",
    "teneis",
    "est",
    "sont",
    "etre",
    "soit",
    "vous",
    "avez",
    "sia",
    "sono",
    "essere",
    "jullie",
    "hebben",
    "zijn",
    "jest",
    "sa",
    "byc",
];
/// Before "in stock", they stand for a product that was named: "is it in stock".
const PRONOUNS: &[&str] = &[
    "it", "they", "this", "these", "them", "those", "es", "er", "sie", "ihn", "davon", "lo", "los", "las",
    "esta", "estan", "il", "elle", "ils", "elles", "en", "hij", "ze", "hem", "jest", "sa",
];
/// Questions for products, and their first words.
const CHOICES: &[&str] = &[
    "anything",
    "something",
    "any",
    "etwas",
    "irgendwas",
    "algo",
    "qualcosa",
    "iets",
    "cos",
    "which",
    "what",
    "welche",
    "welcher",
    "welches",
    "welchen",
    "cuales",
    "que",
    "quels",
    "quelles",
    "quel",
    "quelle",
    "quali",
    "welke",
    "jakie",
    "ktore",
];
/// Starts of questions whether something is in stock.
const QUESTIONS: &[&str] = &[
    "is", "are", "do", "does", "have", "has", "can", "will", "ist", "sind", "habt", "haben", "hat", "gibt",
    "hay", "teneis", "tienen", "tiene", "esta", "estan", "avez", "vous", "est", "avete", "c", "ci", "hebben",
    "heeft", "zijn", "macie", "czy", "and", "und",
];
const NOT_NOW: &[&str] = &[
    "when", "if", "again", "back", "until", "soon", "notify", "many", "how", "wann", "wenn", "wieder",
    "sobald", "viele", "cuando", "cuantos", "cuantas", "si", "quand", "combien", "quando", "quanti",
    "wanneer", "hoeveel", "kiedy", "ile", "why", "warum",
];
const YES: &[&str] = &[
    "yes",
    "true",
    "y",
    "1",
    "in stock",
    "in_stock",
    "instock",
    "available",
    "ja",
    "auf lager",
    "verfugbar",
    "lieferbar",
    "si",
    "en stock",
    "disponible",
    "oui",
    "disponibile",
    "op voorraad",
    "tak",
    "dostepny",
];

/// Finds the wish for what is in stock.
pub(super) fn find_stock(question: &Question<'_>, fields: &Fields) -> Option<Rated> {
    let fields = fields.with_role(Role::Stock);
    let (field, condition) = fields.into_iter().find_map(|(name, values)| Some((name, in_stock(values)?)))?;
    if question.has_word(NOT_NOW) {
        return None;
    }
    let (from, to) = (0..question.words.len()).find_map(|at| {
        let clear = CLEAR.iter().filter_map(|phrase| question.phrase(at, phrase)).max();
        let is_wish = |from: usize| is_demanded(question, from) || !is_asked(question, from);
        let clear = clear.filter(|_| is_wish(at));
        let length = clear
            .or_else(|| (AVAILABLE.contains(&question.at(at)) && is_demanded(question, at)).then_some(1))?;
        let is_without = question.at(at) != "not" && question.is_negated(at);
        // "Available in red" says that there is a red one.
        let is_variant = length == 1 && matches!(question.at(at + 1), "in" | "en" | "w" | "as");
        (!is_without && !is_variant).then_some((at, at + length))
    })?;
    let constraint = Constraint { words: question.quote(from, to), field: field.to_owned(), condition };
    Some(Rated { certainty: 88, constraint })
}

fn in_stock(values: &FieldValues) -> Option<Condition> {
    if values.is_number {
        let zero = Bound { number: 0.into(), is_inclusive: false };
        return Some(Condition::Range(Range { low: Some(zero), high: None }));
    }
    let values = values.values.iter().filter(|value| YES.contains(&fold(value).trim()));
    let values: Vec<_> = values.map(|value| Scalar::Text(value.clone())).collect();
    (!values.is_empty()).then_some(Condition::In(values))
}

/// Returns whether the question asks for the word at this place: "want", "need" or the like stands before it.
fn is_demanded(question: &Question<'_>, place: usize) -> bool {
    let mut at = place;
    while at > 0 && LINKS.contains(&question.at(at - 1)) {
        at -= 1;
    }
    at > 0 && DEMANDS.contains(&question.before(at, 1)) && !question.is_sentence_start(at - 1)
}

/// Returns whether the sentence asks if something is in stock, rather than for products that are.
fn is_asked(question: &Question<'_>, place: usize) -> bool {
    if PRONOUNS.contains(&question.before(place, 1)) {
        return true;
    }
    let start = (0..=place).rev().find(|at| question.is_sentence_start(*at)).unwrap_or_default();
    let first = question.at(start);
    let is_choice = CHOICES.contains(&first);
    !is_choice && (QUESTIONS.contains(&first) || question.has_question_mark())
}
