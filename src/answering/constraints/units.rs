//! Quantities with a unit: "128 GB", "at least 10000 mAh", where a field holds such values.

use super::{
    Constraint, Fields, Rated,
    fields::Role,
    limits::{Limit, limit_of, range},
    question::Question,
    values::Value,
    words::{Word, fold},
};
use crate::catalogue::filter::{Condition, Scalar};

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    Storage,
    Charge,
    Volume,
    Power,
    Light,
    Diagonal,
    Length,
    Mass,
    Time,
    Other,
}

const UNITS: [(Dimension, f64, &str); 24] = [
    (Dimension::Storage, 1.0, "gb gig gigs gigabyte gigabytes go gigas"),
    (Dimension::Storage, 1000.0, "tb terabyte terabytes"),
    (Dimension::Charge, 1.0, "mah"),
    (Dimension::Charge, 1000.0, "ah"),
    (Dimension::Volume, 1.0, "l liter liters litre litres litro litros litri litrow litra"),
    (Dimension::Volume, 0.001, "ml milliliter millilitres millilitre"),
    (Dimension::Volume, 0.01, "cl"),
    (Dimension::Power, 1.0, "w watt watts vatios watow"),
    (Dimension::Power, 1000.0, "kw"),
    (Dimension::Light, 1.0, "lm lumen lumens"),
    (Dimension::Diagonal, 1.0, "inch inches zoll pulgadas pulgada pouces pouce pollici inchy cali \" ″"),
    (
        Dimension::Length,
        1.0,
        "cm centimetre centimetres centimeter centimeters zentimeter centimetros centimetri",
    ),
    (Dimension::Length, 0.1, "mm millimetre millimetres millimeter"),
    (Dimension::Length, 100.0, "m metre metres meter meters metro metros metri metrow"),
    (Dimension::Mass, 1.0, "g gram grams gramm gramos grammes grammi gramow"),
    (Dimension::Mass, 1000.0, "kg kilo kilos kilogram kilograms kilogramm kilogrammes kilogramos chili"),
    (Dimension::Time, 1.0, "day days tag tage tagen dia dias jour jours giorni dagen dni"),
    (Dimension::Time, 7.0, "week weeks woche wochen semana semanas semaine semaines settimane weken"),
    (Dimension::Time, 30.0, "month months monat monate monaten mes meses mois mesi maanden miesiecy"),
    (Dimension::Time, 365.0, "year years jahr jahre jahren ano anos an ans anni jaar lat"),
    (
        Dimension::Time,
        0.04,
        "hour hours h hrs stunden hora horas heure heures ore uur godzin minutes minuten min",
    ),
    (
        Dimension::Other,
        1.0,
        "person persons people personen personas personne personnes persone personen osob man men",
    ),
    (
        Dimension::Other,
        1.0,
        "degrees grad grados degres gradi graden stopni celsius % km miles mph hz db v volt mm2 kelvin",
    ),
    (
        Dimension::Other,
        1.0,
        "pieces stuck piezas pieces pezzi stuks sztuk sets percent prozent pack packs cups tassen stars",
    ),
];

/// Units that a field of mixed units may be compared by: other units are said of things that the field does not measure,
/// like the weight of a backpack whose size is in litres.
const COMPARABLE: &[Dimension] = &[Dimension::Storage, Dimension::Charge, Dimension::Power];
const EQUAL: &[Dimension] = &[Dimension::Storage, Dimension::Charge, Dimension::Power, Dimension::Volume];
/// Words that make it the property of a part: 16 GB of memory, a battery of 4000 mAh.
const PARTS: &[&str] = &[
    "ram",
    "memory",
    "arbeitsspeicher",
    "memoria",
    "vive",
    "battery",
    "akku",
    "bateria",
    "batterie",
    "batteria",
    "accu",
    "baterie",
    "charger",
    "ladegerat",
];
/// The fewest values with a unit that make it one that a field is given in.
const MIN_VALUES: usize = 3;

/// A quantity in the question, at the places `from..to`.
struct Quantity {
    number: f64,
    dimension: Dimension,
    from: usize,
    to: usize,
}

/// Returns whether a word is a unit, so that the number before it is not money.
pub(super) fn is_unit(word: &str) -> bool {
    unit(word).is_some()
}

fn unit(word: &str) -> Option<(Dimension, f64)> {
    let found = UNITS.iter().find(|(.., names)| names.split(' ').any(|name| name == word));
    found.map(|(dimension, factor, _)| (*dimension, *factor))
}

fn quantity(words: &[Word], at: usize) -> Option<(Dimension, f64)> {
    let (dimension, factor) = unit(&words.get(at + 1)?.folded)?;
    Some((dimension, words.get(at)?.number? * factor))
}

/// Finds a quantity that a field can be restricted by. A question with several of one kind restricts nothing.
pub(super) fn find_quantities(question: &Question<'_>, fields: &Fields) -> Vec<Rated> {
    if question.asks_yes_or_no {
        return Vec::new();
    }
    let quantities: Vec<_> = (0..question.words.len())
        .filter_map(|at| {
            let (dimension, number) = quantity(&question.words, at)?;
            Some(Quantity { number, dimension, from: at, to: at + 2 })
        })
        .collect();
    let is_only = |quantity: &&Quantity| {
        quantities.iter().filter(|other| other.dimension == quantity.dimension).count() == 1
    };
    let is_whole = |quantity: &&Quantity| {
        let near = (quantity.from.saturating_sub(2)..quantity.to + 2).map(|place| question.at(place));
        let is_number = question.at(quantity.to) == "×" || question.before(quantity.from, 1) == "×";
        !is_number && !question.is_owned(quantity.from) && !near.into_iter().any(|word| PARTS.contains(&word))
    };
    let clear: Vec<_> = quantities.iter().filter(is_only).filter(is_whole).collect();
    clear.into_iter().filter_map(|quantity| restrict(question, fields, quantity)).collect()
}

fn restrict(question: &Question<'_>, fields: &Fields, quantity: &Quantity) -> Option<Rated> {
    let limit = limit_of(question, quantity.from, quantity.to);
    let (from, to) = limit.map_or((quantity.from, quantity.to), |(_, from, to)| (from, to));
    let limit = limit.map(|(limit, ..)| limit);
    if limit.is_none() && question.is_relative() {
        return None;
    }
    let roles = [Role::Other, Role::Size];
    let fields = roles.into_iter().flat_map(|role| fields.with_role(role));
    let found = fields.filter_map(|(name, values)| {
        let condition = if values.is_number {
            named_range(name, quantity, limit?)?
        } else {
            listed(&values.values, quantity, limit)?
        };
        Some((name.to_owned(), condition))
    });
    let (field, condition) = found.into_iter().next()?;
    let constraint = Constraint { words: question.quote(from, to), field, condition };
    Some(Rated { certainty: 50, constraint })
}

/// A range of a numeric field whose name says the unit, such as `capacity_mah`.
fn named_range(name: &str, quantity: &Quantity, limit: Limit) -> Option<Condition> {
    let folded = fold(name);
    let mut units = folded.split(|part: char| !part.is_alphanumeric()).filter_map(unit);
    let (_, factor) = units.find(|(dimension, _)| *dimension == quantity.dimension)?;
    range(limit, quantity.number / factor).map(Condition::Range)
}

/// The values of a field that are a quantity and fit the limit.
fn listed<'a>(
    values: impl IntoIterator<Item = &'a String> + Clone,
    quantity: &Quantity,
    limit: Option<Limit>,
) -> Option<Condition> {
    let all = values.clone().into_iter().count();
    let is_numeral = |text: &&String| text.trim_start().starts_with(|start: char| start.is_ascii_digit());
    let read = values.into_iter().filter(is_numeral).filter_map(|text| {
        let words = Value::read(text).words;
        let (dimension, number) = quantity_of_value(&words)?;
        (dimension == quantity.dimension).then_some((text, number))
    });
    let read: Vec<_> = read.collect();
    let is_pure = read.len() * 10 >= all * 6;
    let is_fit = match limit {
        None => EQUAL.contains(&quantity.dimension),
        Some(Limit::Above | Limit::AtLeast) => COMPARABLE.contains(&quantity.dimension),
        Some(_) => false,
    };
    if read.len() < MIN_VALUES || !(is_pure || is_fit) {
        return None;
    }
    let fits = |number: f64| {
        let difference = number - quantity.number;
        let is_equal = difference.abs() <= quantity.number * 1e-6;
        match limit {
            None => is_equal,
            Some(Limit::Below) => difference < 0.0 && !is_equal,
            Some(Limit::AtMost | Limit::Budget) => difference < 0.0 || is_equal,
            Some(Limit::Above) => difference > 0.0 && !is_equal,
            Some(Limit::AtLeast) => difference > 0.0 || is_equal,
        }
    };
    let fitting = read.iter().filter(|(_, number)| fits(*number));
    let fitting: Vec<_> = fitting.map(|(text, _)| Scalar::Text((*text).clone())).collect();
    (!fitting.is_empty() && fitting.len() < all).then_some(Condition::In(fitting))
}

fn quantity_of_value(words: &[Word]) -> Option<(Dimension, f64)> {
    if words.len() == 2 { quantity(words, 0) } else { None }
}
