//! Compares a source with the known documents, and enqueues the differences.
//!
//! The listing is streamed and merged with our own ordered documents, so memory does not grow with the catalogue. Additions
//! and changes are noted in batches as they are found; removals wait for the end, because a source that suddenly lists far
//! fewer documents is more likely broken than sold out.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use futures::{Stream, TryStreamExt};
use serde::Deserialize;

use crate::{
    catalogue::{
        Catalogue, CatalogueError, ListedRow, MassDelete, SetAside,
        changes::{Change, CompareError, KnownRow, compare},
    },
    clock,
    job::{Attempt, FILL_INDEX, Job, JobError, Outcome, REFRESH_DOCUMENT, SYNC_CATALOGUE},
    store::{Store, StoreError},
    sync::report::{SyncError, SyncReport},
    telemetry,
};

/// Documents noted in one transaction.
const BATCH: usize = 1000;
/// Known documents read at once.
const PAGE: u32 = 5000;

/// The job.
#[expect(missing_docs, reason = "the names say it")]
pub struct SyncCatalogue {
    pub store: Store,
    /// By name.
    pub sources: BTreeMap<String, SyncedSource>,
    /// The model servers of the settings: documents that one of them rejected are not retried.
    pub servers: Vec<String>,
}

/// A source and the limits of its listings.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SyncedSource {
    pub catalogue: Arc<dyn Catalogue>,
    /// On removals between complete listings.
    pub mass_delete: MassDelete,
    /// On the share of rows that are set aside, from 0 to 1.
    pub set_aside: f64,
}

/// The options of a sync.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SyncOptions {
    /// Refresh every document, whether it changed or not.
    pub full: bool,
    /// Remove documents without the mass-delete guard.
    pub allow_mass_delete: bool,
}

/// Which source.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Payload {
    pub source: String,
    #[serde(flatten)]
    pub options: SyncOptions,
}

impl Job for SyncCatalogue {
    const KIND: &'static str = SYNC_CATALOGUE;
    type Payload = Payload;

    async fn run(&self, payload: Payload, _: &Attempt) -> Result<Outcome, JobError> {
        let report = self.sync(&payload.source, payload.options).await?;
        tracing::info!(
            source = report.source,
            added = report.added,
            changed = report.changed,
            removed = report.removed,
            unchanged = report.unchanged,
            elapsed_ms = report.elapsed_ms,
            "compared source `{}`: {} to refresh",
            report.source,
            report.enqueued,
        );
        Ok(Outcome::Done(Vec::new()))
    }
}

impl SyncCatalogue {
    pub(crate) fn source(&self, name: &str) -> Result<&SyncedSource, SyncError> {
        self.sources.get(name).ok_or_else(|| SyncError::Unknown(name.to_owned()))
    }

    /// Compares one source and enqueues what differs, unless another process does so now.
    pub async fn sync(&self, name: &str, options: SyncOptions) -> Result<SyncReport, SyncError> {
        let source = self.source(name)?;
        let lock = self.store.lock_listing(name).await?;
        let lock = lock.ok_or_else(|| SyncError::Busy(name.to_owned()))?;
        let report = self.sync_alone(name, source.mass_delete, options).await;
        lock.release().await;
        if let Err(SyncError::Catalogue(error)) = &report {
            // If this fails, too, the error is told all the same.
            let _ = self.store.note_not_synced(name, &error.to_string()).await;
        }
        report
    }

    async fn sync_alone(
        &self,
        name: &str,
        guard: MassDelete,
        options: SyncOptions,
    ) -> Result<SyncReport, SyncError> {
        let started = Instant::now();
        let mut run =
            Run { store: &self.store, report: SyncReport::new(name), added: Vec::new(), changed: Vec::new() };
        let mut removed = Vec::new();
        let (set_aside, changes) = self.changes(name).await?;
        futures::pin_mut!(changes);
        while let Some(change) = changes.try_next().await? {
            match change {
                Change::Added(entry) => {
                    run.report.added += 1;
                    run.added.push(entry);
                }
                Change::Modified(entry) => {
                    run.report.changed += 1;
                    run.changed.push(entry);
                }
                Change::Unchanged(entry) => {
                    run.report.unchanged += 1;
                    if options.full {
                        run.changed.push(entry);
                    }
                }
                Change::Removed(key) => removed.push(key),
            }
            run.note(BATCH).await?;
        }
        run.note(1).await?;
        let mut report = run.report;
        report.removed = removed.len() as u64;
        report.listed = report.added + report.changed + report.unchanged;
        if report.removed > 0 && !options.allow_mass_delete {
            let departure = self.store.let_leave(name, report.removed, guard, true).await?;
            if !departure.allowed {
                let (source_name, removed) = (name.to_owned(), report.removed);
                return Err(SyncError::MassDelete { source_name, removed, known: departure.known });
            }
        }
        for keys in removed.chunks(BATCH) {
            report.enqueued += self.store.note_unlisted(name, keys, REFRESH_DOCUMENT).await?;
        }
        // The cause of a failure may have passed, but a server rejects the same text again.
        report.enqueued += self.store.retry_failed(name, &self.servers, REFRESH_DOCUMENT).await?;
        self.store.note_synced(name, report.listed, &set_aside).await?;
        (report.set_aside, report.set_aside_rows) = (set_aside.count, set_aside.rows);
        telemetry::synced(name, clock::now());
        report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(report)
    }
}

impl SyncCatalogue {
    /// Compares a source's listing with its known documents; changes nothing. Also returns the rows that were set aside:
    /// they do not remove their documents.
    pub(crate) async fn changes<'a>(
        &'a self,
        name: &'a str,
    ) -> Result<(SetAside, impl Stream<Item = Result<Change, SyncError>> + 'a), SyncError> {
        let source = self.source(name)?;
        let listing = source.catalogue.list().await?;
        let set_aside = listing.set_aside;
        if let Some(reason) = set_aside.refusal(listing.total, source.set_aside) {
            return Err(CatalogueError::Broken { source_name: name.to_owned(), reason }.into());
        }
        let known = known(&self.store, name).map_err(SyncError::from);
        let changes = compare(listing.rows.map_err(SyncError::from), known);
        let stay = set_aside.keys.clone();
        let changes = changes.try_filter(move |change| {
            let is_kept = matches!(change, Change::Removed(key) if stay.contains(key));
            std::future::ready(!is_kept)
        });
        Ok((set_aside, changes.map_err(|error| distrust(name, error))))
    }
}

/// A running comparison.
struct Run<'a> {
    store: &'a Store,
    report: SyncReport,
    added: Vec<ListedRow>,
    changed: Vec<ListedRow>,
}

impl Run<'_> {
    /// Notes additions and changes once there are this many of them.
    async fn note(&mut self, least: usize) -> Result<(), StoreError> {
        let source = &self.report.source;
        if self.changed.len() >= least {
            let changed = std::mem::take(&mut self.changed);
            self.report.enqueued += self.store.note_listed(source, &changed, REFRESH_DOCUMENT).await?;
        }
        if self.added.len() >= least {
            let added = std::mem::take(&mut self.added);
            // `fill_index` looks at all documents, which pays only for a large import.
            self.report.enqueued += if added.len() < BATCH {
                self.store.note_listed(source, &added, REFRESH_DOCUMENT).await?
            } else {
                self.store.note_new(source, &added, FILL_INDEX).await?
            };
        }
        Ok(())
    }
}

/// Streams the known documents of a source in key order, read in pages.
fn known<'a>(store: &'a Store, source: &'a str) -> impl Stream<Item = Result<KnownRow, StoreError>> + 'a {
    async_stream::try_stream! {
        let mut after: Option<String> = None;
        loop {
            let page = store.known(source, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for known in page {
                yield known;
            }
        }
    }
}

/// Turns a listing that cannot be trusted into an error of the source.
fn distrust(source: &str, error: CompareError<SyncError>) -> SyncError {
    match error {
        CompareError::Read(error) => error,
        CompareError::Duplicate(_) | CompareError::Disorder(..) => {
            SyncError::Catalogue(CatalogueError::Misfit {
                source_name: source.to_owned(),
                reason: error.to_string(),
            })
        }
    }
}
