//! The schedules of the settings, and those that every daemon keeps.

use std::time::Duration;

use crate::{
    config::{Config, Overlap, ScheduledJob},
    evaluation::job::Eval,
    indexing::maintain::{self, MaintainIndex},
    job::Job,
    queue::{CatchUp, Schedule, Ticks},
    retention::{self, PruneHistory},
    sync::reconcile::SyncCatalogue,
};

/// The schedules of a configuration. Rows past their retention are deleted every hour, even without a schedule.
pub fn schedules(config: &Config) -> anyhow::Result<Vec<Schedule>> {
    let mut schedules = Vec::new();
    for schedule in &config.schedules {
        let (kind, keys, payloads) = match &schedule.job {
            ScheduledJob::SyncCatalogue(source) => {
                let names = source.clone().map_or_else(|| config.source_names(), |name| vec![name]);
                let payloads = sync_payloads(&names);
                (SyncCatalogue::KIND, names, payloads)
            }
            ScheduledJob::PruneHistory => prune_job(),
            ScheduledJob::MaintainIndex => {
                (MaintainIndex::KIND, vec![maintain::KEY.to_owned()], vec![serde_json::json!({})])
            }
            // The key is the schedule's name, so that each has a job of its own.
            ScheduledJob::Eval(payload) => {
                (Eval::KIND, vec![schedule.name.clone()], vec![serde_json::json!(payload)])
            }
        };
        schedules.push(Schedule {
            name: schedule.name.clone(),
            ticks: Ticks::new(&schedule.cron, schedule.timezone)?,
            catch_up: schedule.catch_up,
            skip_live: schedule.overlap == Overlap::Skip,
            jitter: schedule.jitter,
            time_limit: schedule.timeout,
            kind,
            keys,
            payloads,
        });
    }
    if !config.schedules.iter().any(|schedule| matches!(schedule.job, ScheduledJob::PruneHistory)) {
        let (kind, keys, payloads) = prune_job();
        schedules.push(Schedule {
            name: kind.to_owned(),
            ticks: Ticks::new("17 * * * *", chrono_tz::Tz::UTC)?,
            catch_up: CatchUp::Latest,
            skip_live: true,
            jitter: Duration::ZERO,
            time_limit: None,
            kind,
            keys,
            payloads,
        });
    }
    Ok(schedules)
}

pub(super) fn sync_payloads(names: &[String]) -> Vec<serde_json::Value> {
    names.iter().map(|name| serde_json::json!({ "source": name })).collect()
}

fn prune_job() -> (&'static str, Vec<String>, Vec<serde_json::Value>) {
    (PruneHistory::KIND, vec![retention::KEY.to_owned()], vec![serde_json::json!({})])
}
