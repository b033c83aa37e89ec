//! A shop's catalogue as shopkeeper sees it: documents with a key, from sources with a name.
//!
//! Pure. A [`Catalogue`] lists the keys and row hashes of all its documents in key order, and reads
//! single documents as they are now; [`changes`] compares a listing with what is known, and
//! [`render`] makes a document of a row.

use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::value::RawValue;

pub mod changes;
pub mod render;

/// Tells a document apart from all others: the source's name and the row's key as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The source's name.
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
}

/// Identifies what a document's vectors were made of; equal ones need no second request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The row's key as text.
    pub key: String,
    /// A hash of the columns that are read, and of the source's settings.
    pub row_hash: i64,
}

/// A shop's documents of one source.
pub trait Catalogue: Send + Sync {
    /// Lists every document once, ordered by the bytes of its key, from one snapshot.
    fn list(&self) -> BoxStream<'_, Result<Listed, CatalogueError>>;

    /// Reads the documents of these keys as they are now. A key that is not there is left out; a row
    /// that cannot be rendered comes with its fault.
    fn read<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Result<Document, RenderFault>>, CatalogueError>>;
}

/// A row that no document can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RenderFault {
    /// The row's key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a catalogue could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The shop's database does not answer now; it may later.
    #[error("source `{source_name}`: the shop's database cannot be reached: {reason}")]
    Unreachable {
        /// The source's name.
        source_name: String,
        /// What the driver says.
        reason: String,
    },
    /// The settings do not fit the shop's database; somebody must change one of them.
    #[error("source `{source_name}`: {reason}")]
    Misfit {
        /// The source's name.
        source_name: String,
        /// What does not fit, and what would.
        reason: String,
    },
}
