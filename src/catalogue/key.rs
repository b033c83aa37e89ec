//! The key of a source's documents: one column, or several whose values are joined.

use std::borrow::Cow;

/// The most bytes of a document's key.
pub const LONGEST_KEY: usize = 512;

/// The columns that tell a source's documents apart.
///
/// The values of several columns are joined by `/`. A `/` or `%` in such a value is percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("`, `"))
    }
}

impl Key {
    /// A key of these columns; `None` without any.
    pub fn new(columns: Vec<String>) -> Option<Self> {
        (!columns.is_empty()).then_some(Self(columns))
    }

    /// At least one.
    pub fn columns(&self) -> &[String] {
        &self.0
    }

    /// Whether it has several columns.
    pub fn is_composite(&self) -> bool {
        self.0.len() > 1
    }

    /// The key of a row with these values, one for each column.
    pub fn join(&self, values: &[String]) -> String {
        match values {
            [value] => value.clone(),
            values => values.iter().map(|value| encode(value)).collect::<Vec<_>>().join("/"),
        }
    }

    /// The values of a key; `None` if no row can have it.
    pub fn split(&self, key: &str) -> Option<Vec<String>> {
        if !self.is_composite() {
            return Some(vec![key.to_owned()]);
        }
        let values: Vec<_> = key.split('/').map(decode).collect();
        (values.len() == self.0.len() && self.join(&values) == key).then_some(values)
    }
}

/// Why a key cannot tell a document apart, if it cannot.
pub fn key_fault(key: &str) -> Option<String> {
    if key.is_empty() {
        return Some("its key is empty".to_owned());
    }
    // A replaced character may have been any.
    if key.contains(['\0', '\u{fffd}']) {
        return Some("its key contains a NUL or another character that cannot be read".to_owned());
    }
    let fault = || format!("its key is {} bytes long, more than {LONGEST_KEY}", key.len());
    (key.len() > LONGEST_KEY).then(fault)
}

fn encode(value: &str) -> Cow<'_, str> {
    if !value.contains(['%', '/']) {
        return value.into();
    }
    value.replace('%', "%25").replace('/', "%2F").into()
}

fn decode(value: &str) -> String {
    value.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(columns: usize) -> Key {
        Key::new(vec!["c".to_owned(); columns]).unwrap()
    }

    #[test]
    fn a_slash_inside_a_value_is_encoded_and_a_single_value_stays_as_it_is() {
        assert_eq!(key(2).join(&["1/2".to_owned(), "50%".to_owned()]), "1%2F2/50%25");
        assert_eq!(key(1).join(&["1/2".to_owned()]), "1/2");
        assert_eq!(key(2).split("1"), None);
        assert_eq!(key(2).split("1/50%"), None);
    }

    proptest! {
        #[test]
        fn a_key_has_the_values_that_it_was_joined_from(values in proptest::collection::vec("[a%/25F]{0,5}", 1..4)) {
            let key = key(values.len());
            prop_assert_eq!(key.split(&key.join(&values)), Some(values));
        }
    }
}
