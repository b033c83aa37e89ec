//! The sources: whether they can be read, how fresh their documents are, and their triggers.

use super::Checks;
use crate::source::postgres::triggers::{TriggerState, TriggerStatus};
use crate::{config::Config, daemon::Parts, store::Store};

const STALE_SECONDS: f64 = 3600.0;

pub(super) async fn check_coverage(config: &Config, store: &Store, checks: &mut Checks) {
    let sources = checks.require("coverage", store.source_status().await, "");
    for source in sources.into_iter().flatten() {
        let (name, documents) = (&source.source, source.documents);
        let oldest = source.oldest_stale_seconds.unwrap_or(0.0);
        if config.has_source(name) {
            checks.add(
                &format!("coverage of {name}"),
                source.last_sync_at.is_some() && source.failed == 0 && oldest < STALE_SECONDS,
                format!(
                    "{} of {documents} documents are fresh, {} failed, the oldest is stale for {oldest:.0} s",
                    source.fresh, source.failed
                ),
                "run `shopkeeper sync --wait`; `shopkeeper jobs list --state dead` says why documents failed",
            );
        } else if documents > 0 {
            checks.add(
                &format!("source {name}"),
                false,
                format!("is no longer in the settings, but its {documents} documents are still searched"),
                &format!(
                    "put it back, or run `shopkeeper sync --source {name} --allow-mass-delete`, which removes them"
                ),
            );
        }
    }
}

pub(super) async fn check_sources(parts: &Parts, checks: &mut Checks) {
    for (source, catalogue) in parts.catalogues() {
        let name = format!("source {source}");
        let remedy = "correct the [[source]], or what it reads; docs/catalogues.md says what its role needs";
        if checks.require(&name, catalogue.check().await, remedy).is_some() {
            checks.pass(&name, "can be read and has the columns");
        }
    }
    for (source, postgres) in parts.postgres_sources() {
        let Ok(triggers) = postgres.trigger_status().await else { continue };
        let all = |state| triggers.iter().all(|trigger| trigger.state == state);
        let (none, current) = (all(TriggerState::Missing), all(TriggerState::Installed));
        let uncovered: Vec<_> = triggers.iter().filter_map(TriggerStatus::uncovered).collect();
        let detail = match (none, current) {
            (true, _) => "none: changes are seen by polls and listings".to_owned(),
            (_, true) if uncovered.is_empty() => "installed and current".to_owned(),
            (_, true) => format!("installed; {}", uncovered.join("; ")),
            _ => "some are missing, or the settings have changed since".to_owned(),
        };
        let name = format!("triggers of {source}");
        checks.add(&name, none || current, detail, "run `shopkeeper trigger install`");
    }
}
