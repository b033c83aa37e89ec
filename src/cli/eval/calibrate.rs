//! `eval calibrate`: proposes the distance above which to ask a human.

use std::path::Path;

use anyhow::bail;
use serde_json::json;

use super::{Set, find_version, grade};
use crate::cli::{open_parts, output};
use crate::evaluation::threshold::{Threshold, calibrate};

pub(super) async fn propose(set: &Set, path: &Path) -> anyhow::Result<()> {
    let cases = set.cases()?;
    let (config, _, parts) = open_parts(path).await?;
    let version = find_version(&parts, set.version).await?;
    let graded = grade(&parts, &version, cases, false).await?;
    let present = Threshold::judge(&graded, config.answers.escalate_above_distance);
    let (Some(proposed), Some(present)) = (calibrate(&graded), present) else {
        bail!(
            "a golden set for this needs questions that can be answered, and some that cannot: those with an empty \
             `expected`"
        );
    };
    if set.json {
        return output::json(&json!({
            "version": version.index.id, "model": version.index.model, "queries": graded.len(),
            "proposed": proposed, "present": present,
        }));
    }
    let row = |name: &str, threshold: &Threshold| {
        let Threshold { distance, precision, recall, kept, balanced_accuracy } = threshold;
        let mut row = vec![name.to_owned(), distance.to_string(), output::figure(*precision)];
        row.extend([recall, kept, balanced_accuracy].map(|value| output::figure(Some(*value))));
        row
    };
    output::table(
        &["", "distance", "precision", "recall", "answerable kept", "balanced accuracy"],
        [row("present", &present), row("proposed", &proposed)],
    );
    output::line(format!("\nFor {} with {} questions:\n", version.index.model, graded.len()));
    output::line(format!("[answers]\nescalate_above_distance = {}", proposed.distance));
    Ok(())
}
