//! What a source lists, and the rows of it that cannot become documents.

use std::collections::BTreeSet;

use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::CatalogueResult;

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// The row's key as text.
    pub key: String,
    /// A hash of the columns that are read, and of the source's settings.
    pub row_hash: i64,
}

/// All rows of a source, from one snapshot.
pub struct Listing<'a> {
    /// Each key once, ordered by its bytes. Nothing is open at the source, so that the reader may wait between entries.
    pub rows: BoxStream<'a, CatalogueResult<ListedRow>>,
    /// Entries in `rows`.
    pub total: u64,
    /// Rows that are not among them.
    pub set_aside: SetAside,
}

/// Rows that cannot become documents, each for a fault of its own.
#[derive(Clone, Debug, Default)]
pub struct SetAside {
    /// All of them.
    pub count: u64,
    /// The first ones.
    pub rows: Vec<SetAsideRow>,
    /// The keys of those that have one: their documents stay as they are.
    pub keys: BTreeSet<String>,
}

/// A row that cannot become a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideRow {
    /// Its place in the source, from 1: the line of a file, or the position in a listing.
    pub row: u64,
    /// Its key if it has one.
    pub key: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// The number of rows whose reasons are kept.
const REASONS: usize = 100;
/// The number of keys that are kept, so that a source with nothing but faults does not fill the memory.
const KEYS: usize = 100_000;
/// Characters of a reason or key that are kept.
const LONGEST: usize = 300;

impl SetAside {
    /// Adds a row.
    pub fn push(&mut self, row: u64, key: Option<String>, reason: impl Into<String>) {
        self.count += 1;
        if self.rows.len() < REASONS {
            let short =
                |text: String| text.chars().take(LONGEST).collect::<String>().replace('\0', "\u{fffd}");
            self.rows.push(SetAsideRow { row, key: key.clone().map(short), reason: short(reason.into()) });
        }
        if self.keys.len() < KEYS {
            self.keys.extend(key);
        }
    }

    /// Why a listing of this many good rows is refused for the rows that were set aside, if it is. `limit` is a share
    /// from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn refusal(&self, good: u64, limit: f64) -> Option<String> {
        let first = self.rows.first()?;
        let all = self.count + good;
        if self.count as f64 <= all as f64 * limit && self.keys.len() < KEYS {
            return None;
        }
        Some(format!(
            "{} of its {all} rows cannot be read, more than `set_aside_limit` allows; the first is row {}: {}",
            self.count, first.row, first.reason
        ))
    }
}
