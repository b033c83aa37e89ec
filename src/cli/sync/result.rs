//! The result of syncing one source, and the error that decides the exit code.

use std::fmt::Write;

use serde::Serialize;

use crate::{cli::output, store::Store, store::documents::FailureGroup, sync::report::SyncReport};

#[derive(Serialize)]
pub(in crate::cli) struct SyncResult {
    #[serde(flatten)]
    pub(super) report: SyncReport,
    /// Documents that cannot be indexed.
    pub(super) failed: i64,
    /// Most frequent first.
    pub(super) reasons: Vec<FailureReason>,
}

#[derive(Serialize)]
pub(super) struct FailureReason {
    reason: String,
    documents: i64,
}

impl SyncResult {
    /// Adds the failures that the store has of this source.
    pub(super) async fn load(store: &Store, report: SyncReport) -> anyhow::Result<Self> {
        let failures = store.failures(Some(&report.source), None).await?;
        let failed = failures.iter().map(|failure| failure.documents).sum();
        let reason = |FailureGroup { reason, documents, .. }| FailureReason { reason, documents };
        Ok(Self { report, failed, reasons: failures.into_iter().map(reason).collect() })
    }
}

const REASONS: usize = 5;

pub(super) fn failure(synced: &[SyncResult]) -> Option<anyhow::Error> {
    let failed: i64 = synced.iter().map(|synced| synced.failed).sum();
    if failed == 0 {
        return None;
    }
    let mut message = format!("{failed} documents could not be indexed");
    for SyncResult { report, reasons, .. } in synced {
        for FailureReason { reason, documents } in reasons.iter().take(REASONS) {
            // Writing to a string cannot fail.
            let _ = write!(message, "\n  {documents} of {}: {reason}", report.source);
        }
    }
    Some(anyhow::Error::msg(message))
}

pub(in crate::cli) fn show(synced: &[SyncResult], json: bool) -> anyhow::Result<()> {
    if json {
        return synced.iter().try_for_each(output::json);
    }
    let columns = "source, listed, added, changed, removed, unchanged, enqueued, failed, elapsed_ms as ms";
    output::rows_table(synced, columns)
}
