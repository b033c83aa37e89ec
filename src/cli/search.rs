//! `search`: retrieval without an answer.

use std::{num::NonZeroU32, path::Path};

use clap::Args;
use serde_json::json;

use super::{open_parts, output, require_source};
use crate::store::search::SearchFilter;

#[derive(Debug, Args)]
pub(super) struct Search {
    /// The text to search for
    text: String,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The number of passages; `answers.top_k` by default
    #[arg(long, value_name = "N")]
    top_k: Option<NonZeroU32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn search(arguments: Search, path: &Path) -> anyhow::Result<()> {
    let (config, _, parts) = open_parts(path).await?;
    if let Some(source) = &arguments.source {
        require_source(&config, source)?;
    }
    let top_k = arguments.top_k.unwrap_or(config.answers.top_k).get();
    let within =
        SearchFilter { sources: arguments.source.as_ref().map(std::slice::from_ref), metadata: None };
    let passages = parts.retriever.look_up(&arguments.text, within, top_k).await?;
    if arguments.json {
        return output::json(&json!({ "results": passages }));
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
