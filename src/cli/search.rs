//! `search`: retrieval alone.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{Exit, output, settings};
use crate::{
    answering::SearchHit,
    daemon,
    store::{Store, chunks::SearchFilter},
};

#[derive(Debug, Args)]
pub(super) struct Search {
    /// What is looked for
    text: String,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Passages to find; `answers.top_k` when left out
    #[arg(long, value_name = "N")]
    top_k: Option<std::num::NonZeroU32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn search(arguments: Search, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let sources = chosen(&config, arguments.source)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    let parts = daemon::assemble(&config, &store).await?;
    let top_k = arguments.top_k.unwrap_or(config.answers.top_k).get();
    let within = SearchFilter { sources: sources.as_deref(), metadata: None };
    let passages = parts.retriever.look_up(&arguments.text, within, top_k).await?;
    if arguments.json {
        let results = passages.iter().map(SearchHit::new);
        return output::json(&json!({ "results": results.collect::<Vec<_>>() }));
    }
    for passage in passages {
        output::line(format!(
            "{:.3}  {}/{}  {}",
            passage.distance, passage.source, passage.key, passage.title
        ));
        output::line(format!("       {}\n", passage.content.replace('\n', "\n       ")));
    }
    Ok(())
}

/// The sources to search: one that the settings have, or all.
fn chosen(config: &crate::config::Config, source: Option<String>) -> anyhow::Result<Option<Vec<String>>> {
    let Some(name) = source else { return Ok(None) };
    if config.has_source(&name) {
        return Ok(Some(vec![name]));
    }
    let names: Vec<_> = config.sources.iter().map(|source| source.name.as_str()).collect();
    let message = format!("the settings have no source `{name}`; there are {}", names.join(", "));
    Err(Exit { code: super::CONFIGURATION, message }.into())
}
