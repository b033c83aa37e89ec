//! `eval run`: grades the answers to a golden set.

use std::{iter, path::Path};

use clap::Args;
use serde_json::{Value, json};

use super::minimum::{Minimum, check_minimums};
use super::{Set, find_searched, grade};
use crate::{
    cli::{open_parts, output},
    evaluation::{
        golden::Case,
        metrics::{Grade, Report, report, report_by_kind},
    },
    indexing::versions::SearchedVersions,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
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

pub(super) async fn run(run: &Run, path: &Path) -> anyhow::Result<()> {
    let cases = run.set.cases()?;
    let (_, _, parts) = open_parts(path).await?;
    let mut results = Vec::new();
    let against = run.against.map(|number| (Some(number), false));
    for (number, with_answers) in iter::once((run.set.version, !run.retrieval_only)).chain(against) {
        let searched = find_searched(&parts, number).await?;
        let graded = grade(&parts, &searched, cases.clone(), with_answers).await?;
        results.push((searched, graded));
    }
    for (searched, graded) in &results {
        parts.eval.note(searched, &run.set.file, &report(graded)).await;
    }
    let (searched, graded) = &results[0];
    let not_indexed = parts.eval.not_indexed(&searched.first, &cases).await?;
    if run.set.json {
        let mut object = to_json(searched, graded);
        object["expected_but_not_indexed"] = json!(not_indexed);
        if let Some((searched, graded)) = results.get(1) {
            object["against"] = to_json(searched, graded);
        }
        output::json(&object)?;
    } else {
        for (searched, graded) in &results {
            show(searched, graded);
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

fn to_json(searched: &SearchedVersions, graded: &[(Case, Grade)]) -> Value {
    let mut object = json!(report(graded));
    object["version"] = json!(searched.first.index.id);
    object["model"] = json!(searched.models());
    object["kinds"] = json!(report_by_kind(graded));
    object
}

fn show(searched: &SearchedVersions, graded: &[(Case, Grade)]) {
    let all = report(graded);
    let row = |kind: &str, report: &Report| {
        let figures =
            [report.hit_at_1, report.hit_at_5, report.mrr, report.ndcg_at_10, report.answer_contains];
        let mut row = vec![kind.to_owned(), report.queries.to_string()];
        row.extend(figures.map(output::figure));
        row
    };
    let mut rows: Vec<_> = report_by_kind(graded).iter().map(|(kind, report)| row(kind, report)).collect();
    rows.push(row("all", &all));
    output::line(format!("index version {}, {}\n", searched.first.index.id, searched.models()));
    output::table(&["kind", "questions", "hit@1", "hit@5", "MRR", "nDCG@10", "answer contains"], rows);
    output::line(format!(
        "\nescalation: precision {}, recall {}, balanced accuracy {}\ngrounding failures: {}\n",
        output::figure(all.escalation_precision),
        output::figure(all.escalation_recall),
        output::figure(all.escalation_balanced_accuracy),
        all.grounding_failures
    ));
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
            let nearest = output::figure(grade.nearest);
            output::line(format!("{} ({nearest}) {}: {}", case.id, case.question, wrong.join(", ")));
        }
    }
}
