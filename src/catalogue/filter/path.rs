//! Conditions as predicates of jsonpath, for PostgreSQL 15 and later.

use std::fmt::Write;

use serde_json::{Number, Value};

use super::{Condition, Range, Scalar, matching::literal};

impl Condition {
    /// Returns the condition on a field as a jsonpath predicate, for PostgreSQL 15 and later.
    ///
    /// `exists(… ? (…))` turns what cannot be compared (a text with a number, a text that is no number) into false,
    /// where a bare comparison would be unknown, and so would be its negation.
    pub fn predicate(&self, field: &str) -> String {
        let (negation, test) = match self {
            Self::Range(range) => ("", range.test()),
            Self::In(scalars) => ("", equals_any(scalars)),
            Self::Not(scalars) => ("!", equals_any(scalars)),
            Self::Exists(true) => ("", "@ != null".to_owned()),
            Self::Exists(false) => ("!", "@ != null".to_owned()),
        };
        format!("{negation}exists($.{} ? ({test}))", quote(field))
    }
}

impl Range {
    /// Without bounds, any number passes.
    fn test(&self) -> String {
        let tests = self.bounds().map(|(_, sign, number)| format!("@.double() {sign} {}", plain(number)));
        let tests: Vec<_> = tests.collect();
        if tests.is_empty() { "@.double() <= 0 || @.double() > 0".to_owned() } else { tests.join(" && ") }
    }
}

impl Scalar {
    fn test(&self) -> String {
        match self {
            Self::Text(text) => match literal(text) {
                Some(Value::Number(number)) => format!("@ == {} || @ == {}", quote(text), plain(&number)),
                Some(value) => format!("@ == {} || @ == {value}", quote(text)),
                None => format!("@ == {}", quote(text)),
            },
            Self::Number(number) => format!("@ == {0} || @.double() == {0}", plain(number)),
            Self::Bool(value) => format!("@ == {value} || @ == \"{value}\""),
        }
    }
}

fn equals_any(scalars: &[Scalar]) -> String {
    if scalars.is_empty() {
        return "1 == 0".to_owned();
    }
    scalars.iter().map(Scalar::test).collect::<Vec<_>>().join(" || ")
}

/// Writes a number in digits, without an exponent.
fn plain(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.to_string(),
        _ => number.to_string(),
    }
}

/// Quotes a text for jsonpath, whose strings know all escapes of JSON.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // `write!` to a string cannot fail.
            character if character.is_control() => _ = write!(quoted, "\\u{:04x}", u32::from(character)),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
