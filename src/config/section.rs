//! One table of the settings.
//!
//! A [`Section`] remembers which keys were asked for: these are the known ones. What is left over at
//! [`Section::finish`] is unknown, and the nearest known key is suggested.

use std::{cell::RefCell, collections::BTreeSet, path::Path};

use super::tree::{Entries, Node};
use super::{ReadError, Table, Value, fault::Origin, reader::Reader};

mod faults;
mod values;

pub(crate) struct Section<'a> {
    reader: &'a Reader<'a>,
    path: String,
    origin: Origin,
    entries: Option<&'a Entries>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(reader: &'a Reader<'a>, entries: &'a Entries) -> Self {
        Self::new(reader, String::new(), Origin::Default, Some(entries))
    }

    fn new(reader: &'a Reader<'a>, path: String, origin: Origin, entries: Option<&'a Entries>) -> Self {
        Self { reader, path, origin, entries, asked: RefCell::default() }
    }

    fn node(&self, key: &str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.peek(key)
    }

    /// The node of a key that does not become known by this.
    fn peek(&self, key: &str) -> Option<&'a Node> {
        self.entries?.get(key)
    }

    /// The keys that lead here, joined by dots; empty for the whole file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The folder of the file, which paths in it are relative to.
    pub(crate) fn folder(&self) -> &'a Path {
        &self.reader.folder
    }

    /// A table inside this one; if left out, it is empty and all its defaults apply.
    pub(crate) fn section(&self, key: &str) -> Section<'a> {
        let node = self.node(key);
        let entries = node.and_then(|node| match &node.value {
            Value::Table(entries) => Some(entries),
            other => {
                self.fault_of_value(key, format!("must be a table, not {}", other.kind()));
                None
            }
        });
        let origin = node.map_or(&self.origin, |node| &node.origin).clone();
        // A fault in an inherited table is where the table was written.
        let path = node.and_then(|node| node.inherited_from.clone()).unwrap_or_else(|| self.path_of(key));
        Section::new(self.reader, path, origin, entries)
    }

    /// The keys of a table that belong to the operator.
    pub(crate) fn entries_of(&self, key: &str) -> Result<Option<&'a Entries>, ReadError> {
        match self.node(key).map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Table(entries)) => Ok(Some(entries)),
            Some(other) => Err(self.fault(key, format!("must be a table, not {}", other.kind()))),
        }
    }

    pub(crate) fn table<T: Table>(&self, key: &str) -> Result<T, ReadError> {
        let section = self.section(key);
        let table = T::read(&section);
        section.finish();
        table
    }

    pub(crate) fn optional_table<T: Table>(&self, key: &str) -> Result<Option<Box<T>>, ReadError> {
        self.node(key).map(|_| self.table(key).map(Box::new)).transpose()
    }

    /// Reads a list of tables whose names differ.
    pub(crate) fn list<T: Table>(&self, key: &str) -> Result<Vec<T>, ReadError> {
        let sections = self.sections(key);
        let mut names = BTreeSet::new();
        for section in &sections {
            if let Some(Node { value: Value::Text(name), .. }) = section.peek("name")
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

    /// The keys as written, for tables whose keys the operator chooses (languages).
    pub(crate) fn written_keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.into_iter().flatten().map(|(key, _)| key.as_str())
    }
}
