//! Conditions on a value at hand, decided as PostgreSQL decides their predicates.

use serde_json::Value;

use super::{Condition, Range, Scalar};

impl Condition {
    /// Returns whether a field's value meets the condition, as the [predicate](Self::predicate) decides in PostgreSQL.
    pub fn matches(&self, value: Option<&Value>) -> bool {
        let matches_one = |scalars: &[Scalar]| {
            any_element(value, &|element| scalars.iter().any(|scalar| scalar.equals(element)))
        };
        match self {
            Self::Range(range) => {
                any_element(value, &|element| number_of(element).is_some_and(|number| range.contains(number)))
            }
            Self::In(scalars) => matches_one(scalars),
            Self::Not(scalars) => !matches_one(scalars),
            Self::Exists(exists) => any_element(value, &|element| !element.is_null()) == *exists,
        }
    }
}

impl Range {
    fn contains(&self, number: f64) -> bool {
        self.bounds().all(|(_, sign, bound)| {
            let bound = bound.as_f64().unwrap_or(f64::NAN);
            match sign {
                ">=" => number >= bound,
                ">" => number > bound,
                "<=" => number <= bound,
                _ => number < bound,
            }
        })
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(text), Value::String(value)) => text == value,
            (Self::Text(text), value) => match literal(text) {
                Some(Value::Number(number)) => value.is_number() && number.as_f64() == value.as_f64(),
                literal => literal.as_ref() == Some(value),
            },
            (Self::Number(number), value) => number.as_f64() == number_of(value),
            (Self::Bool(own), Value::Bool(value)) => own == value,
            (Self::Bool(own), value) => value.as_str() == Some(&own.to_string()),
        }
    }
}

/// Returns the number or boolean that a text is, if JSON writes it the same: "044" is no number.
pub(super) fn literal(text: &str) -> Option<Value> {
    let value =
        serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean())?;
    serde_json::to_string(&value).is_ok_and(|written| written == text).then_some(value)
}

/// Returns whether a value, or an element of a list, passes a test.
fn any_element(value: Option<&Value>, test: &impl Fn(&Value) -> bool) -> bool {
    match value {
        None => false,
        Some(Value::Array(list)) => list.iter().any(|element| any_element(Some(element), test)),
        Some(value) => test(value),
    }
}

/// Reads a number as `.double()` does: also from a text.
fn number_of(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
}
