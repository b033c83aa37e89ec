//! The result of a sync.

use serde::Serialize;

use crate::{
    catalogue::{CatalogueError, SetAsideRow},
    job::{JobError, OUTAGE},
    store::StoreError,
};

/// What a sync found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SyncReport {
    pub source: String,
    pub listed: u64,
    /// Not known before.
    pub added: u64,
    /// Listed with other content.
    pub changed: u64,
    /// No longer listed.
    pub removed: u64,
    /// Listed with the same content.
    pub unchanged: u64,
    /// Rows that cannot become documents.
    pub set_aside: u64,
    /// The first of them, with their reasons.
    #[serde(skip)]
    pub set_aside_rows: Vec<SetAsideRow>,
    /// Documents with a new refresh job.
    pub enqueued: u64,
    pub elapsed_ms: u64,
}

impl SyncReport {
    /// An empty report.
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }
}

/// Why a source could not be synced.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SyncError {
    /// The settings have no such source.
    #[error("the settings have no source `{0}`")]
    Unknown(String),
    /// Another process is listing the source.
    #[error("source `{0}` is being listed by another process")]
    Busy(String),
    /// The source could not be read, or its listing cannot be trusted.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Our database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mass-delete guard.
    #[error(
        "source `{source_name}` no longer lists {removed} of its {known} documents; nothing was removed\n  \
         if that is right, run `shopkeeper sync --source {source_name} --allow-mass-delete`"
    )]
    MassDelete {
        source_name: String,
        removed: u64,
        /// Documents that it had.
        known: u64,
    },
}

impl From<SyncError> for JobError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => error.into(),
            // A daemon with newer settings may have enqueued it.
            SyncError::Unknown(_) => Self::Retry(error.to_string()),
            SyncError::Busy(_) => Self::Snooze { after: OUTAGE, reason: error.to_string() },
            // They come again as long as nobody changes the settings or the shop.
            SyncError::MassDelete { .. } | SyncError::Catalogue(CatalogueError::Misfit { .. }) => {
                Self::Dead(error.to_string())
            }
            SyncError::Catalogue(error) => error.into(),
        }
    }
}
