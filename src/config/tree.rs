//! The settings as they were written: a tree of values that remember where.
//!
//! The file is parsed once, the environment is laid over it, and sections inherit from others. What a value means is
//! decided by [`super::reader`], so that every fault is found in one pass.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// The path that it was written at, if that is another one.
    pub(crate) inherited_from: Option<String>,
}

impl Node {
    pub(crate) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, inherited_from: None }
    }

    pub(crate) fn is_inherited(&self) -> bool {
        self.inherited_from.is_some()
    }

    /// `{ env = "NAME" }`, as though it had been written.
    pub(crate) fn variable(name: &str) -> Self {
        let name = Self::new(Value::Text(name.to_owned()), Origin::Default);
        Self::new(Value::Table(BTreeMap::from([("env".to_owned(), name)])), Origin::Default)
    }
}

/// TOML's values, as far as settings use them. Dates are kept as text.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
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

/// Parses the file. A syntax error is the only fault then: what follows it cannot be trusted.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Node>, Fault> {
    let table = DeTable::parse(text).map_err(|error| Fault {
        origin: Origin::Line(line_of(text, error.span().map_or(0, |span| span.start))),
        path: String::new(),
        message: format!("not TOML: {}", error.message()),
    })?;
    let at = |offset| Origin::Line(line_of(text, offset));
    Ok(entries(table.get_ref(), &at))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.get(..offset).unwrap_or(text).matches('\n').count()
}

fn entries(table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> BTreeMap<String, Node> {
    table
        .iter()
        .map(|(key, value)| {
            let node = Node::new(convert(value.get_ref(), at), at(key.span().start));
            (key.get_ref().to_string(), node)
        })
        .collect()
}

fn convert(value: &DeValue<'_>, at: &dyn Fn(usize) -> Origin) -> Value {
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

/// The prefix of the environment variables that are settings; `__` stands for the dots of a path.
const PREFIX: &str = "SHOPKEEPER_";

/// Lays the environment over the file: `SHOPKEEPER_HTTP__LISTEN` is `http.listen`, and
/// `OPENAI_BASE_URL` is `openai.base_url`. Sections that are lists (`[[source]]`) belong to the file.
pub(crate) fn overlay(
    tree: &mut BTreeMap<String, Node>,
    environment: &BTreeMap<String, String>,
    faults: &mut Vec<Fault>,
) {
    let usual = environment.get("OPENAI_BASE_URL").map(|url| ("OPENAI_BASE_URL", "openai.base_url", url));
    let ours = environment.iter().filter_map(|(name, text)| {
        let path = name.strip_prefix(PREFIX)?;
        path.contains("__").then(|| (name.as_str(), path.to_lowercase().replace("__", "."), text))
    });
    let usual = usual.map(|(name, path, text)| (name, path.to_owned(), text));
    for (name, path, text) in usual.into_iter().chain(ours) {
        let origin = Origin::Environment(name.to_owned());
        let node = Node::new(scalar(text), origin.clone());
        if let Err(message) = insert(tree, &path, node) {
            faults.push(Fault { origin, path, message: message.to_owned() });
        }
    }
}

/// A list or an inline table is TOML; everything else is text until a reader asks for a number.
fn scalar(text: &str) -> Value {
    let starts_like_toml = text.starts_with('[') || text.starts_with('{');
    starts_like_toml
        .then(|| DeValue::parse(text).ok())
        .flatten()
        .map_or_else(|| Value::Text(text.to_owned()), |value| convert(value.get_ref(), &|_| Origin::Default))
}

fn insert(tree: &mut BTreeMap<String, Node>, path: &str, node: Node) -> Result<(), &'static str> {
    let Some((section, rest)) = path.split_once('.') else {
        tree.insert(path.to_owned(), node);
        return Ok(());
    };
    let parent = tree
        .entry(section.to_owned())
        .or_insert_with(|| Node::new(Value::Table(BTreeMap::new()), node.origin.clone()));
    match &mut parent.value {
        Value::Table(inner) => insert(inner, rest, node),
        _ => Err("only the sections that are tables can be set from the environment"),
    }
}

/// The table at a key, made if it was left out; `None` if something else is there.
pub(crate) fn table<'a>(
    tree: &'a mut BTreeMap<String, Node>,
    key: &str,
) -> Option<&'a mut BTreeMap<String, Node>> {
    let empty = || Node::new(Value::Table(BTreeMap::new()), Origin::Default);
    match &mut tree.entry(key.to_owned()).or_insert_with(empty).value {
        Value::Table(entries) => Some(entries),
        _ => None,
    }
}

/// Lets a table inherit a key that it leaves out, under its own name or another one.
pub(crate) fn inherit(
    heir: &mut BTreeMap<String, Node>,
    section: &str,
    entries: &BTreeMap<String, Node>,
    key: &str,
    own: &str,
) {
    if let Some(node) = entries.get(key)
        && !heir.contains_key(own)
    {
        let inherited_from = node.inherited_from.clone().or_else(|| Some(format!("{section}.{key}")));
        heir.insert(own.to_owned(), Node { inherited_from, ..node.clone() });
    }
}
