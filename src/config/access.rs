//! What is added to each request to a model server: `headers`, `query`, `extra_body`.

use secrecy::SecretString;
use serde_json::{Map, Value as Json};

use super::tree::Entries;
use super::{ReadError, Section, Setting, Value};
use crate::address::HIDDEN;

/// Parts of names whose values must stand elsewhere.
const SECRET_NAMES: [&str; 5] = ["key", "token", "secret", "auth", "password"];

/// Names with values, some of them secret.
#[derive(Clone, Debug, Default)]
pub struct NamedValues(Vec<NamedValue>);

#[derive(Clone, Debug)]
struct NamedValue {
    name: String,
    value: SecretString,
    /// The value, unless it is kept elsewhere.
    shown: Option<String>,
}

impl NamedValues {
    /// The names with their values.
    pub fn pairs(&self) -> Vec<(String, SecretString)> {
        self.0.iter().map(|named| (named.name.clone(), named.value.clone())).collect()
    }
}

impl Setting for NamedValues {
    fn read(_: &Value) -> Result<Self, String> {
        Err("must be a table".to_owned())
    }

    fn show(&self) -> Json {
        let shown = |named: &NamedValue| named.shown.clone().unwrap_or_else(|| HIDDEN.to_owned());
        if self.0.is_empty() {
            return Json::Null;
        }
        self.0.iter().map(|named| (named.name.clone(), Json::from(shown(named)))).collect()
    }
}

/// Reads a table of names with values. A value under the name of a secret must not stand in the file.
pub(super) fn named_values(section: &Section<'_>, key: &str) -> Result<NamedValues, ReadError> {
    let table = section.section(key);
    let read = |name: &str| {
        let is_literal = table.is_literal(name);
        if is_literal && is_secret(name) {
            return Err(table.fault(name, secret_elsewhere(name)));
        }
        let value: String = table.required(name)?;
        let shown = is_literal.then(|| value.clone());
        Ok(NamedValue { name: name.to_owned(), value: value.into(), shown })
    };
    // Every fault is noted, even after one.
    let values: Vec<_> = table.written_keys().map(read).collect();
    values.into_iter().collect::<Result<_, _>>().map(NamedValues)
}

pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn secret_elsewhere(name: &str) -> String {
    format!("may be a secret and must not stand in the file: write {}", elsewhere(name))
}

/// A reference to an environment variable for a name.
pub(super) fn elsewhere(name: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let variable: String = name.to_uppercase().chars().map(plain).collect();
    format!("{} = {{ env = \"{variable}\" }}", quoted(name))
}

/// A key as TOML wants it.
pub(super) fn quoted(name: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if name.chars().all(is_bare) { name.to_owned() } else { format!("{name:?}") }
}

/// Reads a table as the JSON that it is.
pub(super) fn extra_body(section: &Section<'_>, key: &str) -> Result<Map<String, Json>, ReadError> {
    Ok(section.entries_of(key)?.map(object).unwrap_or_default())
}

fn object(entries: &Entries) -> Map<String, Json> {
    entries.iter().map(|(key, node)| (key.clone(), json(&node.value))).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Integer(integer) => (*integer).into(),
        Value::Float(float) => (*float).into(),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Value::Table(entries) => object(entries).into(),
    }
}

impl Setting for Map<String, Json> {
    fn read(_: &Value) -> Result<Self, String> {
        Err("must be a table".to_owned())
    }

    fn show(&self) -> Json {
        if self.is_empty() { Json::Null } else { self.clone().into() }
    }
}
