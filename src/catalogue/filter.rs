//! The `filter` of a question: which documents a search may return, by their metadata.
//!
//! A filter is an object over the fields of a document's metadata. `{"brand": "Daybird"}` asks for containment, as
//! PostgreSQL's `metadata @> …` defines it, also for nested objects and arrays. A value that is an object of operators
//! is a condition:
//!
//! | operator | operand | a document matches if |
//! |---|---|---|
//! | `lt`, `lte`, `gt`, `gte` | a number | the field is a number in the range; a text that is a number counts as one |
//! | `in` | a list of texts, numbers, booleans | the field equals one of them |
//! | `not` | one such value, or a list | the field equals none of them; a document without the field matches |
//! | `exists` | a boolean | the field is there and neither null nor an empty list, or (`false`) the opposite |
//!
//! Several operators of one object must all hold. In `in` and `not`, 44 equals `"44"` and true equals `"true"`, because
//! catalogues write both. A field that is a list matches if one of its elements does; for `not`, if none does. A text
//! like `"1,299.00"` is no number. (A hexadecimal text like `"0x2c"` is one to PostgreSQL, but not to
//! [`Condition::matches`].)

use serde_json::{Map, Number, Value};
use thiserror::Error;

mod matching;
mod path;
#[cfg(test)]
mod tests;

const OPERATORS: [&str; 7] = ["lt", "lte", "gt", "gte", "in", "not", "exists"];
/// Operators of other systems. As names of a nested object's fields they are too rare to be meant.
const FOREIGN: [&str; 5] = ["eq", "ne", "le", "ge", "nin"];
/// The longest list of `in` and `not`.
const MAX_LIST: usize = 1000;
/// Characters of a wrong operand that an error repeats.
const MAX_SHOWN: usize = 80;

const NUMBER: &str = "a number";
const LIST: &str = "a list of texts, numbers or booleans that is not empty";
const SCALARS: &str = "a text, a number, a boolean or a list of these that is not empty";
const BOOLEAN: &str = "true or false";

/// Restricts a search to documents by their metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What the metadata must contain: the right side of `metadata @> …`.
    pub contained: Map<String, Value>,
    conditions: Vec<(String, Condition)>,
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The field is a number in this range.
    Range(Range),
    /// The field equals one of these.
    In(Vec<Scalar>),
    /// The field equals none of these, or is missing.
    Not(Vec<Scalar>),
    /// The field is present and not null, or, for `false`, is not.
    Exists(bool),
}

/// A range of numbers, with at least one bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The lower bound.
    pub low: Option<Bound>,
    /// The upper bound.
    pub high: Option<Bound>,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The number at the end.
    pub number: Number,
    /// Whether the range includes the number.
    pub is_inclusive: bool,
}

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Scalar {
    Text(String),
    Number(Number),
    Bool(bool),
}

/// Why a filter is not valid.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FilterError {
    #[error(
        "filter: {field:?} has the operator {operator:?} beside {other:?}, which is not an operator ({}); \
         use only operators, or none",
        OPERATORS.join(", ")
    )]
    Mixed { field: String, operator: String, other: String },
    #[error("filter: {field:?}: {operator:?} is not an operator; the operators are {}", OPERATORS.join(", "))]
    UnknownOperator { field: String, operator: String },
    #[error("filter: {field:?}: {operator:?} takes {expected}, not {value}")]
    Operand { field: String, operator: String, expected: &'static str, value: String },
    #[error("filter: {field:?}: {operator:?} has a list of {length} values; the most is {MAX_LIST}")]
    LongList { field: String, operator: String, length: usize },
    #[error("filter: {field:?} has both {first:?} and {second:?}; use one of them")]
    TwoBounds { field: String, first: &'static str, second: &'static str },
    #[error(
        "filter: {field:?} has the operator {operator:?} in a nested object; conditions are for top-level fields"
    )]
    Nested { field: String, operator: String },
    #[error("filter: {field:?} has the character U+0000, which PostgreSQL does not store")]
    NulCharacter { field: String },
}

type Result<T, E = FilterError> = std::result::Result<T, E>;

impl Filter {
    /// Reads the object form of a filter.
    pub fn parse(filter: &Map<String, Value>) -> Result<Self> {
        let mut parsed = Self::default();
        for (field, value) in filter {
            if field.contains('\0') || has_nul(value) {
                return Err(FilterError::NulCharacter { field: field.replace('\0', "\u{fffd}") });
            }
            if let Some(operators) = operators(field, value)? {
                let conditions = parse_conditions(field, operators)?;
                parsed.conditions.extend(conditions.into_iter().map(|condition| (field.clone(), condition)));
            } else {
                check_nested(field, value)?;
                parsed.contained.insert(field.clone(), value.clone());
            }
        }
        Ok(parsed)
    }

    /// Returns whether every document matches.
    pub fn is_empty(&self) -> bool {
        self.contained.is_empty() && self.conditions.is_empty()
    }

    /// Returns the conditions as one predicate, the `$n` of `metadata @@ $n::jsonpath`; `None` without conditions. It is
    /// true or false for every document, never null. Containment is not part of it.
    pub fn path(&self) -> Option<String> {
        self.path_with([])
    }

    /// Returns the same predicate, narrowed by more conditions, such as those that a question states.
    pub fn path_with<'a>(
        &'a self,
        more: impl IntoIterator<Item = (&'a str, &'a Condition)>,
    ) -> Option<String> {
        let own = self.conditions.iter().map(|(field, condition)| (field.as_str(), condition));
        let predicates: Vec<_> =
            own.chain(more).map(|(field, condition)| condition.predicate(field)).collect();
        (!predicates.is_empty()).then(|| predicates.join(" && "))
    }

    /// Returns whether metadata meets all conditions, as [`path`](Self::path) decides. Containment is not part of it.
    pub fn matches_all(&self, metadata: &Value) -> bool {
        self.conditions.iter().all(|(field, condition)| condition.matches(metadata.get(field)))
    }

    /// Returns the object form, which parses to an equal filter.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut object = self.contained.clone();
        for (field, condition) in &self.conditions {
            let operators = object.entry(field.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Some(operators) = operators.as_object_mut() {
                operators.extend(condition.operators());
            }
        }
        object
    }
}

impl Condition {
    /// Returns the object form, such as `{"lt": 300, "gte": 10}`.
    pub fn to_json(&self) -> Value {
        Value::Object(self.operators())
    }

    fn operators(&self) -> Map<String, Value> {
        let values = |scalars: &[Scalar]| scalars.iter().map(Scalar::to_json).collect::<Vec<_>>();
        let operators: Vec<(&str, Value)> = match self {
            Self::Range(range) => {
                range.bounds().map(|(operator, _, number)| (operator, number.clone().into())).collect()
            }
            Self::In(scalars) => vec![("in", values(scalars).into())],
            Self::Not(scalars) => match scalars.as_slice() {
                [scalar] => vec![("not", scalar.to_json())],
                scalars => vec![("not", values(scalars).into())],
            },
            Self::Exists(exists) => vec![("exists", (*exists).into())],
        };
        operators.into_iter().map(|(operator, operand)| (operator.to_owned(), operand)).collect()
    }
}

impl Range {
    /// Each bound as its operator, its sign in jsonpath, and its number.
    fn bounds(&self) -> impl Iterator<Item = (&'static str, &'static str, &Number)> {
        let low = self.low.iter().map(|low| {
            let (operator, sign) = if low.is_inclusive { ("gte", ">=") } else { ("gt", ">") };
            (operator, sign, &low.number)
        });
        let high = self.high.iter().map(|high| {
            let (operator, sign) = if high.is_inclusive { ("lte", "<=") } else { ("lt", "<") };
            (operator, sign, &high.number)
        });
        low.chain(high)
    }
}

impl Scalar {
    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Number(number) => number.clone().into(),
            Self::Bool(value) => (*value).into(),
        }
    }
}

/// Returns the operators of a condition, or `None` for a value that documents contain.
fn operators<'a>(field: &str, value: &'a Value) -> Result<Option<&'a Map<String, Value>>> {
    let Some(object) = value.as_object() else { return Ok(None) };
    let is_operator = |key: &&String| OPERATORS.contains(&key.as_str());
    let is_foreign =
        |key: &&String| FOREIGN.contains(&key.as_str()) || key.starts_with(['$', '<', '>', '=', '!']);
    let operator = object.keys().find(is_operator);
    let Some(other) = object.keys().find(|key| !is_operator(key)) else {
        return Ok(operator.map(|_| object));
    };
    let field = field.to_owned();
    match (operator, object.keys().find(is_foreign)) {
        (_, Some(foreign)) => Err(FilterError::UnknownOperator { field, operator: foreign.clone() }),
        (Some(operator), None) => {
            Err(FilterError::Mixed { field, operator: operator.clone(), other: other.clone() })
        }
        (None, None) => Ok(None),
    }
}

fn parse_conditions(field: &str, operators: &Map<String, Value>) -> Result<Vec<Condition>> {
    let range = Range {
        low: parse_bound(field, operators, ["gt", "gte"])?,
        high: parse_bound(field, operators, ["lt", "lte"])?,
    };
    let mut conditions = Vec::new();
    if range.bounds().next().is_some() {
        conditions.push(Condition::Range(range));
    }
    for (operator, value) in operators {
        conditions.push(match operator.as_str() {
            "in" => Condition::In(parse_list(field, operator, value, LIST)?),
            "not" if value.is_array() => Condition::Not(parse_list(field, operator, value, SCALARS)?),
            "not" => Condition::Not(vec![
                Scalar::parse(value).ok_or_else(|| wrong_operand(field, operator, value, SCALARS))?,
            ]),
            "exists" => Condition::Exists(
                value.as_bool().ok_or_else(|| wrong_operand(field, operator, value, BOOLEAN))?,
            ),
            _ => continue,
        });
    }
    Ok(conditions)
}

fn parse_bound(
    field: &str,
    operators: &Map<String, Value>,
    [exclusive, inclusive]: [&'static str; 2],
) -> Result<Option<Bound>> {
    let (operator, value) = match (operators.get(exclusive), operators.get(inclusive)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(FilterError::TwoBounds {
                field: field.to_owned(),
                first: exclusive,
                second: inclusive,
            });
        }
        (Some(value), None) => (exclusive, value),
        (None, Some(value)) => (inclusive, value),
    };
    let Value::Number(number) = value else { return Err(wrong_operand(field, operator, value, NUMBER)) };
    Ok(Some(Bound { number: number.clone(), is_inclusive: operator == inclusive }))
}

fn parse_list(field: &str, operator: &str, value: &Value, expected: &'static str) -> Result<Vec<Scalar>> {
    let wrong = || wrong_operand(field, operator, value, expected);
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    if list.len() > MAX_LIST {
        let (field, operator) = (field.to_owned(), operator.to_owned());
        return Err(FilterError::LongList { field, operator, length: list.len() });
    }
    list.iter().map(Scalar::parse).collect::<Option<_>>().ok_or_else(wrong)
}

fn wrong_operand(field: &str, operator: &str, value: &Value, expected: &'static str) -> FilterError {
    let text = value.to_string();
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    FilterError::Operand { field: field.to_owned(), operator: operator.to_owned(), expected, value: shown }
}

/// Refuses a condition deeper in a value, which would otherwise be compared literally and match nothing.
fn check_nested(field: &str, value: &Value) -> Result<()> {
    let children: Vec<_> = match value {
        Value::Object(object) => object.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => return Ok(()),
    };
    for child in children {
        if let Ok(Some(operators)) = operators(field, child) {
            let operator = operators.keys().next().cloned().unwrap_or_default();
            return Err(FilterError::Nested { field: field.to_owned(), operator });
        }
        check_nested(field, child)?;
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
