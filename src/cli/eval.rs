//! `eval`: the quality of answers, measured on a golden set.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Exit, open, output};
use crate::evaluation::golden::{Case, parse_golden_set};
use crate::evaluation::metrics::Grade;
use crate::{answering::cost::AnswerCost, daemon::Parts, indexing::versions::SearchedVersions};

mod calibrate;
mod compare;
mod minimum;
mod run;

#[derive(Debug, Subcommand)]
pub(super) enum Eval {
    /// Ask the questions of a golden set and compare the results with the expected ones
    Run(run::Run),
    /// Ask a golden set by two settings, and show what differs: figures, passages, answers, cost, hand-overs
    Compare(compare::Compare),
    /// Ask the last real questions again, and show what differs from what was answered, or between two settings
    Replay(compare::Replay),
    /// Print the questions whose answers customers liked as lines of a golden set, with the documents they cite
    Feedback,
    /// Propose when to ask a human: `answers.escalate_above_distance`, and a fit of several signals
    Calibrate(calibrate::Calibrate),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The golden set: one JSON object per line
    file: PathBuf,
    /// Which questions
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// The index version to search alone; by default the active one, with that of the second model
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

pub(super) async fn eval(eval: Eval, path: &Path) -> anyhow::Result<()> {
    match eval {
        Eval::Run(arguments) => run::run(&arguments, path).await,
        Eval::Compare(arguments) => compare::compare(&arguments, path).await,
        Eval::Replay(arguments) => compare::replay(&arguments, path).await,
        Eval::Feedback => open(path).await?.1.liked_answers().await?.iter().try_for_each(output::json),
        Eval::Calibrate(calibration) => calibrate::run(&calibration, path).await,
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

/// What to search: one version alone if its number is given, else what a question searches.
async fn find_searched(parts: &Parts, number: Option<i32>) -> anyhow::Result<SearchedVersions> {
    let Some(number) = number else { return Ok(parts.versions.searched().await?) };
    let written = parts.versions.written().await?;
    let found = written.versions.iter().find(|version| version.index.id == number).cloned();
    let first = found.ok_or_else(|| {
        Exit::usage(format!(
            "there is no index version {number} whose model the settings name; see `shopkeeper index list`"
        ))
    })?;
    let fit = None;
    Ok(SearchedVersions { first, second: None, fit })
}

async fn grade(
    parts: &Parts,
    searched: &SearchedVersions,
    cases: Vec<Case>,
    with_answers: bool,
) -> anyhow::Result<Vec<(Case, Grade)>> {
    let bar = ProgressBar::new(cases.len() as u64);
    bar.set_style(ProgressStyle::with_template("asking {bar:30} {pos}/{len} questions, {eta} left")?);
    let graded =
        parts.eval.grade_all(searched, cases, with_answers, &AnswerCost::default(), || bar.inc(1)).await;
    bar.finish_and_clear();
    Ok(graded?)
}
