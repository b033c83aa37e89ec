//! Constraints that a customer's question states, such as "under 300", "in red", "size 44" or "from Daybird", as
//! conditions on the catalogue's metadata.
//!
//! Rules read them, in English, German, Spanish, French, Italian, Dutch and Polish. Every constraint is checked against
//! values that the metadata has. The rules prefer to miss one: a wrong constraint hides the answer, a missed one only
//! leaves the order to similarity. So a question about the shop's terms ("free shipping over 50 euros?") has none, and
//! neither has one that asks whether a certain product has a property ("is the jacket available in red?"), since the
//! answer may be no. Kinds of products (categories) are left to similarity.

use std::{cmp::Reverse, collections::BTreeMap, collections::BTreeSet};

use crate::catalogue::filter::Condition;
use question::Question;

mod colour;
mod fields;
mod lexicon;
mod limits;
mod price;
mod question;
mod size;
mod stock;
mod terms;
mod units;
mod values;
mod words;

#[cfg(test)]
mod tests;

/// The metadata fields of a catalogue.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub BTreeMap<String, FieldValues>);

/// What a field holds.
#[derive(Clone, Debug, Default)]
pub struct FieldValues {
    /// Whether its values are numbers, also as texts.
    pub is_number: bool,
    /// Its distinct values as texts; for numbers, any that are known.
    pub values: BTreeSet<String>,
}

/// A constraint that a question states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// The words of the question that state it.
    pub words: String,
    /// The metadata field.
    pub field: String,
    /// What the field must be.
    pub condition: Condition,
}

/// A constraint and how certain it is, in percent.
struct Rated {
    certainty: u8,
    constraint: Constraint,
}

/// Finds the constraints that a question states, from the most to the least certain: if too few documents meet all of
/// them, drop them from the end. The work is linear in the values of the fields that the question may mean.
pub fn find_constraints(question: &str, fields: &Fields) -> Vec<Constraint> {
    let question = Question::read(question);
    if question.is_about_terms() {
        return Vec::new();
    }
    let mut found: Vec<Rated> = Vec::new();
    found.extend(price::find_price(&question, fields));
    found.extend(stock::find_stock(&question, fields));
    found.extend(values::find_brands(&question, fields));
    found.extend(size::find_sizes(&question, fields));
    found.extend(colour::find_colours(&question, fields));
    found.extend(units::find_quantities(&question, fields));
    found.extend(values::find_others(&question, fields));
    found.sort_by_key(|rated| Reverse(rated.certainty));
    found.into_iter().map(|rated| rated.constraint).collect()
}
