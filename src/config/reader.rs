//! Reads typed values out of the tree and notes every fault instead of stopping at the first.
//!
//! A [`Section`] remembers which keys were asked for. These are the known ones: what is left over at
//! [`Section::finish`] is unknown, and the nearest known key is suggested.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    fault::{Fault, Origin, nearest},
    table::Table,
    tree::{Node, Value},
    value::Setting,
};

/// A value could not be read; its fault has been noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadError;

/// What all sections share: where files and environment variables are looked up, and the faults.
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

    /// Looks up `{ env = "NAME" }`: the variable, else the file that `NAME_FILE` names, else the service manager's
    /// credential of that name in lower case.
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

    /// The value of a node, wherever it was written.
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
        self.entries?.get(key)
    }

    /// The keys that lead here, with dots between them; empty for the whole file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a fault of a key whose value was readable and yet is wrong, at the section's own place if it was left out.
    pub(crate) fn fault(&self, key: &str, message: impl Into<String>) -> ReadError {
        let written = self.entries.and_then(|entries| entries.get(key)).filter(|node| !node.is_inherited());
        let origin = written.map_or(&self.origin, |node| &node.origin);
        self.reader.fault(origin, self.path_of(key), message)
    }

    /// Notes a fault of a key in another section, which this one depends on.
    pub(crate) fn fault_elsewhere(&self, path: &str, message: impl Into<String>) -> ReadError {
        self.reader.fault(&Origin::Default, path.to_owned(), message)
    }

    /// The folder of the file, which paths in it are relative to.
    pub(crate) fn folder(&self) -> &'a Path {
        &self.reader.folder
    }

    /// A table inside this one; left out, it is empty and all its defaults hold.
    pub(crate) fn section(&self, key: &str) -> Section<'a> {
        let node = self.node(key);
        let entries = node.and_then(|node| match &node.value {
            Value::Table(entries) => Some(entries),
            other => {
                self.fault(key, format!("must be a table, not {}", other.kind()));
                None
            }
        });
        let origin = node.map_or(&self.origin, |node| &node.origin).clone();
        Section::new(self.reader, self.path_of(key), origin, entries)
    }

    /// Reads a table inside this one.
    pub(crate) fn table<T: Table>(&self, key: &str) -> Result<T, ReadError> {
        let section = self.section(key);
        let table = T::read(&section);
        section.finish();
        table
    }

    /// Reads a table inside this one, unless it was left out.
    pub(crate) fn optional_table<T: Table>(&self, key: &str) -> Result<Option<Box<T>>, ReadError> {
        self.node(key).map(|_| self.table(key).map(Box::new)).transpose()
    }

    /// Reads a list of tables whose names differ.
    pub(crate) fn list<T: Table>(&self, key: &str) -> Result<Vec<T>, ReadError> {
        let sections = self.sections(key);
        let mut names = BTreeSet::new();
        for section in &sections {
            if let Some(Node { value: Value::Text(name), .. }) =
                section.entries.and_then(|all| all.get("name"))
                && !names.insert(name)
            {
                section.fault("name", format!("{name:?} is the name of another [[{key}]] too"));
            }
        }
        let tables: Vec<_> = sections.iter().map(T::read).collect();
        sections.iter().for_each(Section::finish);
        tables.into_iter().collect()
    }

    /// The tables of a list of tables (`[[source]]`), each named by its `name` in faults.
    pub(crate) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let not_tables = || _ = self.fault(key, format!("must be a list of tables, written [[{key}]]"));
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            not_tables();
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let Value::Table(entries) = &item.value else {
                not_tables();
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

    /// The keys of this table as they were written, for tables whose keys are the operator's (languages).
    pub(crate) fn written_keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.into_iter().flatten().map(|(key, _)| key.as_str())
    }

    /// The value, or the default when the key was left out.
    pub(crate) fn get<T: Setting>(&self, key: &str, default: T) -> Result<T, ReadError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// The value; leaving it out is a fault.
    pub(crate) fn required<T: Setting>(&self, key: &str) -> Result<T, ReadError> {
        self.optional(key)?.ok_or_else(|| self.fault(key, "is required"))
    }

    /// The value, or nothing when the key was left out.
    pub(crate) fn optional<T: Setting>(&self, key: &str) -> Result<Option<T>, ReadError> {
        let Some(node) = self.node(key) else { return Ok(None) };
        self.reader.value(node).map(Some).map_err(|message| {
            // An inherited value is wrong where it was written.
            let path = node.inherited_from.clone().unwrap_or_else(|| self.path_of(key));
            self.reader.fault(&node.origin, path, message)
        })
    }

    /// A value of another section, or the default when it was left out there too.
    pub(crate) fn inherited<T: Setting>(&self, key: &str, default: T) -> Result<T, ReadError> {
        let is_inherited = self.entries.and_then(|entries| entries.get(key)).is_some_and(Node::is_inherited);
        if is_inherited { self.get(key, default) } else { Ok(default) }
    }

    /// The value, or the default, if it holds the condition that `check` explains.
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

    /// The value of that one of two keys which was written; none, or both, is a fault.
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
            (None, None) => Err(self.fault(one, format!("is required, or `{other}`"))),
        }
    }

    /// Treats keys as known whose meaning depends on a value that is wrong.
    pub(crate) fn pass_over<'k>(&self, keys: impl Iterator<Item = &'k str>) {
        self.asked.borrow_mut().extend(keys.map(str::to_owned));
    }

    /// Notes a fault for each key that was written and must not be, by reason.
    pub(crate) fn refuse(&self, reasons: &[(&str, &[&str])]) {
        for (reason, key) in
            reasons.iter().flat_map(|(reason, keys)| keys.iter().map(move |key| (reason, key)))
        {
            if self.node(key).is_some_and(|node| !node.is_inherited()) {
                self.fault(key, *reason);
            }
        }
    }

    /// Whether the key was written in this section.
    pub(crate) fn is_written(&self, key: &str) -> bool {
        self.entries.and_then(|entries| entries.get(key)).is_some_and(|node| !node.is_inherited())
    }

    /// Whether the value itself was written into the file, and not where to find it.
    pub(crate) fn is_literal(&self, key: &str) -> bool {
        let node = self.entries.and_then(|entries| entries.get(key));
        node.is_some_and(|node| {
            matches!(node.origin, Origin::Line(_)) && Reference::parse(&node.value).is_none()
        })
    }

    /// The bytes of the file that `key = { file = "PATH" }` names, and the path as it was written.
    pub(crate) fn file(&self, key: &str) -> Option<Result<(String, Vec<u8>), ReadError>> {
        let Reference::File(path) = Reference::parse(&self.node(key)?.value)? else { return None };
        let full = self.folder().join(path);
        let bytes = std::fs::read(&full).map(|bytes| (path.to_owned(), bytes));
        Some(bytes.map_err(|error| self.fault(key, format!("cannot read {}: {error}", full.display()))))
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

/// Where a value is found: `{ env = "NAME" }` or `{ file = "PATH" }`.
enum Reference<'a> {
    Environment(&'a str),
    File(&'a str),
}

impl<'a> Reference<'a> {
    fn parse(value: &'a Value) -> Option<Self> {
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
