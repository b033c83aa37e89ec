//! A shop's catalogue as shopkeeper sees it: documents with a key, from sources with a name.
//!
//! Pure. A [`Catalogue`] lists the keys and row hashes of all its documents in key order, and reads
//! single documents as they are now; its [`ChangeHints`] say sooner where to look; [`changes`] compares a listing with what is known, and
//! [`render`] makes a document of a row.

use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::value::RawValue;

pub mod changes;
pub mod render;

/// Tells a document apart from all others: the source's name and the row's key as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DocumentId {
    pub source: String,
    /// The row's key as PostgreSQL writes it.
    pub key: String,
}

/// One row of a source, rendered.
#[derive(Clone, Debug)]
pub struct Document {
    /// The row's key as text.
    pub key: String,
    /// What a customer would call it; stands before each chunk when it is embedded.
    pub title: String,
    /// What is cut into chunks and embedded.
    pub text: String,
    /// The document's address in the shop.
    pub link: Option<String>,
    /// The stock keeping unit, for exact look-ups.
    pub sku: Option<String>,
    /// A JSON object of the metadata columns, with numbers as the shop's database writes them.
    pub metadata: Box<RawValue>,
    /// Of the row that was read, which may be another one than was listed; computed as for [`ListedRow`].
    pub row_hash: i64,
}

/// Identifies what a document's vectors were made of; equal ones need no second request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// The row's key as text.
    pub key: String,
    /// A hash of the columns that are read, and of the source's settings.
    pub row_hash: i64,
}

/// A shop's documents of one source.
pub trait Catalogue: Send + Sync {
    /// Lists every document once, ordered by the bytes of its key, from one snapshot. Nothing is open at the source any
    /// more when the first entry is given, so that the consumer may wait between entries.
    fn list(&self) -> BoxStream<'_, CatalogueResult<ListedRow>>;

    /// Reads the documents of these keys as they are now. A key that is not there is left out; a row
    /// that cannot be rendered comes with its fault.
    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Documents>>;

    /// Looks whether the source fits its settings.
    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>>;

    /// Makes sure that what is read is not older than this listing (keys, and hashes where they are listed):
    /// for sources that are read from a copy.
    fn catch_up<'a>(&'a self, _listed: &'a [(String, Option<i64>)]) -> BoxFuture<'a, CatalogueResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Faster nets than listing everything, where the source has any.
    fn change_hints(&self) -> Option<&dyn ChangeHints> {
        None
    }
}

/// What tells of changes sooner than the next listing. None of them is the truth: each says where to look.
pub trait ChangeHints: Send + Sync {
    /// The documents of these keys that are there, in any order.
    fn find<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Vec<ListedRow>>>;

    /// A mark of the present: what is committed later is found by [`ChangeHints::changed`]. Nothing, when the
    /// source cannot be polled.
    fn mark(&self) -> BoxFuture<'_, CatalogueResult<Option<Mark>>>;

    /// Lists what may have changed since a mark, in any order; more than that is harmless. Nothing is open at the source
    /// any more when the first entry is given.
    fn changed(&self, since: &Mark) -> BoxStream<'_, CatalogueResult<ListedRow>>;

    /// What the triggers noted, oldest first, at most so many; nothing when none are installed.
    fn noted(&self, limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<Note>>>;

    /// Forgets exactly these notes.
    fn forget<'a>(&'a self, ids: &'a [i64]) -> BoxFuture<'a, CatalogueResult<()>>;
}

/// A moment of a source. Two of them can be told apart from one another only where they are of the same
/// server and the same history.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Which server and which history.
    pub server: String,
    /// How far it had come.
    pub at: MarkAt,
}

/// How far a source had come.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkAt {
    /// Transactions before this one were over.
    Transaction(u64),
    /// The shop's clock, or the last time that the source names of a change, less what a transaction may take.
    Time(String),
}

impl Mark {
    /// Whether what changed since `earlier` can be known now: not after a restore or a failover.
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
    /// Tells it apart from others.
    pub id: i64,
    /// The document that may have changed; none is all of them.
    pub key: Option<String>,
}

/// The most documents that may leave a source between two complete listings: removals beyond both wait, because a
/// source that suddenly has far fewer documents is more likely broken than sold out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MassDelete {
    /// Of the documents that the source had, 0 to 1.
    pub share: f64,
    /// Documents.
    pub documents: u64,
}

/// A row that no document can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[expect(missing_docs, reason = "the names say it")]
pub struct RenderFault {
    pub key: String,
    pub reason: String,
}

/// Documents that were read, and the faults of rows that cannot be rendered.
pub type Documents = Vec<Result<Document, RenderFault>>;

/// The result of reading a catalogue.
pub type CatalogueResult<T> = Result<T, CatalogueError>;

/// Why a catalogue could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CatalogueError {
    /// The source does not answer now; it may later.
    #[error("source `{source_name}` cannot be reached: {reason}")]
    Unreachable {
        source_name: String,
        /// What the driver says.
        reason: String,
    },
    /// What the source holds is damaged; it may be whole next time.
    #[error("source `{source_name}` is broken: {reason}")]
    Broken { source_name: String, reason: String },
    /// The settings do not fit the source; one of them must be changed.
    #[error("source `{source_name}`: {reason}")]
    Misfit {
        source_name: String,
        /// What does not fit, and what would.
        reason: String,
    },
}
