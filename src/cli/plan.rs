//! `plan`: what a sync would do, and what it would cost.

use std::path::Path;

use clap::Args;
use indicatif::ProgressBar;

use super::{output, settings};
use crate::{
    daemon::{self, Parts, plan::Plan as Planned},
    indexing::versions::Version,
    store::Store,
};

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Print one JSON object a line for each source
    #[arg(long)]
    json: bool,
}

pub(super) async fn plan(arguments: Plan, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    let store = Store::open(&daemon::reach(&config)).await?;
    let parts = daemon::assemble(&config, &store).await?;
    let names = match arguments.source {
        Some(name) => vec![name],
        None => config.source_names(),
    };
    let active = parts.versions.planned().await?;
    let plans = plans(&parts, &active, &names).await?;
    if arguments.json {
        return plans.iter().try_for_each(output::json);
    }
    show(&plans);
    Ok(())
}

/// What syncs of these sources would do for a version.
pub(super) async fn plans(
    parts: &Parts,
    version: &Version,
    names: &[String],
) -> anyhow::Result<Vec<Planned>> {
    let planner = daemon::planner(parts);
    let mut plans = Vec::new();
    for name in names {
        let bar = ProgressBar::new_spinner().with_message(format!("planning {name}"));
        let told = |compared| bar.set_message(format!("planning {name}: {compared}"));
        let plan = planner.plan(version, name, told).await;
        bar.finish_and_clear();
        plans.push(plan?);
    }
    Ok(plans)
}

pub(super) fn show(plans: &[Planned]) {
    let rows = plans.iter().map(|plan| {
        let numbers = [
            plan.added,
            plan.changed,
            plan.removed,
            plan.unchanged,
            plan.estimate.faulty,
            plan.estimate.chunks,
            plan.estimate.cached_chunks,
            plan.estimate.tokens,
        ];
        let rest = [format!("{:.4}", plan.estimate.cost_usd), format!("{:.0}", plan.eta_seconds)];
        std::iter::once(plan.source.clone())
            .chain(numbers.map(|number| number.to_string()))
            .chain(rest)
            .collect()
    });
    output::table(
        &[
            "source",
            "added",
            "changed",
            "removed",
            "unchanged",
            "faulty",
            "chunks",
            "known chunks",
            "tokens",
            "dollars",
            "seconds",
        ],
        rows,
    );
}
