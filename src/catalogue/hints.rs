//! Ways to find changes without listing a source.

use futures::{future::BoxFuture, stream::BoxStream};

use super::{CatalogueResult, ListedRow};

/// Finds changes sooner than the next listing does. A hint is not the truth: it says where to look.
pub trait ChangeHints: Send + Sync {
    /// The existing documents with these keys, in any order.
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Vec<ListedRow>>>;

    /// A mark of the present: [`ChangeHints::changed`] finds what is committed later. `None` if the source cannot be
    /// polled.
    fn mark(&self) -> BoxFuture<'_, CatalogueResult<Option<Mark>>>;

    /// Lists what may have changed since a mark, in any order; unchanged rows are harmless. Nothing is open at the source
    /// once the first entry is yielded.
    fn changed(&self, since: &Mark) -> BoxStream<'_, CatalogueResult<ListedRow>>;

    /// The oldest notes of the triggers; empty if none are installed.
    fn noted(&self, _limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<Note>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Deletes these notes.
    fn forget<'a>(&'a self, _ids: &'a [i64]) -> BoxFuture<'a, CatalogueResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A moment of a source. Two marks can be compared only if they have the same history.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// The server and its history.
    pub server: String,
    /// The moment in that history.
    pub at: MarkAt,
}

/// A moment in the history of a source.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkAt {
    /// Transactions before this one had ended.
    Transaction(u64),
    /// The shop's clock or the source's latest time of a change, less the longest time that a transaction may take.
    Time(String),
}

impl Mark {
    /// Whether changes since `earlier` can be found: not after a restore or a failover.
    pub fn follows(&self, earlier: &Self) -> bool {
        self.server == earlier.server
            && match (&self.at, &earlier.at) {
                (MarkAt::Transaction(now), MarkAt::Transaction(then)) => now >= then,
                (MarkAt::Time(_), MarkAt::Time(_)) => true,
                _ => false,
            }
    }
}

/// A trigger's note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Unique in the shop.
    pub id: i64,
    /// The key of the document that may have changed; `None` for all of the source.
    pub key: Option<String>,
}
