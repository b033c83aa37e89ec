//! `[[schedule]]`: what is enqueued when.

use std::{collections::BTreeSet, time::Duration};

use super::{
    CatchUp, Overlap, Schedule, ScheduleArgs, ScheduledJob, Span,
    fault::nearest,
    reader::{Faulty, Section},
    sections::seconds,
};

pub(super) fn schedule(section: &Section<'_>, sources: &BTreeSet<String>) -> Result<Schedule, Faulty> {
    let name = section.required("name");
    let cron: Result<String, _> = section.required("cron");
    if let Ok(cron) = &cron
        && let Err(error) = croner::parser::CronParser::new().parse(cron)
    {
        section.fault("cron", format!("is not a schedule: {error}: {cron:?}"));
    }
    let zone: Result<String, _> = section.get("timezone", "UTC".to_owned());
    let timezone = zone.and_then(|zone| {
        zone.parse::<chrono_tz::Tz>().map_err(|_| {
            let near = nearest(&zone, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            section.fault("timezone", format!("is not an IANA time zone: {zone:?}{hint}"))
        })
    });
    let job = section.required("job");
    let args = match &job {
        Ok(job) => schedule_args(&section.section("args"), *job, sources),
        Err(faulty) => {
            section.pass_over(["args"].into_iter());
            Err(*faulty)
        }
    };
    let catch_up = section.get("catch_up", CatchUp::Latest);
    let overlap = section.get("overlap", Overlap::Skip);
    let jitter = section.get("jitter", Span(Duration::ZERO));
    let timeout = section.get("timeout", seconds(1800));
    Ok(Schedule {
        name: name?,
        cron: cron?,
        timezone: timezone?,
        job: job?,
        args: args?,
        catch_up: catch_up?,
        overlap: overlap?,
        jitter: jitter?,
        timeout: timeout?,
    })
}

fn schedule_args(
    section: &Section<'_>,
    job: ScheduledJob,
    sources: &BTreeSet<String>,
) -> Result<ScheduleArgs, Faulty> {
    let args = match job {
        ScheduledJob::SyncCatalogue => sync_args(section, sources),
        ScheduledJob::Eval => eval_args(section),
        ScheduledJob::PruneHistory | ScheduledJob::MaintainIndex => Ok(ScheduleArgs::default()),
    };
    section.finish();
    args
}

fn sync_args(section: &Section<'_>, sources: &BTreeSet<String>) -> Result<ScheduleArgs, Faulty> {
    let source: Option<String> = section.optional("source")?;
    match source {
        Some(source) if !sources.contains(&source) => {
            Err(section.fault("source", format!("names no [[source]]: {source:?}")))
        }
        source => Ok(ScheduleArgs { source, ..ScheduleArgs::default() }),
    }
}

fn eval_args(section: &Section<'_>) -> Result<ScheduleArgs, Faulty> {
    let file: Result<String, _> = section.required("file");
    let min_hit_at_5 = section.optional("min_hit_at_5");
    let file = Some(section.folder().join(file?));
    Ok(ScheduleArgs { file, min_hit_at_5: min_hit_at_5?, ..ScheduleArgs::default() })
}
