//! Reads many documents at once: what is known of them, what they are now, and which vectors there are
//! already.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;

use super::{
    super::{
        JobError,
        gather::{Gather, Limits, halving},
    },
    job_error,
    refresher::{Look, Looked, Refreshing, Text},
};
use crate::{
    catalogue::{Catalogue, CatalogueError, Document, DocumentId, RenderFault},
    index::InputHash,
    store::{
        documents::{Content, Known, Refreshed, Write},
        jobs::Lease,
    },
};

/// A row, or why no document can be made of it.
type Row = Result<Arc<Document>, RenderFault>;

/// Documents of a source read at once, and vectors looked for.
const LIMITS: Limits = Limits { items: 500, weight: u64::MAX, linger: Duration::from_millis(1), at_once: 2 };

pub(super) fn looks(shared: &Arc<Refreshing>) -> Look {
    let shared = shared.clone();
    let work = move |asked: Vec<(DocumentId, Option<Lease>)>| {
        let shared = shared.clone();
        async move {
            let looked = shared.look(&asked).await;
            looked.unwrap_or_else(|error| asked.iter().map(|_| Err(error.clone())).collect())
        }
        .boxed()
    };
    Gather::new(LIMITS, |_| 1, || false, work)
}

pub(super) fn finds(shared: &Arc<Refreshing>) -> Gather<InputHash, Result<Option<Vec<f32>>, JobError>> {
    let shared = shared.clone();
    let work = move |hashes: Vec<InputHash>| {
        let shared = shared.clone();
        async move {
            match shared.store.vectors(&shared.version.index, &hashes).await {
                Ok(found) => hashes.iter().map(|hash| Ok(found.get(hash).cloned())).collect(),
                Err(error) => hashes.iter().map(|_| Err(job_error(error.clone()))).collect(),
            }
        }
        .boxed()
    };
    Gather::new(LIMITS, |_| 1, || false, work)
}

impl Refreshing {
    /// What is known is read first: a change after that raises the revision, and the write sees it.
    async fn look(
        &self,
        asked: &[(DocumentId, Option<Lease>)],
    ) -> Result<Vec<Result<Option<Looked>, JobError>>, JobError> {
        let known = self.store.indexed(self.version.index.id, asked.iter().map(|(id, _)| id)).await;
        let known = known.map_err(job_error)?;
        let mut by_source: HashMap<_, Vec<_>> = HashMap::new();
        for (id, known) in &known {
            by_source.entry(id.source.as_str()).or_default().push((id.key.clone(), known.row_hash));
        }
        let mut rows = HashMap::new();
        for (source, listed) in by_source {
            rows.extend(self.now(source, listed).await);
        }
        let looked = asked.iter().map(|(id, lease)| {
            let Some(known) = known.get(id) else { return Ok(None) };
            // Two jobs may ask for the same document at once, and both get it.
            self.compare(id, known, *lease, rows.get(id).cloned().transpose()?)
        });
        Ok(looked.collect())
    }

    /// What a source has of these keys, no older than they were listed; a source that cannot tell spoils no other.
    async fn now(
        &self,
        source: &str,
        listed: Vec<(String, Option<i64>)>,
    ) -> Vec<(DocumentId, Result<Row, JobError>)> {
        let caught_up = match self.catalogues.get(source) {
            Some(catalogue) => catalogue.catch_up(&listed).await,
            None => Ok(()),
        };
        let keys = listed.into_iter().map(|(key, _)| key);
        match caught_up.map_err(JobError::from) {
            Ok(()) => self.read(source, keys.collect()).await,
            Err(error) => {
                let id = |key| DocumentId { source: source.to_owned(), key };
                keys.map(|key| (id(key), Err(error.clone()))).collect()
            }
        }
    }

    /// What a source has of these keys; one that it cannot read spoils no other.
    pub(super) async fn read(
        &self,
        source: &str,
        keys: Vec<String>,
    ) -> Vec<(DocumentId, Result<Row, JobError>)> {
        let id = |key: &String| DocumentId { source: source.to_owned(), key: key.clone() };
        let Some(catalogue) = self.catalogues.get(source) else {
            let error = JobError::Dead(format!("the settings have no source `{source}` any more"));
            return keys.iter().map(|key| (id(key), Err(error.clone()))).collect();
        };
        let is_refused = |error: &CatalogueError| matches!(error, CatalogueError::Misfit { .. });
        let rows = halving(&keys, is_refused, |part| rows(&**catalogue, part).boxed()).await;
        let rows = keys.iter().zip(rows).filter_map(|(key, row)| match row {
            Ok(row) => Some((id(key), Ok(row?))),
            Err(error) => Some((id(key), Err(error.into()))),
        });
        rows.collect()
    }

    fn compare(
        &self,
        id: &DocumentId,
        known: &Known,
        lease: Option<Lease>,
        row: Option<Row>,
    ) -> Result<Option<Looked>, JobError> {
        let now = Instant::now();
        let changed = now.checked_sub(known.changed_ago).unwrap_or(now);
        let write = |refreshed| Write { id: id.clone(), revision: known.revision, lease, refreshed };
        let document = match row {
            None => return Ok(Some(Looked { write: write(Refreshed::Removed), text: None, changed })),
            Some(Err(fault)) => return Err(JobError::Dead(fault.to_string())),
            Some(Ok(document)) => document,
        };
        let fingerprint = self.version.model.chunking.fingerprint(&document, &self.version.index.model);
        let is_new = known.fingerprint != Some(fingerprint);
        let text = is_new.then(|| Text { document: document.clone(), hashes: known.chunks.clone() });
        let known = known.fingerprint;
        let content = Refreshed::Content(Content { document, known, fingerprint, chunks: None });
        Ok(Some(Looked { write: write(content), text, changed }))
    }
}

/// The row of each key, if there is one.
async fn rows(catalogue: &dyn Catalogue, keys: &[String]) -> Result<Vec<Option<Row>>, CatalogueError> {
    let rows = catalogue.read(keys).await?.into_iter().map(|row| match row {
        Ok(document) => (document.key.clone(), Ok(Arc::new(document))),
        Err(fault) => (fault.key.clone(), Err(fault)),
    });
    let rows: HashMap<_, _> = rows.collect();
    Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
}
