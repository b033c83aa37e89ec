//! `eval compare` and `eval replay`: two settings side by side.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::{Set, find_searched, grade};
use crate::{
    cli::{Exit, open_parts, output},
    evaluation::{
        compare::{Compared, Differences, differences},
        golden::Case,
        metrics::{Grade, Report, report},
    },
};

/// Questions that differ, of which so many are listed.
const LISTED: usize = 20;
/// The most characters of a text that are shown.
const SHOWN: usize = 160;

#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
    #[command(flatten)]
    set: Set,
    /// The other settings: a whole file, for the same database
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Do not generate answers: the model only rewrites follow-ups
    #[arg(long)]
    retrieval_only: bool,
    /// Fail if a figure of the other settings is lower than that of the present ones by more than this
    #[arg(long, value_name = "SHARE")]
    tolerance: Option<f64>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Replay {
    /// How many questions, the newest
    #[arg(long, value_name = "N", default_value = "100")]
    last: u32,
    /// Compare these settings, a whole file for the same database, with the present ones; without it, what is answered now
    /// is compared with what was answered then
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Fail if the share of questions with another first document, another decision to hand over, or both is larger
    #[arg(long, value_name = "SHARE")]
    most_changed: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn compare(asked: &Compare, path: &Path) -> anyhow::Result<()> {
    let cases = asked.set.cases()?;
    let version = asked.set.version;
    let before = answered(path, version, cases.clone(), !asked.retrieval_only).await?;
    let after = answered(&asked.with, version, cases, !asked.retrieval_only).await?;
    let compared = Compared::pair(&before, &after);
    let (of, reports) = (differences(&compared), [report(&before), report(&after)]);
    if asked.set.json {
        output::json(&json!({
            "present": reports[0], "other": reports[1], "differences": of,
            "changed": compared.iter().filter(|one| is_changed(one)).collect::<Vec<_>>(),
        }))?;
    } else {
        show_reports(&reports);
        show(&of, &compared, ["present", "other"]);
    }
    check(asked.tolerance, &reports)
}

pub(super) async fn replay(asked: &Replay, path: &Path) -> anyhow::Result<()> {
    let (_, store, _) = open_parts(path).await?;
    let real = store.asked_questions(asked.last).await?;
    if real.is_empty() {
        bail!(Exit::usage("nothing was answered yet: there is nothing to ask again".to_owned()));
    }
    let (cases, then): (Vec<Case>, Vec<_>) = real
        .into_iter()
        .map(|asked| (Case::real(asked.id.to_string(), asked.question), asked.outcome))
        .unzip();
    let now = answered(path, None, cases.clone(), true).await?;
    let compared = if let Some(other) = &asked.with {
        Compared::pair(&now, &answered(other, None, cases, true).await?)
    } else {
        let then = then.into_iter().map(|outcome| Grade { outcome, ..Grade::default() });
        Compared::pair(&cases.into_iter().zip(then).collect::<Vec<_>>(), &now)
    };
    let of = differences(&compared);
    let names = if asked.with.is_some() { ["present", "other"] } else { ["then", "now"] };
    if asked.json {
        let changed = compared.iter().filter(|one| is_changed(one)).collect::<Vec<_>>();
        output::json(&json!({ "differences": of, "changed": changed }))?;
    } else {
        show(&of, &compared, names);
    }
    let first = |one: &Compared| one.before.documents.first() != one.after.documents.first();
    let changed = compared.iter().filter(|one| first(one) || one.decides_differently()).count();
    #[expect(clippy::cast_precision_loss, reason = "questions are few")]
    let share = changed as f64 / compared.len() as f64;
    match asked.most_changed {
        Some(most) if share > most => {
            bail!(
                "{changed} of {} questions changed, a share of {share:.3}; at most {most} is wanted",
                compared.len()
            )
        }
        _ => Ok(()),
    }
}

/// Answers questions by the settings of a file.
async fn answered(
    path: &Path,
    version: Option<i32>,
    cases: Vec<Case>,
    with_answers: bool,
) -> anyhow::Result<Vec<(Case, Grade)>> {
    let (_, _, parts) = open_parts(path).await?;
    let searched = find_searched(&parts, version).await?;
    grade(&parts, &searched, cases, with_answers).await
}

fn is_changed(one: &Compared) -> bool {
    one.finds_differently() || one.says_differently() || one.decides_differently()
}

fn show_reports(reports: &[Report; 2]) {
    let row = |name: &str, figure: fn(&Report) -> Option<f64>| {
        let [present, other] = reports.each_ref().map(figure);
        let difference =
            present.zip(other).map_or("-".to_owned(), |(present, other)| format!("{:+.3}", other - present));
        vec![name.to_owned(), output::figure(present), output::figure(other), difference]
    };
    output::table(
        &["figure", "present", "other", "difference"],
        FIGURES.iter().map(|(name, figure)| row(name, *figure)),
    );
    output::line("");
}

type Figure = (&'static str, fn(&Report) -> Option<f64>);

/// The figures of which more is better.
const FIGURES: &[Figure] = &[
    ("hit@1", |report| report.hit_at_1),
    ("hit@5", |report| report.hit_at_5),
    ("MRR", |report| report.mrr),
    ("nDCG@10", |report| report.ndcg_at_10),
    ("answer contains", |report| report.answer_contains),
    ("balanced accuracy", |report| report.escalation_balanced_accuracy),
];

fn show(of: &Differences, compared: &[Compared], [before, after]: [&str; 2]) {
    output::line(format!(
        "{} questions: the same first document for {}, {} of the documents in both, another answer for {}\n\
         handed over only by {before}: {}; only by {after}: {}\n\
         cost: {before} ${:.4}, {after} ${:.4}",
        of.questions,
        output::figure(of.same_first),
        output::figure(of.shared_documents),
        of.other_answers,
        of.no_longer_handed_over,
        of.newly_handed_over,
        of.cost_before,
        of.cost_after,
    ));
    let weight = |one: &&Compared| (!one.decides_differently(), !one.finds_differently());
    let mut changed: Vec<_> = compared.iter().filter(|one| is_changed(one)).collect();
    changed.sort_by_key(weight);
    for one in changed.iter().take(LISTED) {
        output::line(format!("\n{}", one.question));
        for (name, outcome) in [(before, &one.before), (after, &one.after)] {
            let keys: Vec<_> =
                outcome.documents.iter().take(5).map(|id| format!("{}/{}", id.source, id.key)).collect();
            let human = if outcome.handed_over { " (a human)" } else { "" };
            let said: String = outcome.answer.as_deref().unwrap_or("-").chars().take(SHOWN).collect();
            output::line(format!("  {name}{human}: {said}\n    {}", keys.join(", ")));
        }
    }
    if changed.len() > LISTED {
        output::line(format!("\nand {} more; --json has all", changed.len() - LISTED));
    }
}

/// Fails if the other settings are worse by more than is tolerated.
fn check(tolerance: Option<f64>, [present, other]: &[Report; 2]) -> anyhow::Result<()> {
    let Some(tolerance) = tolerance else { return Ok(()) };
    let worse = FIGURES.iter().filter_map(|(name, figure)| {
        let (present, other) = figure(present).zip(figure(other))?;
        (other + tolerance < present).then(|| format!("{name} falls from {present:.3} to {other:.3}"))
    });
    let worse: Vec<_> = worse.collect();
    if worse.is_empty() { Ok(()) } else { bail!("{}", worse.join("\n  ")) }
}
