//! `status`: how fresh the index is, and what is queued.

use std::{io::IsTerminal, path::Path, time::Duration};

use clap::Args;
use serde_json::json;

use super::{output, settings};
use crate::{
    config::Config,
    daemon::{self, Workers},
    store::{
        Store,
        status::{Pace, SourceStatus},
    },
};

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show it again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// Reasons shown for failures, the most frequent ones.
const REASONS: i64 = 10;
/// How often it is shown again.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn status(arguments: &Status, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    loop {
        if arguments.watch && !arguments.json && std::io::stdout().is_terminal() {
            // Clears the screen.
            output::line("\x1b[2J\x1b[H");
        }
        show(arguments, &config, &store).await?;
        if !arguments.watch {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn show(arguments: &Status, config: &Config, store: &Store) -> anyhow::Result<()> {
    let (mut sources, failures, queue, waits, index, usage, stopped) = tokio::try_join!(
        store.source_status(),
        store.failures(None, Some(REASONS)),
        store.queue_status(Workers::KINDS),
        store.budget_waits(),
        store.index_status(),
        store.usage_today(),
        store.stopped_since(),
    )?;
    let pace = Pace::new(&sources);
    for source in &mut sources {
        if !config.has_source(&source.source) {
            // Nobody lists it, and nothing of it leaves unasked.
            source.withheld = source.documents;
        }
    }
    if arguments.json {
        return output::json(&json!({
            "sources": sources, "queue": queue, "index": index, "usage_today": usage,
            "failures": failures, "refresh": pace, "stopped_since": stopped, "waiting": waits,
        }));
    }
    if let Some(since) = stopped {
        let since = since.format("%F %TZ");
        output::line(format!("the stop button is pressed since {since}: `shopkeeper resume` lets it go\n"));
    }
    output::table(
        &[
            "source",
            "documents",
            "fresh",
            "stale",
            "failed",
            "chunks",
            "oldest stale",
            "lag p50",
            "p99",
            "last sync",
        ],
        sources.iter().map(|source| {
            let synced = source.last_sync_at.map_or("never".to_owned(), |at| at.format("%F %TZ").to_string());
            let counts = [source.documents, source.fresh, source.stale, source.failed, source.chunks];
            let counts = counts.map(|count| count.to_string());
            let rest = [
                output::ago(source.oldest_stale_seconds),
                output::ago(source.lag_p50_seconds),
                output::ago(source.lag_p99_seconds),
                synced,
            ];
            std::iter::once(source.source.clone()).chain(counts).chain(rest).collect()
        }),
    );
    for SourceStatus { source, withheld, .. } in sources.iter().filter(|source| source.withheld > 0) {
        let stay = if config.has_source(source) {
            "stay although their rows are gone"
        } else {
            "stay although the source left the settings"
        };
        output::line(format!(
            "{withheld} documents of {source} {stay}: `shopkeeper sync --source {source} \
             --allow-mass-delete` removes them"
        ));
    }
    for failure in &failures {
        output::line(format!("{} of {} failed: {}", failure.documents, failure.source, failure.reason));
    }
    if pace.pending > 0 {
        let eta = pace.eta_seconds.map_or(String::new(), |eta| format!(", {eta:.0} s left"));
        output::line(format!("refreshing: {} pending, {} a minute{eta}", pace.pending, pace.per_minute));
    }
    output::line("");
    super::queue::show(&queue, &waits);
    output::line("");
    output::table(
        &["index", "model", "dimensions", "state", "chunks"],
        index.iter().map(|index| {
            let version = &index.version;
            vec![
                version.id.to_string(),
                version.model.clone(),
                version.dimensions.to_string(),
                version.state.to_string(),
                index.chunks.to_string(),
            ]
        }),
    );
    output::line(format!("\ntoday (UTC): {} tokens, {:.4} USD", usage.tokens, usage.cost_usd));
    Ok(())
}
