//! The settings as they were written: a tree of values that remember where.
//!
//! [The environment](super::environment) overrides the file, and [sections inherit](super::inheritance) from others.
//! Only then do values get their types, so that one pass finds every fault.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin};

pub(crate) type Entries = BTreeMap<String, Node>;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// The path where it was written, if another section inherits it.
    pub(crate) inherited_from: Option<String>,
}

impl Node {
    pub(crate) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, inherited_from: None }
    }

    pub(crate) fn is_inherited(&self) -> bool {
        self.inherited_from.is_some()
    }

    /// `{ env = "NAME" }`, as if the file said so.
    pub(crate) fn variable(name: &str) -> Self {
        let name = Self::new(Value::Text(name.to_owned()), Origin::Default);
        Self::new(Value::Table(Entries::from([("env".to_owned(), name)])), Origin::Default)
    }
}

/// The TOML values that settings use. Dates are kept as text.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Entries),
}

impl Value {
    /// Names the type as an operator would.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Parses the file. A syntax error is the only fault reported: what follows it cannot be trusted.
pub(crate) fn parse(text: &str) -> Result<Entries, Fault> {
    let table = DeTable::parse(text).map_err(|error| Fault {
        origin: Origin::Line(line_of(text, error.span().map_or(0, |span| span.start))),
        path: String::new(),
        message: format!("not TOML: {}", error.message()),
    })?;
    let at = |offset| Origin::Line(line_of(text, offset));
    Ok(entries(table.get_ref(), &at))
}

/// A value that is nowhere in the file.
pub(crate) fn convert_json(value: &serde_json::Value) -> Value {
    let node = |value| Node::new(convert_json(value), Origin::Default);
    match value {
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Integer)
        }
        serde_json::Value::Bool(boolean) => Value::Boolean(*boolean),
        serde_json::Value::Array(items) => Value::List(items.iter().map(node).collect()),
        serde_json::Value::Object(keys) => {
            Value::Table(keys.iter().map(|(key, value)| (key.clone(), node(value))).collect())
        }
        serde_json::Value::Null => Value::Text(String::new()),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.get(..offset).unwrap_or(text).matches('\n').count()
}

fn entries(table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> Entries {
    table
        .iter()
        .map(|(key, value)| {
            let node = Node::new(convert(value.get_ref(), at), at(key.span().start));
            (key.get_ref().to_string(), node)
        })
        .collect()
}

pub(crate) fn convert(value: &DeValue<'_>, at: &dyn Fn(usize) -> Origin) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Value::Text(integer.to_string()), Value::Integer),
        DeValue::Float(float) => {
            float.as_str().parse().map_or_else(|_| Value::Text(float.to_string()), Value::Float)
        }
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(datetime) => Value::Text(datetime.to_string()),
        DeValue::Array(items) => Value::List(
            items.iter().map(|item| Node::new(convert(item.get_ref(), at), at(item.span().start))).collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, at)),
    }
}
