//! Rows of a listing, in the order of their keys, on their way into a spool.

use crate::catalogue::{ListedRow, SetAside, key_fault};

/// Rows that were read and not spooled yet.
#[derive(Default)]
pub(super) struct Page {
    pub listed: Vec<ListedRow>,
    /// The last row, which the next one may have the key of.
    pub last: Option<ListedRow>,
    read: u64,
    pub set_aside: SetAside,
    /// Whether rows with one key are one document.
    is_grouped: bool,
}

impl Page {
    pub(super) fn new(is_grouped: bool) -> Self {
        Self { is_grouped, ..Self::default() }
    }

    /// Adds a row that cannot become a document.
    pub(super) fn refuse(&mut self, key: Option<String>, reason: &str) {
        self.read += 1;
        self.set_aside.push(self.read, key, reason);
    }

    /// Adds a row.
    pub(super) fn add(&mut self, key: Option<String>, row_hash: i64) {
        self.read += 1;
        let Some(key) = key else {
            return self.set_aside.push(self.read, None, "its key is null");
        };
        if let Some(fault) = key_fault(&key) {
            return self.set_aside.push(self.read, None, fault);
        }
        match &mut self.last {
            Some(last) if last.key == key => {
                // In any order of these rows.
                last.row_hash = last.row_hash.wrapping_add(row_hash);
                if self.is_grouped {
                    return;
                }
                let reason =
                    "a row before it has the same key; with rows = \"group\", such rows are one document";
                self.set_aside.push(self.read, Some(key), reason);
            }
            last => self.listed.extend(last.replace(ListedRow { key, row_hash })),
        }
    }
}
