//! Settings as `config show` prints them.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::Table;

pub(crate) type Shown = Map<String, Json>;

pub(crate) fn shown(table: &impl Table) -> Json {
    let mut shown = Shown::new();
    table.show(&mut shown);
    shown.into()
}

/// Serializes null as `None`, which TOML leaves out.
pub(crate) struct NullAsNone<'a>(pub(crate) &'a Json);

impl Serialize for NullAsNone<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Null => serializer.serialize_none(),
            Json::Array(items) => serializer.collect_seq(items.iter().map(NullAsNone)),
            Json::Object(keys) => {
                serializer.collect_map(keys.iter().map(|(key, value)| (key, NullAsNone(value))))
            }
            other => other.serialize(serializer),
        }
    }
}
