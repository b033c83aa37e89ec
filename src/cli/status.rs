//! `status`: how fresh the index is, and what is queued.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{output, settings};
use crate::{daemon, store::Store};

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(arguments: &Status, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    let (sources, queue, index, usage) = tokio::try_join!(
        store.source_status(),
        store.queue_status(),
        store.index_status(),
        store.usage_today(),
    )?;
    if arguments.json {
        return output::json(&json!({
            "sources": sources, "queue": queue, "index": index, "usage_today": usage,
        }));
    }
    output::table(
        &["source", "documents", "fresh", "stale", "failed", "chunks", "oldest stale", "last sync"],
        sources.iter().map(|source| {
            let synced = source.last_sync_at.map_or("never".to_owned(), |at| at.format("%F %TZ").to_string());
            let counts = [source.documents, source.fresh, source.stale, source.failed, source.chunks];
            let counts = counts.map(|count| count.to_string());
            let rest = [output::ago(source.oldest_stale_seconds), synced];
            std::iter::once(source.source.clone()).chain(counts).chain(rest).collect()
        }),
    );
    output::line("");
    output::table(
        &["queue", "ready", "scheduled", "running", "dead", "oldest ready"],
        queue.iter().map(|queue| {
            let counts =
                [queue.ready, queue.scheduled, queue.running, queue.dead].map(|count| count.to_string());
            let oldest = output::ago(queue.oldest_ready_seconds);
            std::iter::once(queue.kind.clone()).chain(counts).chain([oldest]).collect()
        }),
    );
    output::line("");
    output::table(
        &["index", "model", "dimensions", "state", "chunks"],
        index.iter().map(|index| {
            let version = &index.version;
            vec![
                version.id.to_string(),
                version.model.clone(),
                version.dimensions.to_string(),
                version.state.clone(),
                index.chunks.to_string(),
            ]
        }),
    );
    output::line(format!("\ntoday (UTC): {} tokens, {:.4} USD", usage.tokens, usage.cost_usd));
    Ok(())
}
