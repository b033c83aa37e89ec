//! Reads a batch of documents: their state in the index, and their rows.

use std::{collections::HashMap, sync::Arc};

use futures::FutureExt;

use crate::{
    catalogue::{Catalogue, CatalogueError, Document, DocumentId, RenderFault},
    indexing::{
        refresh::{RefreshDocument, RefreshResult, Request, halving::halving, job_error},
        versions::Version,
    },
    job::JobError,
    store::{documents::KnownDocument, jobs::Lease},
};

/// A rendered row, or its fault.
pub(super) type Row = Result<Arc<Document>, RenderFault>;

/// A known document, and its row unless that is gone.
pub(super) struct LoadedDocument {
    pub(super) place: usize,
    pub(super) key: String,
    pub(super) lease: Option<Lease>,
    pub(super) known: KnownDocument,
    pub(super) row: Option<Row>,
}

impl RefreshDocument {
    /// Reads the index first: a later change raises the revision, which the write checks.
    pub(super) async fn load(
        &self,
        version: &Version,
        source: &str,
        requests: &[Request],
        results: &mut [RefreshResult],
    ) -> Vec<LoadedDocument> {
        let id = |request: &Request| DocumentId { source: source.to_owned(), key: request.key.clone() };
        let ids: Vec<_> = requests.iter().map(id).collect();
        let mut known = match self.store.indexed(version.index.id, ids.iter()).await {
            Ok(known) => known,
            Err(error) => {
                results.fill(Err(job_error(error)));
                return Vec::new();
            }
        };
        let listed = known.iter().map(|(id, known)| (id.key.clone(), known.row_hash)).collect();
        let mut rows = self.now(source, listed).await;
        let mut loaded = Vec::with_capacity(known.len());
        for (place, (id, request)) in ids.iter().zip(requests).enumerate() {
            let Some(known) = known.remove(id) else { continue };
            match rows.remove(&id.key).transpose() {
                Ok(row) => {
                    let (key, lease) = (id.key.clone(), request.lease);
                    loaded.push(LoadedDocument { place, key, lease, known, row });
                }
                Err(error) => results[place] = Err(error),
            }
        }
        loaded
    }

    /// Reads the rows with these keys, no older than they were listed.
    async fn now(
        &self,
        source: &str,
        listed: Vec<(String, Option<i64>)>,
    ) -> HashMap<String, Result<Row, JobError>> {
        let caught_up = match self.catalogues.get(source) {
            Some(catalogue) => catalogue.catch_up(&listed).await,
            None => Ok(()),
        };
        let keys: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
        match caught_up {
            Ok(()) => self.read(source, keys).await,
            Err(error) => {
                let error = JobError::from(error);
                keys.into_iter().map(|key| (key, Err(error.clone()))).collect()
            }
        }
    }

    /// Reads the rows with these keys. One that cannot be read does not fail the others.
    pub(super) async fn read(
        &self,
        source: &str,
        keys: Vec<String>,
    ) -> HashMap<String, Result<Row, JobError>> {
        let Some(catalogue) = self.catalogues.get(source) else {
            let error = JobError::Dead(format!("the settings have no source `{source}` any more"));
            return keys.into_iter().map(|key| (key, Err(error.clone()))).collect();
        };
        let blames_a_row = |error: &CatalogueError| matches!(error, CatalogueError::Misfit { .. });
        let rows = halving(&keys, blames_a_row, |part| rows(&**catalogue, part).boxed()).await;
        let rows = keys.iter().zip(rows).filter_map(|(key, row)| match row {
            Ok(row) => Some((key.clone(), Ok(row?))),
            Err(error) => Some((key.clone(), Err(error.into()))),
        });
        rows.collect()
    }
}

/// The row of each key that has one.
async fn rows(catalogue: &dyn Catalogue, keys: &[String]) -> Result<Vec<Option<Row>>, CatalogueError> {
    let rows = catalogue.read(keys).await?.into_iter().map(|row| match row {
        Ok(document) => (document.key.clone(), Ok(Arc::new(document))),
        Err(fault) => (fault.key.clone(), Err(fault)),
    });
    let rows: HashMap<_, _> = rows.collect();
    Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
}
