//! `[[schedule]]`: which jobs are enqueued when.

use std::{collections::BTreeSet, time::Duration};

use chrono_tz::Tz;
use serde_json::{Value as Json, json};

use super::{
    ReadError, Section, Setting, Shown, Table, Value, defaults::seconds, fault::did_you_mean, table,
};
use crate::{evaluation::job::Payload as EvalPayload, queue::CatchUp};

table! {
    /// A job that the clock enqueues.
    pub struct Schedule, section {
        name: String = required(),
        cron: String = with(cron),
        timezone: Tz = get(Tz::UTC),
        job: ScheduledJob = flat(),
        catch_up: CatchUp = get(CatchUp::Latest),
        overlap: Overlap = get(Overlap::Skip),
        jitter: Duration = get(Duration::ZERO),
        timeout: Option<Duration> = get(Some(seconds(1800))),
    }
}

/// What happens to a tick while the previous run is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Overlap {
    Skip,
    Queue,
}

/// A job that a schedule can enqueue, with its arguments.
#[derive(Clone, Debug, strum::EnumDiscriminants)]
#[strum_discriminants(name(JobWord), vis(pub(super)), strum(serialize_all = "snake_case"))]
#[strum_discriminants(derive(strum::EnumString, strum::IntoStaticStr, strum::VariantNames))]
pub enum ScheduledJob {
    /// Compares one source, or all, with the index.
    SyncCatalogue(Option<String>),
    /// Deletes what is past its retention.
    PruneHistory,
    /// Builds and repairs HNSW indexes.
    MaintainIndex,
    /// Measures a golden set.
    Eval(EvalPayload),
}

impl Table for ScheduledJob {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        let job = section.required("job").inspect_err(|_| section.pass_over(["args"].into_iter()))?;
        let args = section.section("args");
        let job = match job {
            JobWord::SyncCatalogue => args.get("source", None).map(Self::SyncCatalogue),
            JobWord::PruneHistory => Ok(Self::PruneHistory),
            JobWord::MaintainIndex => Ok(Self::MaintainIndex),
            JobWord::Eval => {
                let (file, min_hit_at_5) = (args.required::<String>("file"), args.get("min_hit_at_5", None));
                file.and_then(|file| {
                    let file = args.folder().join(file);
                    Ok(Self::Eval(EvalPayload { file, min_hit_at_5: min_hit_at_5? }))
                })
            }
        };
        args.finish();
        job
    }

    fn show(&self, shown: &mut Shown) {
        let args = match self {
            Self::SyncCatalogue(source) => json!({ "source": source }),
            Self::PruneHistory | Self::MaintainIndex => json!({}),
            Self::Eval(payload) => json!(payload),
        };
        shown.insert("job".to_owned(), JobWord::from(self).show());
        shown.insert("args".to_owned(), args);
    }
}

/// A schedule may only name a source that exists, even if that source has a fault.
pub(super) fn check_sources(root: &Section<'_>) {
    let sources = root.sections("source");
    let names = sources.iter().filter_map(|source| source.optional::<String>("name").ok().flatten());
    let names: BTreeSet<_> = names.collect();
    for schedule in root.sections("schedule") {
        let args = schedule.section("args");
        if let Ok(JobWord::SyncCatalogue) = schedule.required("job")
            && let Ok(Some(name)) = args.optional::<String>("source")
            && !names.contains(&name)
        {
            args.fault("source", format!("names no [[source]]: {name:?}"));
        }
    }
}

fn cron(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    let cron: String = section.required(key)?;
    match croner::parser::CronParser::new().parse(&cron) {
        Ok(_) => Ok(cron),
        Err(error) => Err(section.fault(key, format!("is not a schedule: {error}: {cron:?}"))),
    }
}

impl Setting for Tz {
    fn read(value: &Value) -> Result<Self, String> {
        let zone = String::read(value)?;
        zone.parse().map_err(|_| {
            let hint = did_you_mean(&zone, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
            format!("is not an IANA time zone: {zone:?}{hint}")
        })
    }

    fn show(&self) -> Json {
        self.name().into()
    }
}
