//! Values that a section takes from another one, or from the usual environment variables, when it leaves them out.

use super::tree::{Entries, Node};
use super::{Value, endpoint::openai, fault::Origin, reader::Reader};
use crate::address::HttpUrl;

/// Gives `$DATABASE_URL`, if it is set, to the databases without an address of their own.
pub(super) fn default_addresses(tree: &mut Entries, reader: &Reader<'_>) {
    const VARIABLE: &str = "DATABASE_URL";
    if matches!(reader.variable(VARIABLE), Ok(None)) {
        return;
    }
    let mut fill = |entries: &mut Entries| {
        entries.entry("url".to_owned()).or_insert_with(|| Node::variable(VARIABLE));
    };
    table(tree, "database").map(&mut fill);
    let Some(Node { value: Value::List(sources), .. }) = tree.get_mut("source") else { return };
    for source in sources {
        let Value::Table(entries) = &mut source.value else { continue };
        if matches!(entries.get("kind"), Some(Node { value: Value::Text(kind), .. }) if kind == "postgres") {
            fill(entries);
        }
    }
}

/// The keys that go with their server alone.
const ACCESS: [&str; 4] = ["api_key", "headers", "query", "extra_body"];
/// The other keys of a server.
const SERVER: [&str; 3] = ["base_url", "requests_per_minute", "tokens_per_minute"];

/// Lets `[embedding]` and `[answers]` inherit from `[openai]`, and `[embedding.second]` and `[embedding.next]` from
/// `[embedding]`.
pub(super) fn inherit(tree: &mut Entries, reader: &Reader<'_>) {
    let Some(openai) = table(tree, "openai") else { return };
    if !openai.contains_key("api_key") && !matches!(reader.variable("OPENAI_API_KEY"), Ok(None)) {
        openai.insert("api_key".to_owned(), Node::variable("OPENAI_API_KEY"));
    }
    let openai = openai.clone();
    if let Some(answers) = table(tree, "answers") {
        inherit_server(answers, "openai", &openai, reader);
        inherit_key(answers, "openai", &openai, "timeout", "openai.timeout");
    }
    if let Some(Node { value: Value::Table(rerank), .. }) = tree.get_mut("rerank") {
        inherit_server(rerank, "openai", &openai, reader);
    }
    let Some(embedding) = table(tree, "embedding") else { return };
    inherit_server(embedding, "openai", &openai, reader);
    inherit_key(embedding, "openai", &openai, "timeout", "timeout");
    let above = embedding.clone();
    for nested in ["second", "next"] {
        let Some(Node { value: Value::Table(nested), .. }) = embedding.get_mut(nested) else { continue };
        inherit_server(nested, "embedding", &above, reader);
        for key in
            ["timeout", "max_inputs", "max_request_tokens", "chunk_tokens", "chunk_overlap", "cache_entries"]
        {
            inherit_key(nested, "embedding", &above, key, key);
        }
    }
    if let Some(Node { value: Value::Table(second), .. }) = embedding.get_mut("second") {
        inherit_key(second, "embedding", &above, "tokenizer", "tokenizer");
    }
}

/// Inherits the keys of a server. A key or a header goes with its server and is never sent to another one.
fn inherit_server(heir: &mut Entries, section: &str, above: &Entries, reader: &Reader<'_>) {
    let server = |entries: &Entries| {
        entries.get("base_url").map_or_else(|| Ok(openai()), |node| reader.value::<HttpUrl>(node))
    };
    let is_other = |own: HttpUrl| server(above).is_ok_and(|above| above != own);
    if !heir.contains_key("base_url") || !server(heir).is_ok_and(is_other) {
        for key in ACCESS {
            inherit_key(heir, section, above, key, key);
        }
    }
    for key in SERVER {
        inherit_key(heir, section, above, key, key);
    }
}

/// The table at a key, created if it was left out; `None` if the key holds another type.
pub(super) fn table<'a>(tree: &'a mut Entries, key: &str) -> Option<&'a mut Entries> {
    let empty = || Node::new(Value::Table(Entries::new()), Origin::Default);
    match &mut tree.entry(key.to_owned()).or_insert_with(empty).value {
        Value::Table(entries) => Some(entries),
        _ => None,
    }
}

/// Copies a key of `section` into a table that leaves it out, under the table's own name for it.
fn inherit_key(heir: &mut Entries, section: &str, entries: &Entries, key: &str, own: &str) {
    if let Some(node) = entries.get(key)
        && !heir.contains_key(own)
    {
        let inherited_from = node.inherited_from.clone().or_else(|| Some(format!("{section}.{key}")));
        heir.insert(own.to_owned(), Node { inherited_from, ..node.clone() });
    }
}
