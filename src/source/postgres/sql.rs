//! Identifiers and literals in statements on a shop's database.

/// Quotes an identifier.
pub(super) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Quotes a table's name, with or without its schema.
pub(super) fn table(name: &str) -> String {
    name.split('.').map(|part| quote(part.trim_matches('"'))).collect::<Vec<_>>().join(".")
}

/// Quotes a text.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
