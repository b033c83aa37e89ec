//! Reads typed values out of the tree and writes down every fault instead of stopping at the first.
//!
//! A [`Section`] knows which keys were asked for: those are the known ones, so what is left over at
//! [`Section::finish`] is unknown and gets the nearest known key as a suggestion.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    fault::{Fault, Origin, nearest},
    tree::{Node, Value},
};

/// A value could not be read; its fault is already written down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faulty;

/// What all sections share: where files and environment variables are looked up, and the faults.
pub(crate) struct Reader<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) faults: RefCell<Vec<Fault>>,
}

impl Reader<'_> {
    pub(crate) fn fault(&self, origin: &Origin, path: &str, message: impl Into<String>) -> Faulty {
        self.faults.borrow_mut().push(Fault {
            origin: origin.clone(),
            path: path.to_owned(),
            message: message.into(),
        });
        Faulty
    }

    /// Looks up `{ env = "NAME" }`: the variable, else the file that `NAME_FILE` names, else the
    /// service manager's credential of that name in lower case.
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        if let Some(text) = self.environment.get(name) {
            return Ok(Some(text.clone()));
        }
        if let Some(path) = self.environment.get(&format!("{name}_FILE")) {
            return self.contents(Path::new(path)).map(Some);
        }
        let Some(folder) = self.environment.get("CREDENTIALS_DIRECTORY") else {
            return Ok(None);
        };
        let path = Path::new(folder).join(name.to_lowercase());
        if path.exists() { self.contents(&path).map(Some) } else { Ok(None) }
    }

    fn contents(&self, path: &Path) -> Result<String, String> {
        let path = self.folder.join(path);
        std::fs::read_to_string(&path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

/// A type that a setting can have. `read` says what is wrong, the section says where.
pub(crate) trait Setting: Sized {
    /// Reads the value as it was written.
    fn read(value: &Value) -> Result<Self, String>;

    /// Whether the value may stand in the file as it is, or must come from elsewhere.
    const SECRET: bool = false;
}

/// One table of the settings.
pub(crate) struct Section<'a> {
    reader: &'a Reader<'a>,
    path: String,
    origin: Origin,
    entries: Option<&'a BTreeMap<String, Node>>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(reader: &'a Reader<'a>, entries: &'a BTreeMap<String, Node>) -> Self {
        Self::new(reader, String::new(), Origin::Default, Some(entries))
    }

    fn new(
        reader: &'a Reader<'a>,
        path: String,
        origin: Origin,
        entries: Option<&'a BTreeMap<String, Node>>,
    ) -> Self {
        Self { reader, path, origin, entries, asked: RefCell::default() }
    }

    fn node(&self, key: &str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.entries.and_then(|entries| entries.get(key))
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the key was written; the section's own place when it was left out.
    fn origin_of(&self, key: &str) -> &Origin {
        self.entries.and_then(|entries| entries.get(key)).map_or(&self.origin, |node| &node.origin)
    }

    /// Writes down a fault of a key whose value was readable and yet is wrong.
    pub(crate) fn fault(&self, key: &str, message: impl Into<String>) -> Faulty {
        self.reader.fault(self.origin_of(key), &self.path_of(key), message)
    }

    /// The folder of the file, which paths in it are relative to.
    pub(crate) fn folder(&self) -> &'a std::path::Path {
        &self.reader.folder
    }

    /// A table inside this one; left out, it is empty and all its defaults hold.
    pub(crate) fn section(&self, key: &str) -> Section<'a> {
        let path = self.path_of(key);
        match self.node(key) {
            None => Section::new(self.reader, path, self.origin.clone(), None),
            Some(node) => {
                let entries = match &node.value {
                    Value::Table(entries) => Some(entries),
                    other => {
                        self.fault(key, format!("must be a table, not {}", other.kind()));
                        None
                    }
                };
                Section::new(self.reader, path, node.origin.clone(), entries)
            }
        }
    }

    /// The tables of a list of tables (`[[source]]`), each named by its `name` in faults.
    pub(crate) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.fault(key, format!("must be a list of tables, written [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let Value::Table(entries) = &item.value else {
                self.fault(key, format!("must be a list of tables, written [[{key}]]"));
                continue;
            };
            let name = match entries.get("name").map(|node| &node.value) {
                Some(Value::Text(name)) => name.clone(),
                _ => (position + 1).to_string(),
            };
            let path = format!("{}.{name}", self.path_of(key));
            sections.push(Section::new(self.reader, path, item.origin.clone(), Some(entries)));
        }
        sections
    }

    /// The keys that stand in this table, for tables whose keys are the operator's (languages).
    pub(crate) fn written_keys(&self) -> Vec<String> {
        self.entries.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// The value, or the default when the key was left out.
    pub(crate) fn get<T: Setting>(&self, key: &str, default: T) -> Result<T, Faulty> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// The value; left out, it is what another section says, if that could be read.
    pub(crate) fn or<T: Setting>(&self, key: &str, other: Result<T, Faulty>) -> Result<T, Faulty> {
        self.optional(key)?.map_or(other, Ok)
    }

    /// The same of a key that need not be written anywhere.
    pub(crate) fn or_none<T: Setting>(
        &self,
        key: &str,
        other: Result<Option<T>, Faulty>,
    ) -> Result<Option<T>, Faulty> {
        self.optional(key)?.map_or(other, |value| Ok(Some(value)))
    }

    /// The value of that one of two keys which is written; none, or both, is a fault.
    pub(crate) fn one_of<A: Setting, B: Setting, T>(
        &self,
        [one, other]: [&str; 2],
        of_one: impl FnOnce(A) -> T,
        of_other: impl FnOnce(B) -> T,
    ) -> Result<T, Faulty> {
        match (self.optional(one).transpose(), self.optional(other).transpose()) {
            (Some(one), None) => one.map(of_one),
            (None, Some(other)) => other.map(of_other),
            (Some(_), Some(_)) => Err(self.fault(other, format!("stands beside `{one}`: only one can be"))),
            (None, None) => Err(self.fault(one, format!("is required, or `{other}`"))),
        }
    }

    /// Takes keys for known whose meaning cannot be told, since it depends on a value that is wrong.
    pub(crate) fn pass_over<'k>(&self, keys: impl Iterator<Item = &'k str>) {
        self.asked.borrow_mut().extend(keys.map(str::to_owned));
    }

    /// Writes down a fault of those keys that stand here and must not, each with its reason.
    pub(crate) fn refuse(&self, keys: &[(&str, &str)]) {
        for (key, reason) in keys {
            if self.node(key).is_some() {
                self.fault(key, *reason);
            }
        }
    }

    /// The value; leaving it out is a fault.
    pub(crate) fn required<T: Setting>(&self, key: &str) -> Result<T, Faulty> {
        self.optional(key)?.ok_or_else(|| self.fault(key, "is required"))
    }

    /// The value, or nothing when the key was left out.
    pub(crate) fn optional<T: Setting>(&self, key: &str) -> Result<Option<T>, Faulty> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let Some(reference) = Reference::of(&node.value) else {
            if T::SECRET && matches!(node.origin, Origin::Line(_)) {
                let message = "is a secret and must not stand in the file: \
                               write { env = \"NAME\" } or { file = \"PATH\" }";
                return Err(self.fault(key, message));
            }
            return self.read(key, &node.value).map(Some);
        };
        match reference.resolve(self.reader) {
            Ok(text) => self.read(key, &Value::Text(text)).map(Some),
            Err(message) => Err(self.fault(key, message)),
        }
    }

    /// The value; left out, it is what the environment variable says, if that is set.
    pub(crate) fn or_variable<T: Setting>(&self, key: &str, variable: &str) -> Result<Option<T>, Faulty> {
        if let Some(value) = self.optional(key)? {
            return Ok(Some(value));
        }
        match self.reader.variable(variable) {
            Ok(Some(text)) => self.read(key, &Value::Text(text)).map(Some),
            Ok(None) => Ok(None),
            Err(message) => Err(self.fault(key, message)),
        }
    }

    /// Whether the value stands in the file as it is.
    pub(crate) fn is_literal(&self, key: &str) -> bool {
        let node = self.entries.and_then(|entries| entries.get(key));
        node.is_some_and(|node| {
            matches!(node.origin, Origin::Line(_)) && Reference::of(&node.value).is_none()
        })
    }

    /// The bytes of the file that `key = { file = "PATH" }` names, and the path as it was written.
    pub(crate) fn file(&self, key: &str) -> Option<Result<(String, Vec<u8>), Faulty>> {
        let node = self.node(key)?;
        let Some(Reference::File(path)) = Reference::of(&node.value) else { return None };
        let full = self.reader.folder.join(path);
        Some(
            std::fs::read(&full)
                .map(|bytes| (path.to_owned(), bytes))
                .map_err(|error| self.fault(key, format!("cannot read {}: {error}", full.display()))),
        )
    }

    fn read<T: Setting>(&self, key: &str, value: &Value) -> Result<T, Faulty> {
        T::read(value).map_err(|message| self.fault(key, message))
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        let unknown = self.entries.into_iter().flatten().filter(|(key, _)| !asked.contains(*key));
        for (key, node) in unknown {
            let message = nearest(key, asked.iter().map(String::as_str)).map_or_else(
                || "is not a key that shopkeeper knows".to_owned(),
                |near| format!("is not a key that shopkeeper knows; did you mean `{near}`?"),
            );
            self.reader.fault(&node.origin, &self.path_of(key), message);
        }
    }
}

/// A value that stands elsewhere: `{ env = "NAME" }` or `{ file = "PATH" }`.
enum Reference<'a> {
    Environment(&'a str),
    File(&'a str),
}

impl<'a> Reference<'a> {
    fn of(value: &'a Value) -> Option<Self> {
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
