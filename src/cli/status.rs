//! `status`: how fresh the index is, and what is queued.

use std::{io::IsTerminal, path::Path, time::Duration};

use clap::Args;
use serde_json::json;

use super::{open, output, queue};
use crate::store::status::{Pace, SourceStatus};
use crate::{config::Config, daemon::Workers, store::Store};

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Repeat every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// How many reasons for failures are shown, most frequent first.
const REASONS: i64 = 10;
const INTERVAL: Duration = Duration::from_secs(2);

pub(super) async fn status(Status { json, watch }: Status, path: &Path) -> anyhow::Result<()> {
    let (config, store) = open(path).await?;
    loop {
        if watch && !json && std::io::stdout().is_terminal() {
            // Clears the screen.
            output::line("\x1b[2J\x1b[H");
        }
        show(json, &config, &store).await?;
        if !watch {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn show(json: bool, config: &Config, store: &Store) -> anyhow::Result<()> {
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
            // No sync lists it any more, so its documents stay until an operator removes them.
            source.withheld = source.documents;
        }
    }
    if json {
        return output::json(&json!({
            "sources": sources, "queue": queue, "index": index, "usage_today": usage,
            "failures": failures, "refresh": pace, "stopped_since": stopped, "waiting": waits,
        }));
    }
    if let Some(since) = stopped {
        let at = output::time(since);
        output::line(format!("model requests are paused since {at}: run `shopkeeper resume` to continue\n"));
    }
    output::rows_table(
        &sources,
        "source, documents, fresh, stale, failed, chunks, oldest_stale_seconds as oldest stale, \
         lag_p50_seconds as lag p50, lag_p99_seconds as p99, last_sync_at as last sync",
    )?;
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
    for (source, error) in
        sources.iter().filter_map(|source| Some((&source.source, source.sync_error.as_ref()?)))
    {
        output::line(format!("the last listing of {source} failed: {error}"));
    }
    for source in &sources {
        output::set_aside(
            &source.source,
            source.set_aside,
            source.set_aside_rows.iter().flat_map(|rows| &rows.0),
        );
    }
    for failure in &failures {
        output::line(format!("{} of {} failed: {}", failure.documents, failure.source, failure.reason));
    }
    if pace.pending > 0 {
        let eta = pace.eta_seconds.map_or(String::new(), |eta| format!(", {eta:.0} s left"));
        output::line(format!("refreshing: {} pending, {} a minute{eta}", pace.pending, pace.per_minute));
    }
    output::line("");
    queue::show(&queue, &waits)?;
    output::line("");
    output::rows_table(&index, "version as index, model, dimensions, state, chunks")?;
    output::line(format!("\ntoday (UTC): {} tokens, {:.4} USD", usage.tokens, usage.cost_usd));
    Ok(())
}
