//! `eval`: how good answers are, measured on a golden set.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{CONFIGURATION, Exit, FAILED, output, settings};
use crate::{
    answering::cost::AnswerCost,
    config::Config,
    daemon::{self, Parts},
    evaluation::metrics::{Case, Graded, Report, Threshold, by_kind, calibrated, golden, judged, report},
    indexing::versions::Version,
    store::Store,
};

/// Measure on a golden set how good answers are, or find the distance above which to ask a human
#[derive(Debug, Args)]
pub(super) struct Eval {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ask the questions of a golden set and compare what comes with what is right
    Run(Run),
    /// Print the questions whose answers customers liked as lines of a golden set, with the documents they cite
    Feedback,
    /// Propose `answers.escalate_above_distance`: where questions that must be handed over part from the others
    Calibrate(Calibrate),
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    set: Set,
    /// Compare with this index version too; retrieval alone
    #[arg(long, value_name = "VERSION")]
    against: Option<i32>,
    /// Do not have the model answer: it is only asked to rewrite follow-ups
    #[arg(long)]
    retrieval_only: bool,
    /// Fail when a figure is below this, as in `hit_at_5=0.8`; may be given several times
    #[arg(long, value_name = "FIGURE=VALUE")]
    min: Vec<Least>,
    /// Show the questions whose first five documents hold no right one, and those wrongly handed over or kept
    #[arg(long)]
    failures: bool,
}

#[derive(Debug, Args)]
struct Calibrate {
    #[command(flatten)]
    set: Set,
}

#[derive(Debug, Args)]
struct Set {
    /// The golden set: one JSON object a line
    file: PathBuf,
    /// Which questions
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// The index version to search; the active one when left out
    #[arg(long, value_name = "VERSION")]
    version: Option<i32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    /// All of them
    All,
    /// Those without `held_out`
    Tuning,
    /// Those with `held_out`
    HeldOut,
}

/// The least that a figure may be.
#[derive(Clone, Debug)]
struct Least {
    figure: String,
    value: f64,
}

impl FromStr for Least {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (figure, value) = text.split_once('=').ok_or("is not FIGURE=VALUE")?;
        let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        let known = figures(&Report::default());
        if known.get(figure).is_none() || figure == "grounding_failures" || figure == "queries" {
            return Err(format!("there is no share called `{figure}`"));
        }
        Ok(Self { figure: figure.to_owned(), value })
    }
}

fn figures(report: &Report) -> Value {
    json!(report)
}

pub(super) async fn eval(eval: Eval, path: &Path) -> anyhow::Result<()> {
    let config = settings(path)?;
    match eval.verb {
        Verb::Run(run) => {
            let cases = run.set.cases()?;
            let place = Place::open(&config).await?;
            place.run(&run, cases).await
        }
        Verb::Feedback => {
            let store = Store::open(&daemon::reach(&config)).await?;
            store.liked_answers().await?.iter().try_for_each(output::json)
        }
        Verb::Calibrate(calibrate) => {
            let cases = calibrate.set.cases()?;
            let place = Place::open(&config).await?;
            place.calibrate(&config, &calibrate.set, cases).await
        }
    }
}

impl Set {
    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let file = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {file}"))?;
        let mut cases = golden(&text)
            .map_err(|error| Exit { code: CONFIGURATION, message: format!("{file}: {error}") })?;
        cases.retain(|case| self.part == Part::All || case.held_out == (self.part == Part::HeldOut));
        if cases.is_empty() {
            let message = format!("{file}: no question is left of this part");
            return Err(Exit { code: CONFIGURATION, message }.into());
        }
        Ok(cases)
    }
}

/// Where questions are asked.
struct Place {
    parts: Parts,
}

impl Place {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let store = Store::open(&daemon::reach(config)).await?;
        let parts = daemon::assemble(config, &store).await?;
        Ok(Self { parts })
    }

    /// A version by its number, or the active one.
    async fn version(&self, number: Option<i32>) -> anyhow::Result<Version> {
        let versions = &self.parts.versions;
        let Some(number) = number else { return Ok(versions.active().await?) };
        let written = versions.written().await?;
        let found = written.versions.iter().find(|version| version.index.id == number).cloned();
        let message = format!(
            "there is no index version {number} whose model the settings name; see `shopkeeper index list`"
        );
        found.ok_or_else(|| Exit { code: CONFIGURATION, message }.into())
    }

    async fn run(&self, run: &Run, cases: Vec<Case>) -> anyhow::Result<()> {
        let version = self.version(run.set.version).await?;
        let lost = self.parts.eval.lost(&version, &cases).await?;
        let against = match run.against {
            Some(number) => Some(self.version(Some(number)).await?),
            None => None,
        };
        let graded = self.graded(&version, cases.clone(), !run.retrieval_only).await?;
        let other = match &against {
            Some(version) => Some(self.graded(version, cases, false).await?),
            None => None,
        };
        if run.set.json {
            let mut object = described(&version, &graded);
            object["expected_but_not_indexed"] = json!(lost);
            if let Some((version, graded)) = against.as_ref().zip(other.as_ref()) {
                object["against"] = described(version, graded);
            }
            output::json(&object)?;
        } else {
            show(&version, &graded);
            if let Some((version, graded)) = against.as_ref().zip(other.as_ref()) {
                output::line("");
                show(version, graded);
            }
            if !lost.is_empty() {
                output::line(format!("\nexpected, but not indexed: {}", lost.join(", ")));
            }
            if run.failures {
                failures(&graded);
            }
        }
        reached(&run.min, &report(&graded))
    }

    async fn calibrate(&self, config: &Config, set: &Set, cases: Vec<Case>) -> anyhow::Result<()> {
        let version = self.version(set.version).await?;
        let graded = self.graded(&version, cases, false).await?;
        let present = config.answers.escalate_above_distance;
        let (Some(best), Some(present)) = (calibrated(&graded), judged(&graded, present)) else {
            let message = "a golden set for this needs questions that can be answered, and some that cannot: \
                           those with an empty `expected`";
            return Err(Exit { code: FAILED, message: message.to_owned() }.into());
        };
        if set.json {
            return output::json(&json!({
                "version": version.index.id, "model": version.index.model, "queries": graded.len(),
                "proposed": best, "present": present,
            }));
        }
        let row = |name: &str, threshold: &Threshold| {
            let Threshold { distance, precision, recall, kept, balanced_accuracy } = threshold;
            let mut row = vec![name.to_owned(), distance.to_string(), figure(*precision)];
            row.extend([recall, kept, balanced_accuracy].map(|value| figure(Some(*value))));
            row
        };
        output::table(
            &["", "distance", "precision", "recall", "answerable kept", "balanced accuracy"],
            [row("present", &present), row("proposed", &best)],
        );
        output::line(format!(
            "\nFor {} with {} questions:\n\n[answers]\nescalate_above_distance = {}",
            version.index.model,
            graded.len(),
            best.distance
        ));
        Ok(())
    }

    /// Asks every question, and looks at what comes.
    async fn graded(
        &self,
        version: &Version,
        cases: Vec<Case>,
        with_answers: bool,
    ) -> anyhow::Result<Vec<(Case, Graded)>> {
        let bar = ProgressBar::new(cases.len() as u64);
        bar.set_style(ProgressStyle::with_template("asking {bar:30} {pos}/{len} questions, {eta} left")?);
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let graded =
            self.parts.eval.graded(version, cases, with_answers, &AnswerCost::default(), || bar.inc(1)).await;
        bar.finish_and_clear();
        Ok(graded?)
    }
}

fn described(version: &Version, graded: &[(Case, Graded)]) -> Value {
    let mut object = figures(&report(graded));
    object["version"] = json!(version.index.id);
    object["model"] = json!(version.index.model);
    object["kinds"] = json!(by_kind(graded));
    object
}

fn show(version: &Version, graded: &[(Case, Graded)]) {
    let all = report(graded);
    let row = |kind: &str, report: &Report| {
        let figures =
            [report.hit_at_1, report.hit_at_5, report.mrr, report.ndcg_at_10, report.answer_contains];
        let mut row = vec![kind.to_owned(), report.queries.to_string()];
        row.extend(figures.map(figure));
        row
    };
    let mut rows: Vec<_> = by_kind(graded).iter().map(|(kind, report)| row(kind, report)).collect();
    rows.push(row("all", &all));
    output::line(format!("index version {}, {}\n", version.index.id, version.index.model));
    output::table(&["kind", "questions", "hit@1", "hit@5", "MRR", "nDCG@10", "says what it must"], rows);
    output::line(format!(
        "\nescalation: precision {}, recall {}, balanced accuracy {}\ngrounding failures: {}",
        figure(all.escalation_precision),
        figure(all.escalation_recall),
        figure(all.escalation_balanced_accuracy),
        all.grounding_failures
    ));
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn failures(graded: &[(Case, Graded)]) {
    output::line("");
    for (case, graded) in graded {
        let mut wrong = Vec::new();
        if case.is_answerable() && graded.ranks.first().is_none_or(|rank| *rank > 5) {
            wrong.push("not found");
        }
        if case.is_answerable() == graded.escalated {
            wrong.push(if graded.escalated { "handed over" } else { "not handed over" });
        }
        if graded.says == Some(false) {
            wrong.push("does not say what it must");
        }
        if !wrong.is_empty() {
            let nearest = figure(graded.nearest);
            output::line(format!("{} ({nearest}) {}: {}", case.id, case.question, wrong.join(", ")));
        }
    }
}

/// Fails when a figure is below the least that it may be, or is not there.
fn reached(least: &[Least], report: &Report) -> anyhow::Result<()> {
    let figures = figures(report);
    let below = least.iter().filter_map(|Least { figure, value }| {
        let measured = figures[figure].as_f64();
        if measured.is_some_and(|measured| measured >= *value) {
            return None;
        }
        let measured =
            measured.map_or_else(|| "not measured".to_owned(), |measured| format!("{measured:.3}"));
        Some(format!("{figure} is {measured}, at least {value} is wanted"))
    });
    let below: Vec<_> = below.collect();
    if below.is_empty() { Ok(()) } else { Err(Exit { code: FAILED, message: below.join("\n  ") }.into()) }
}
