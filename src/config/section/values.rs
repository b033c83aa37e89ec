//! The single values of a section.

use super::Section;
use crate::config::{ReadError, Setting};
use crate::config::{fault::Origin, reader::Reference, tree::Node};

impl Section<'_> {
    pub(crate) fn get<T: Setting>(&self, key: &str, default: T) -> Result<T, ReadError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    pub(crate) fn required<T: Setting>(&self, key: &str) -> Result<T, ReadError> {
        self.optional(key)?.ok_or_else(|| self.missing(key, "is required"))
    }

    pub(crate) fn optional<T: Setting>(&self, key: &str) -> Result<Option<T>, ReadError> {
        let Some(node) = self.node(key) else { return Ok(None) };
        self.reader.value(node).map(Some).map_err(|message| self.fault_of_value(key, message))
    }

    /// A value inherited from another section, or the default if it was left out there too.
    pub(crate) fn inherited<T: Setting>(&self, key: &str, default: T) -> Result<T, ReadError> {
        if self.peek(key).is_some_and(Node::is_inherited) { self.get(key, default) } else { Ok(default) }
    }

    /// The value, or the default, provided that it passes `check`.
    pub(crate) fn checked<T: Setting>(
        &self,
        key: &str,
        default: T,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<T, ReadError> {
        let value = self.get(key, default)?;
        check(&value).map_err(|message| self.fault(key, message))?;
        Ok(value)
    }

    /// The value of whichever of two keys was written; neither or both is a fault.
    pub(crate) fn one_of<A: Setting, B: Setting, T>(
        &self,
        [one, other]: [&str; 2],
        from_one: impl FnOnce(A) -> T,
        from_other: impl FnOnce(B) -> T,
    ) -> Result<T, ReadError> {
        match (self.optional(one).transpose(), self.optional(other).transpose()) {
            (Some(one), None) => one.map(from_one),
            (None, Some(other)) => other.map(from_other),
            (Some(_), Some(_)) => Err(self.fault(other, format!("stands beside `{one}`: only one can be"))),
            (None, None) => Err(self.missing(one, format!("is required, or `{other}`"))),
        }
    }

    /// Whether there is a value, written here or inherited.
    pub(crate) fn is_present(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    pub(crate) fn is_written(&self, key: &str) -> bool {
        self.peek(key).is_some_and(|node| !node.is_inherited())
    }

    /// Whether the file holds the value itself rather than a reference to it.
    pub(crate) fn is_literal(&self, key: &str) -> bool {
        self.peek(key).is_some_and(|node| {
            matches!(node.origin, Origin::Line(_)) && Reference::parse(&node.value).is_none()
        })
    }

    /// The path in `key = { file = "PATH" }` as written, and the bytes of that file.
    pub(crate) fn file(&self, key: &str) -> Option<Result<(String, Vec<u8>), ReadError>> {
        let Reference::File(path) = Reference::parse(&self.node(key)?.value)? else { return None };
        let full = self.folder().join(path);
        let bytes = std::fs::read(&full).map(|bytes| (path.to_owned(), bytes));
        Some(bytes.map_err(|error| self.fault(key, format!("cannot read {}: {error}", full.display()))))
    }
}
