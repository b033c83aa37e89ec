//! Several rows that are one document.

use std::collections::btree_map::Entry;

use crate::catalogue::values::{Columns, is_empty};

/// The first value of each column that is not empty.
pub(super) fn merged(rows: &[Columns]) -> Columns {
    let mut merged = Columns::new();
    for (name, column) in rows.iter().flatten() {
        match merged.entry(name.clone()) {
            Entry::Vacant(vacant) => _ = vacant.insert(column.clone()),
            Entry::Occupied(mut occupied) if is_empty(occupied.get()) => _ = occupied.insert(column.clone()),
            Entry::Occupied(_) => {}
        }
    }
    merged
}
