//! A shop's catalogue as shopkeeper sees it: documents with a key, from sources with a name.
//!
//! Pure. A [`Catalogue`] lists the keys and row hashes of all its documents in key order, and reads single documents as
//! they are now; its [`ChangeHints`] find changes sooner; [`changes`] compares a listing with the known documents, and
//! [`render`] makes a document of a row.

use futures::future::BoxFuture;
use serde_json::value::RawValue;

pub mod changes;
pub mod discover;
pub mod filter;
mod hints;
pub mod html;
mod key;
mod listing;
pub mod render;
pub mod values;

pub use hints::{ChangeHints, Mark, MarkAt, Note};
pub use key::{Key, LONGEST_KEY, key_fault};
pub use listing::{ListedRow, Listing, SetAside, SetAsideRow};
use render::Templates;

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
#[expect(missing_docs, reason = "the names say it")]
pub struct Document {
    pub key: String,
    /// The name that a customer would use; embedded with each chunk.
    pub title: String,
    /// The text that is cut into chunks and embedded.
    pub text: String,
    pub link: Option<String>,
    /// The stock keeping unit, for exact look-ups.
    pub sku: Option<String>,
    /// What the variants of one product share.
    pub group: Option<String>,
    /// A JSON object of the metadata columns, with numbers as the shop's database writes them.
    pub metadata: Box<RawValue>,
    /// The hash of the row that was read, as in [`ListedRow`]; the row may have changed since it was listed.
    pub row_hash: i64,
}

/// Identifies the text and the settings that a document's vectors were made from. Equal ones need no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// A shop's documents of one source.
pub trait Catalogue: Send + Sync {
    /// What makes documents of its rows.
    fn templates(&self) -> &Templates;

    /// Lists all documents as they are now.
    fn list(&self) -> BoxFuture<'_, CatalogueResult<Listing<'_>>>;

    /// Reads the documents with these keys as they are now. Keys that do not exist are left out; a row that cannot be
    /// rendered yields a fault.
    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, CatalogueResult<Documents>>;

    /// The keys of some documents, in any order; fast, also if there are many.
    fn sample(&self, limit: u32) -> BoxFuture<'_, CatalogueResult<Vec<String>>>;

    /// Checks that the source fits its settings.
    fn check(&self) -> BoxFuture<'_, CatalogueResult<()>>;

    /// Makes sure that what is read is not older than this listing: keys, with the hash of each that is listed. For sources
    /// that are read from a copy.
    fn catch_up<'a>(&'a self, _listed: &'a [(String, Option<i64>)]) -> BoxFuture<'a, CatalogueResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Faster ways to find changes than a listing, if the source has any.
    fn change_hints(&self) -> Option<&dyn ChangeHints> {
        None
    }
}

/// The most documents that may leave a source between two complete listings. Removals beyond both limits wait, because a
/// source that suddenly has far fewer documents is more likely broken than sold out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MassDelete {
    /// The share of the documents that the source had, from 0 to 1.
    pub share: f64,
    /// Documents.
    pub documents: u64,
}

/// A row that cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[expect(missing_docs, reason = "the names say it")]
pub struct RenderFault {
    pub key: String,
    pub reason: String,
    /// Whether nothing but another row or other settings can help.
    pub is_final: bool,
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
