//! The result of syncing one source, and the error that decides the exit code.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    catalogue::SetAsideRow, cli::output, store::Store, store::documents::FailureGroup,
    sync::report::SyncReport,
};

#[derive(Serialize)]
pub(in crate::cli) struct SyncResult {
    #[serde(flatten)]
    pub(super) report: SyncReport,
    /// Documents that cannot be indexed.
    pub(super) failed: i64,
    /// Those of failed documents, most frequent first, then those of the first rows that were set aside.
    pub(super) reasons: Vec<FailureReason>,
}

/// Why documents failed, or a row was set aside.
#[derive(Serialize)]
pub(super) struct FailureReason {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<i64>,
    /// The number of a row that was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// The row's key, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl SyncResult {
    /// Adds the failures that the store has of this source.
    pub(super) async fn load(store: &Store, report: SyncReport) -> anyhow::Result<Self> {
        let failures = store.failures(Some(&report.source), None).await?;
        let failed = failures.iter().map(|failure| failure.documents).sum();
        let failure = |FailureGroup { reason, documents, .. }| FailureReason {
            reason,
            documents: Some(documents),
            row: None,
            key: None,
        };
        let row = |row: &SetAsideRow| FailureReason {
            reason: row.reason.clone(),
            documents: None,
            row: Some(row.row),
            key: row.key.clone(),
        };
        let reasons =
            failures.into_iter().map(failure).chain(report.set_aside_rows.iter().map(row)).collect();
        Ok(Self { report, failed, reasons })
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
        let failures = reasons.iter().filter_map(|failure| Some((failure.documents?, &failure.reason)));
        for (documents, reason) in failures.take(REASONS) {
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
    let columns = "source, listed, added, changed, removed, unchanged, set_aside as set aside, enqueued, failed, \
                   elapsed_ms as ms";
    output::rows_table(synced, columns)?;
    for SyncResult { report, .. } in synced {
        output::set_aside(&report.source, report.set_aside, &report.set_aside_rows);
    }
    Ok(())
}
