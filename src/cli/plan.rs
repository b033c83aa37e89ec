//! `plan`: what a sync would do and cost.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{open_parts, output, selected_sources};
use crate::config::Embedding;
use crate::daemon::{self, Parts, plan};
use crate::indexing::versions::{Model, Version};

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Print one JSON object per source, model and line
    #[arg(long)]
    json: bool,
}

pub(super) async fn plan(arguments: Plan, path: &Path) -> Result<()> {
    let (config, _, parts) = open_parts(path).await?;
    let versions = parts.versions.planned().await?;
    let plans = plans(&parts, &versions, &selected_sources(&config, arguments.source)).await?;
    for (embedding, model) in config.embeddings().zip(parts.versions.models()) {
        if let Some(difference) = card_difference(embedding, model) {
            output::note(difference);
        }
    }
    if arguments.json { plans.iter().try_for_each(output::json) } else { show(&plans) }
}

/// Says how documents are embedded, if the model's card says otherwise than the index was made with.
pub(super) fn card_difference(embedding: &Embedding, model: &Model) -> Option<String> {
    let (card, made_with) = (&embedding.document, &model.chunking.form);
    (card != made_with).then(|| {
        format!(
            "documents of {} are embedded with {}, as the index was made; its model card says {}: write embedding.document \
             to embed all documents anew",
            model.model.name,
            json!(made_with),
            json!(card)
        )
    })
}

pub(super) async fn plans(
    parts: &Parts,
    versions: &[Version],
    sources: &[String],
) -> Result<Vec<plan::Plan>> {
    let planner = daemon::planner(parts);
    let mut plans = Vec::new();
    for (name, version) in sources.iter().flat_map(|name| versions.iter().map(move |version| (name, version)))
    {
        let bar = ProgressBar::new_spinner().with_message(format!("planning {name}"));
        let told = |compared| bar.set_message(format!("planning {name}: {compared}"));
        let plan = planner.plan(version, name, told).await;
        bar.finish_and_clear();
        plans.push(plan?);
    }
    Ok(plans)
}

pub(super) fn show(plans: &[plan::Plan]) -> Result<()> {
    let columns = "source, model, added, changed, removed, unchanged, set_aside as set aside, faulty, chunks, cached_chunks as known chunks, tokens, \
                   cost_usd as dollars, eta_seconds as time";
    output::rows_table(plans, columns)
}
