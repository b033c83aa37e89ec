//! `eval calibrate`: proposes when to ask a human, and applies it.

use std::path::Path;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{Part, Set, find_searched, grade};
use crate::answering::handover::{Doubt, Fit, Signal};
use crate::cli::{Exit, open_parts, output};
use crate::evaluation::{
    fit::{Example, balanced_accuracy, fit},
    golden::Case,
    metrics::Grade,
    threshold::{Threshold, calibrate},
};

/// The most real answers that a fit learns from, the newest.
const JUDGED: u32 = 2000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Calibrate {
    #[command(flatten)]
    set: Set,
    /// Let the fit decide from now on, unless it does worse than the present decision on the held-out questions
    #[arg(long)]
    apply: bool,
    /// Fit to the golden set alone, without what customers rated and humans took over
    #[arg(long)]
    golden_only: bool,
    /// Remove the newest fit of the index, so that the one before decides again
    #[arg(long, conflicts_with = "apply")]
    rollback: bool,
}

pub(super) async fn run(calibration: &Calibrate, path: &Path) -> anyhow::Result<()> {
    let Calibrate { set, apply, golden_only, rollback } = calibration;
    let (config, store, parts) = open_parts(path).await?;
    let searched = find_searched(&parts, set.version).await?;
    let version = searched.first.index.id;
    if *rollback {
        let removed = store.remove_handover_fit(version).await?;
        let done = if removed { "its newest fit was removed" } else { "it has no fit" };
        output::line(format!("index version {version}: {done}"));
        return Ok(());
    }
    let graded = grade(&parts, &searched, set.cases()?, true).await?;
    let threshold = config.answers.escalate_above_distance;
    let present = Threshold::judge(&graded, threshold);
    let (Some(proposed), Some(present)) = (calibrate(&graded), present) else {
        bail!(
            "a golden set for this needs questions that can be answered, and some that cannot: those with an empty \
             `expected`"
        );
    };
    let is_tuned = |case: &Case| !case.held_out || set.part != Part::All;
    let (tuning, held_out): (Vec<_>, Vec<_>) = graded.iter().partition(|(case, _)| is_tuned(case));
    let judged = if *golden_only { Vec::new() } else { store.judged_answers(JUDGED).await? };
    let outcomes = judged.len();
    let judged =
        judged.into_iter().map(|(doubt, needs_human)| Example { signals: doubt.into(), needs_human });
    let new = fit(&examples(&tuning).into_iter().chain(judged).collect::<Vec<_>>());
    let figures = Figures {
        present: [&tuning, &held_out].map(|part| accuracy(part, searched.fit.as_deref(), threshold)),
        fitted: [&tuning, &held_out].map(|part| accuracy(part, new.as_ref(), threshold)),
    };
    if set.json {
        let cases = graded.iter().map(|(case, graded)| {
            json!({"id": case.id, "kind": case.kind, "held_out": case.held_out, "is_answerable": case.is_answerable(),
                "signals": graded.signals})
        });
        output::json(&json!({
            "version": version, "model": searched.models(), "queries": graded.len(),
            "judged_answers": outcomes, "proposed": proposed,
            "present": present, "fit": new, "figures": figures.to_json(), "cases": cases.collect::<Vec<_>>(),
        }))?;
    } else {
        show_thresholds(&present, &proposed);
        output::line(format!("\nFor {} with {} questions:\n", searched.models(), graded.len()));
        output::line(format!("[answers]\nescalate_above_distance = {}\n", proposed.distance));
        if outcomes > 0 {
            output::line(format!(
                "The fit also learnt from {outcomes} real answers that customers or humans judged.\n"
            ));
        }
        if let Some(new) = &new {
            show_fit(new, &figures);
        }
    }
    match new {
        Some(new) if *apply => {
            figures.check()?;
            store.add_handover_fit(version, &new, &figures.to_json()).await?;
            output::note(format!(
                "the fit decides from now on for index version {version}; `shopkeeper eval calibrate --rollback` removes it"
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn examples(graded: &[&(Case, Grade)]) -> Vec<Example> {
    let example = |(case, graded): &&(Case, Grade)| Example {
        signals: graded.signals.clone(),
        needs_human: !case.is_answerable(),
    };
    graded.iter().map(example).collect()
}

/// The balanced accuracy of a fit, or of the threshold without one.
fn accuracy(graded: &[&(Case, Grade)], fit: Option<&Fit>, threshold: f64) -> Option<f64> {
    let decisions = graded.iter().map(|(case, graded)| {
        let is_far = graded.nearest.is_none_or(|nearest| nearest > threshold);
        let is_named = graded.nearest == Some(0.0);
        let fitted =
            Doubt::new(&graded.signals, fit).probability.map(|probability| probability > 0.5 && !is_named);
        let is_refused = graded.signals.get(Signal::Refusal) == Some(1.0);
        (is_refused || fitted.unwrap_or(is_far), !case.is_answerable())
    });
    balanced_accuracy(&decisions.collect::<Vec<_>>())
}

/// Balanced accuracies on the tuning and on the held-out part.
struct Figures {
    present: [Option<f64>; 2],
    fitted: [Option<f64>; 2],
}

impl Figures {
    fn to_json(&self) -> Value {
        let part = |[tuning, held_out]: [Option<f64>; 2]| json!({ "tuning": tuning, "held_out": held_out });
        json!({ "present": part(self.present), "fit": part(self.fitted) })
    }

    /// Fails if the fit does worse than the present decision on questions that it has not seen.
    fn check(&self) -> anyhow::Result<()> {
        match (self.present[1], self.fitted[1]) {
            (Some(present), Some(fitted)) if fitted >= present => Ok(()),
            (Some(present), Some(fitted)) => bail!(
                "the fit was not applied: its balanced accuracy on the held-out questions is {fitted:.3}, that of the \
                 present decision {present:.3}"
            ),
            _ => bail!(Exit::usage(
                "the fit was not applied: without `held_out` questions of both sorts it is not known how well it does"
                    .to_owned()
            )),
        }
    }
}

fn show_thresholds(present: &Threshold, proposed: &Threshold) {
    let row = |name: &str, threshold: &Threshold| {
        let Threshold { distance, precision, recall, kept, balanced_accuracy } = threshold;
        let mut row = vec![name.to_owned(), distance.to_string(), output::figure(*precision)];
        row.extend([recall, kept, balanced_accuracy].map(|value| output::figure(Some(*value))));
        row
    };
    output::table(
        &["", "distance", "precision", "recall", "answerable kept", "balanced accuracy"],
        [row("present", present), row("proposed", proposed)],
    );
}

fn show_fit(fit: &Fit, figures: &Figures) {
    let rows = fit.signals.iter().map(|(signal, weight)| {
        let numbers = [weight.mean, weight.spread, weight.weight].map(|number| format!("{number:.3}"));
        std::iter::once(signal.to_string()).chain(numbers).collect()
    });
    output::table(&["signal", "mean", "spread", "weight"], rows);
    let row = |name: &str, part: [Option<f64>; 2]| {
        std::iter::once(name.to_owned()).chain(part.map(output::figure)).collect()
    };
    output::line("");
    output::table(
        &["balanced accuracy", "tuning", "held out"],
        [row("present decision", figures.present), row("this fit", figures.fitted)],
    );
}
