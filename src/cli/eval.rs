//! `eval`: the quality of answers, measured on a golden set.

use std::{
    io::IsTerminal,
    iter,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{Exit, open, open_parts, output};
use crate::{
    answering::cost::AnswerCost,
    daemon::Parts,
    evaluation::{
        golden::{Case, parse_golden_set},
        metrics::{Grade, Report, report, report_by_kind},
        threshold::{Threshold, calibrate},
    },
    indexing::versions::Version,
};

#[derive(Debug, Subcommand)]
pub(super) enum Eval {
    /// Ask the questions of a golden set and compare the results with the expected ones
    Run(Run),
    /// Print the questions whose answers customers liked as lines of a golden set, with the documents they cite
    Feedback,
    /// Propose `answers.escalate_above_distance`, the distance above which to ask a human
    Calibrate(Set),
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    set: Set,
    /// Compare with this index version too; retrieval only
    #[arg(long, value_name = "VERSION")]
    against: Option<i32>,
    /// Do not generate answers: the model only rewrites follow-ups
    #[arg(long)]
    retrieval_only: bool,
    /// Fail if a figure is below this, as in `hit_at_5=0.8`; can be repeated
    #[arg(long, value_name = "FIGURE=VALUE")]
    min: Vec<Minimum>,
    /// List the questions without a right document among the first five, or with a wrong escalation
    #[arg(long)]
    failures: bool,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The golden set: one JSON object per line
    file: PathBuf,
    /// Which questions
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// The index version to search; the active one by default
    #[arg(long, value_name = "VERSION")]
    version: Option<i32>,
    /// Print JSON
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

#[derive(Clone, Debug)]
struct Minimum {
    figure: String,
    value: f64,
}

impl FromStr for Minimum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (figure, value) = text.split_once('=').ok_or("is not FIGURE=VALUE")?;
        let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        let known = json!(Report::default());
        if known.get(figure).is_none() || figure == "grounding_failures" || figure == "queries" {
            return Err(format!("there is no share called `{figure}`"));
        }
        Ok(Self { figure: figure.to_owned(), value })
    }
}

pub(super) async fn eval(eval: Eval, path: &Path) -> anyhow::Result<()> {
    match eval {
        Eval::Run(arguments) => run(&arguments, path).await,
        Eval::Feedback => open(path).await?.1.liked_answers().await?.iter().try_for_each(output::json),
        Eval::Calibrate(set) => propose(&set, path).await,
    }
}

impl Set {
    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let file = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {file}"))?;
        let mut cases = parse_golden_set(&text).map_err(|error| Exit::usage(format!("{file}: {error}")))?;
        cases.retain(|case| self.part == Part::All || case.held_out == (self.part == Part::HeldOut));
        if cases.is_empty() {
            bail!(Exit::usage(format!("{file}: this part has no questions")));
        }
        Ok(cases)
    }
}

async fn run(run: &Run, path: &Path) -> anyhow::Result<()> {
    let cases = run.set.cases()?;
    let (_, _, parts) = open_parts(path).await?;
    let mut results = Vec::new();
    let against = run.against.map(|number| (Some(number), false));
    for (number, with_answers) in iter::once((run.set.version, !run.retrieval_only)).chain(against) {
        let version = find_version(&parts, number).await?;
        let graded = grade(&parts, &version, cases.clone(), with_answers).await?;
        results.push((version, graded));
    }
    let (version, graded) = &results[0];
    let not_indexed = parts.eval.not_indexed(version, &cases).await?;
    if run.set.json {
        let mut object = to_json(version, graded);
        object["expected_but_not_indexed"] = json!(not_indexed);
        if let Some((version, graded)) = results.get(1) {
            object["against"] = to_json(version, graded);
        }
        output::json(&object)?;
    } else {
        for (version, graded) in &results {
            show(version, graded);
        }
        if !not_indexed.is_empty() {
            output::line(format!("expected, but not indexed: {}\n", not_indexed.join(", ")));
        }
        if run.failures {
            show_failures(graded);
        }
    }
    check_minimums(&run.min, &report(graded))
}

async fn propose(set: &Set, path: &Path) -> anyhow::Result<()> {
    let cases = set.cases()?;
    let (config, _, parts) = open_parts(path).await?;
    let version = find_version(&parts, set.version).await?;
    let graded = grade(&parts, &version, cases, false).await?;
    let present = Threshold::judge(&graded, config.answers.escalate_above_distance);
    let (Some(proposed), Some(present)) = (calibrate(&graded), present) else {
        bail!(
            "a golden set for this needs questions that can be answered, and some that cannot: those with an empty \
             `expected`"
        );
    };
    if set.json {
        return output::json(&json!({
            "version": version.index.id, "model": version.index.model, "queries": graded.len(),
            "proposed": proposed, "present": present,
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
        [row("present", &present), row("proposed", &proposed)],
    );
    output::line(format!("\nFor {} with {} questions:\n", version.index.model, graded.len()));
    output::line(format!("[answers]\nescalate_above_distance = {}", proposed.distance));
    Ok(())
}

async fn find_version(parts: &Parts, number: Option<i32>) -> anyhow::Result<Version> {
    let Some(number) = number else { return Ok(parts.versions.active().await?) };
    let written = parts.versions.written().await?;
    let found = written.versions.iter().find(|version| version.index.id == number).cloned();
    Ok(found.ok_or_else(|| {
        Exit::usage(format!(
            "there is no index version {number} whose model the settings name; see `shopkeeper index list`"
        ))
    })?)
}

async fn grade(
    parts: &Parts,
    version: &Version,
    cases: Vec<Case>,
    with_answers: bool,
) -> anyhow::Result<Vec<(Case, Grade)>> {
    let bar = ProgressBar::new(cases.len() as u64);
    bar.set_style(ProgressStyle::with_template("asking {bar:30} {pos}/{len} questions, {eta} left")?);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let graded =
        parts.eval.grade_all(version, cases, with_answers, &AnswerCost::default(), || bar.inc(1)).await;
    bar.finish_and_clear();
    Ok(graded?)
}

fn to_json(version: &Version, graded: &[(Case, Grade)]) -> Value {
    let mut object = json!(report(graded));
    object["version"] = json!(version.index.id);
    object["model"] = json!(version.index.model);
    object["kinds"] = json!(report_by_kind(graded));
    object
}

fn show(version: &Version, graded: &[(Case, Grade)]) {
    let all = report(graded);
    let row = |kind: &str, report: &Report| {
        let figures =
            [report.hit_at_1, report.hit_at_5, report.mrr, report.ndcg_at_10, report.answer_contains];
        let mut row = vec![kind.to_owned(), report.queries.to_string()];
        row.extend(figures.map(figure));
        row
    };
    let mut rows: Vec<_> = report_by_kind(graded).iter().map(|(kind, report)| row(kind, report)).collect();
    rows.push(row("all", &all));
    output::line(format!("index version {}, {}\n", version.index.id, version.index.model));
    output::table(&["kind", "questions", "hit@1", "hit@5", "MRR", "nDCG@10", "answer contains"], rows);
    output::line(format!(
        "\nescalation: precision {}, recall {}, balanced accuracy {}\ngrounding failures: {}\n",
        figure(all.escalation_precision),
        figure(all.escalation_recall),
        figure(all.escalation_balanced_accuracy),
        all.grounding_failures
    ));
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn show_failures(graded: &[(Case, Grade)]) {
    for (case, grade) in graded {
        let mut wrong = Vec::new();
        if case.is_answerable() && grade.ranks.first().is_none_or(|rank| *rank > 5) {
            wrong.push("not found");
        }
        if case.is_answerable() == grade.escalated {
            wrong.push(if grade.escalated { "escalated" } else { "not escalated" });
        }
        if grade.has_expected_text == Some(false) {
            wrong.push("answer lacks the expected text");
        }
        if !wrong.is_empty() {
            let nearest = figure(grade.nearest);
            output::line(format!("{} ({nearest}) {}: {}", case.id, case.question, wrong.join(", ")));
        }
    }
}

/// Fails if a figure is below its minimum or was not measured.
fn check_minimums(minimums: &[Minimum], report: &Report) -> anyhow::Result<()> {
    let figures = json!(report);
    let below = minimums.iter().filter_map(|Minimum { figure, value }| {
        let measured = figures[figure].as_f64();
        if measured.is_some_and(|measured| measured >= *value) {
            return None;
        }
        let measured = measured.map_or("not measured".to_owned(), |measured| format!("{measured:.3}"));
        Some(format!("{figure} is {measured}, at least {value} is wanted"))
    });
    let below: Vec<_> = below.collect();
    if below.is_empty() { Ok(()) } else { bail!("{}", below.join("\n  ")) }
}
