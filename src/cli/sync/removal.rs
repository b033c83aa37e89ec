//! Removes the documents of a source that left the settings.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::result::SyncResult;
use crate::cli::{Exit, REFUSED};
use crate::{catalogue::SetAside, store::Store, sync::report::SyncReport};

/// Counts the documents of a source that left the settings; `None` if it has none.
pub(super) async fn left_over(store: &Store, name: &str) -> anyhow::Result<Option<i64>> {
    let sources = store.source_status().await?;
    let documents = sources.into_iter().find(|source| source.source == name).map(|source| source.documents);
    Ok(documents.filter(|documents| *documents > 0))
}

/// Removes all its documents, if the operator allows a mass delete.
pub(super) async fn remove_source(
    store: &Store,
    name: &str,
    documents: i64,
    is_allowed: bool,
) -> anyhow::Result<SyncResult> {
    if !is_allowed {
        let message = format!(
            "the settings have no source `{name}` any more, and its {documents} documents are still searched\n  \
             to remove them, run `shopkeeper sync --source {name} --allow-mass-delete`"
        );
        return Err(Exit { code: REFUSED, message }.into());
    }
    let bar = ProgressBar::new(documents.unsigned_abs())
        .with_style(ProgressStyle::with_template("removing {bar:30} {pos}/{len} documents")?);
    let (started, mut report) = (Instant::now(), SyncReport::new(name));
    while let deleted @ 1.. = store.delete_documents(name).await? {
        report.removed += deleted;
        bar.inc(deleted);
    }
    bar.finish_and_clear();
    store.note_synced(name, 0, &SetAside::default()).await?;
    report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(SyncResult { report, failed: 0, reasons: Vec::new() })
}
