//! Reads whatever is stored.
//!
//! A part that another version of the program wrote in another shape, or a number that Rust cannot represent, is read as
//! far as possible; the rest gets its default.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A stored object with its fields as text: some of PostgreSQL's numbers do not fit a Rust number.
pub(in crate::answering) type Stored = BTreeMap<String, Box<RawValue>>;

/// Reads a field of a stored object, or its default if it is missing or has another type.
pub(in crate::answering) fn field<T: DeserializeOwned + Default>(stored: &Stored, name: &str) -> T {
    stored.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Reads the named fields of a stored object, each on its own.
macro_rules! from_stored {
    ($type:ident { $($field:ident),* }) => {
        impl From<$crate::answering::object::stored::Stored> for $type {
            fn from(stored: $crate::answering::object::stored::Stored) -> Self {
                Self { $($field: $crate::answering::object::stored::field(&stored, stringify!($field)),)* }
            }
        }
    };
}
pub(in crate::answering) use from_stored;

/// Reads a stored value, or its default if it has another type.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}
