//! The faults that a section notes, unknown keys among them.

use super::Section;
use crate::config::fault::{Origin, nearest};
use crate::config::{Preset, ReadError, Value};

impl Section<'_> {
    /// Notes a fault of a key whose value could be read but is wrong. If the key was left out, the section is blamed.
    pub(crate) fn fault(&self, key: &str, message: impl Into<String>) -> ReadError {
        let written = self.peek(key).filter(|node| !node.is_inherited());
        let origin = written.map_or(&self.origin, |node| &node.origin);
        self.reader.fault(origin, self.path_of(key), message)
    }

    /// Notes that a key is missing, unless an unknown preset, which has a fault of its own, may have supplied it.
    pub(crate) fn missing(&self, key: &str, message: impl Into<String>) -> ReadError {
        match self.peek("preset").map(|node| &node.value) {
            Some(Value::Text(name)) if Preset::named(name).is_err() => ReadError,
            _ => self.fault(key, message),
        }
    }

    /// Notes a fault of a value where it was written, also if it is inherited.
    pub(crate) fn fault_of_value(&self, key: &str, message: impl Into<String>) -> ReadError {
        let node = self.peek(key);
        let path = node.and_then(|node| node.inherited_from.clone()).unwrap_or_else(|| self.path_of(key));
        self.reader.fault(node.map_or(&self.origin, |node| &node.origin), path, message)
    }

    /// Notes a fault of a key in another section that this one depends on.
    pub(crate) fn fault_elsewhere(&self, path: &str, message: impl Into<String>) -> ReadError {
        self.reader.fault(&Origin::Default, path.to_owned(), message)
    }

    /// Treats keys as known when their meaning depends on a value that is wrong.
    pub(crate) fn pass_over<'k>(&self, keys: impl Iterator<Item = &'k str>) {
        self.asked.borrow_mut().extend(keys.map(str::to_owned));
    }

    /// Notes a fault for each key that was written but must not be.
    pub(crate) fn refuse(&self, reasons: &[(&str, &[&str])]) {
        for (reason, keys) in reasons {
            for key in *keys {
                if self.node(key).is_some_and(|node| !node.is_inherited()) {
                    self.fault(key, *reason);
                }
            }
        }
    }

    /// Notes a fault for each key that was not asked for.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, node) in self.entries.into_iter().flatten().filter(|(key, _)| !asked.contains(*key)) {
            let near = nearest(key, asked.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("is not a key that shopkeeper knows{hint}");
            self.reader.fault(&node.origin, self.path_of(key), message);
        }
    }
}
