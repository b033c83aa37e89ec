//! Resolves values, wherever they are kept, and collects every fault instead of stopping at the first.

use std::path::{Path, PathBuf};
use std::{cell::RefCell, collections::BTreeMap};

use super::fault::{Fault, Origin};
use super::{Setting, Value, tree::Node};

/// A value could not be read, and its fault was noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadError;

/// What all sections share: the folder for files, the environment, and the faults.
pub(crate) struct Reader<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) faults: RefCell<Vec<Fault>>,
}

impl Reader<'_> {
    pub(crate) fn fault(&self, origin: &Origin, path: String, message: impl Into<String>) -> ReadError {
        self.faults.borrow_mut().push(Fault { origin: origin.clone(), path, message: message.into() });
        ReadError
    }

    /// Looks up a variable, else the file named by `NAME_FILE`, else the service manager's credential (in lower case).
    pub(crate) fn variable(&self, name: &str) -> Result<Option<String>, String> {
        if let Some(text) = self.environment.get(name) {
            return Ok(Some(text.clone()));
        }
        if let Some(path) = self.environment.get(&format!("{name}_FILE")) {
            return self.contents(Path::new(path)).map(Some);
        }
        let Some(folder) = self.environment.get("CREDENTIALS_DIRECTORY") else { return Ok(None) };
        let path = Path::new(folder).join(name.to_lowercase());
        if path.exists() { self.contents(&path).map(Some) } else { Ok(None) }
    }

    fn contents(&self, path: &Path) -> Result<String, String> {
        let path = self.folder.join(path);
        std::fs::read_to_string(&path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// The value of a node, or of what the node refers to.
    pub(crate) fn value<T: Setting>(&self, node: &Node) -> Result<T, String> {
        match Reference::parse(&node.value) {
            Some(reference) => T::read(&Value::Text(reference.resolve(self)?)),
            None if T::SECRET && matches!(node.origin, Origin::Line(_)) => Err(
                "is a secret and must not stand in the file: write { env = \"NAME\" } or { file = \"PATH\" }"
                    .to_owned(),
            ),
            None => T::read(&node.value),
        }
    }
}

/// Where a value is kept: `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(crate) enum Reference<'a> {
    Environment(&'a str),
    File(&'a str),
}

impl<'a> Reference<'a> {
    pub(crate) fn parse(value: &'a Value) -> Option<Self> {
        let Value::Table(entries) = value else { return None };
        let (key, node) = entries.iter().next().filter(|_| entries.len() == 1)?;
        match (key.as_str(), &node.value) {
            ("env", Value::Text(name)) => Some(Self::Environment(name)),
            ("file", Value::Text(path)) => Some(Self::File(path)),
            _ => None,
        }
    }

    fn resolve(&self, reader: &Reader<'_>) -> Result<String, String> {
        match self {
            Self::File("") => Ok(String::new()),
            Self::File(path) => reader.contents(Path::new(path)),
            Self::Environment(name) => reader
                .variable(name)?
                .ok_or_else(|| format!("the environment variable {name} is not set (nor {name}_FILE)")),
        }
    }
}
