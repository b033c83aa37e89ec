//! Settings from the environment, which override the file.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::Value;
use super::fault::{Fault, Origin};
use super::tree::{Entries, Node, convert};

/// Variables with this prefix are settings; `__` separates the keys of a path.
const PREFIX: &str = "SHOPKEEPER_";

/// Applies the environment: `SHOPKEEPER_HTTP__LISTEN` is `http.listen`, and `OPENAI_BASE_URL` is `openai.base_url`.
/// Lists of tables (`[[source]]`) can only be written in the file.
pub(crate) fn overlay(tree: &mut Entries, environment: &BTreeMap<String, String>, faults: &mut Vec<Fault>) {
    const URL: &str = "OPENAI_BASE_URL";
    let usual = environment.get(URL).map(|url| (URL, "openai.base_url".to_owned(), url));
    let ours = environment.iter().filter_map(|(name, text)| {
        let path = name.strip_prefix(PREFIX)?;
        path.contains("__").then(|| (name.as_str(), path.to_lowercase().replace("__", "."), text))
    });
    for (name, path, text) in usual.into_iter().chain(ours) {
        let origin = Origin::Environment(name.to_owned());
        let node = Node::new(scalar(text), origin.clone());
        if let Err(message) = insert(tree, &path, node) {
            faults.push(Fault { origin, path, message: message.to_owned() });
        }
    }
}

/// Parses lists and inline tables as TOML; everything else stays text until a number is asked for.
fn scalar(text: &str) -> Value {
    let starts_like_toml = text.starts_with('[') || text.starts_with('{');
    starts_like_toml
        .then(|| DeValue::parse(text).ok())
        .flatten()
        .map_or_else(|| Value::Text(text.to_owned()), |value| convert(value.get_ref(), &|_| Origin::Default))
}

fn insert(tree: &mut Entries, path: &str, node: Node) -> Result<(), &'static str> {
    let Some((section, rest)) = path.split_once('.') else {
        tree.insert(path.to_owned(), node);
        return Ok(());
    };
    let parent = tree
        .entry(section.to_owned())
        .or_insert_with(|| Node::new(Value::Table(Entries::new()), node.origin.clone()));
    match &mut parent.value {
        Value::Table(inner) => insert(inner, rest, node),
        _ => Err("only the sections that are tables can be set from the environment"),
    }
}
