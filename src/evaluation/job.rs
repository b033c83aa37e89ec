//! Grades the questions of a golden set, as a job or for the command line.
//!
//! The job measures only retrieval, which costs the embedding of the questions and the rewriting of follow-ups. The
//! figures become metrics; if one is too low, the job ends as dead, with the figure.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    answering::{
        complete::{Composer, Conversation, Evidence},
        cost::AnswerCost,
        handover::{Doubt, Signals},
        passage::nearest,
        retrieve::Retriever,
        stream::Draft,
    },
    catalogue::DocumentId,
    clock,
    evaluation::{
        golden::{Case, parse_golden_set},
        metrics::{Grade, Report, report},
    },
    indexing::versions::{SearchedVersions, Version},
    job::{Attempt, Job, JobError, Outcome},
    model::rate_limit::JobRef,
    store::{Store, search::SearchFilter, versions::Evaluation},
    telemetry,
};

/// Questions asked at once; the budgets limit the rest.
const CONCURRENCY: usize = 8;
/// Passages retrieved for one question, thrice the length of the ranking: several may be of one document.
const PASSAGES: u32 = 30;

/// Grades golden sets.
#[expect(missing_docs, reason = "the names say it")]
pub struct Eval {
    pub store: Store,
    pub retriever: Arc<Retriever>,
    pub composer: Arc<Composer>,
}

/// A golden set and its limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The golden set: one JSON object per line.
    pub file: PathBuf,
    /// The least share of questions whose first five documents hold a right one.
    pub min_hit_at_5: Option<f64>,
}

impl Job for Eval {
    const KIND: &'static str = "eval";
    type Payload = Payload;

    async fn run(&self, payload: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let Payload { file, min_hit_at_5 } = payload;
        let unread = |reason: String| JobError::Dead(format!("{}: {reason}", file.display()));
        let text = tokio::fs::read_to_string(&file).await.map_err(|error| unread(error.to_string()))?;
        let cases = parse_golden_set(&text).map_err(|error| unread(error.to_string()))?;
        let searched = self.retriever.versions.searched().await?;
        let cost = AnswerCost::for_job(JobRef { kind: Self::KIND, id: attempt.lease.job });
        let graded = self.grade_all(&searched, cases, false, &cost, || {}).await?;
        let report = report(&graded);
        self.note(&searched, &file, &report).await;
        let figures = [("hit_at_1", report.hit_at_1), ("hit_at_5", report.hit_at_5), ("mrr", report.mrr)];
        for (figure, value) in figures {
            telemetry::evaluated(figure, value.unwrap_or_default());
        }
        let hit_at_5 = report.hit_at_5.unwrap_or_default();
        tracing::info!(queries = report.queries, hit_at_5, "of the golden set hit@5 is {hit_at_5:.3}");
        match min_hit_at_5 {
            Some(least) if hit_at_5 < least => Err(JobError::Dead(format!(
                "hit_at_5 is {hit_at_5:.3}, at least {least} is wanted; `shopkeeper eval run {} --failures` shows where",
                file.display()
            ))),
            _ => Ok(Outcome::Done(Vec::new())),
        }
    }
}

impl Eval {
    /// Asks every question and grades the results; calls `asked` after each.
    pub async fn grade_all(
        &self,
        searched: &SearchedVersions,
        cases: Vec<Case>,
        with_answers: bool,
        cost: &AnswerCost,
        asked: impl Fn() + Sync,
    ) -> Result<Vec<(Case, Grade)>, JobError> {
        let questions = stream::iter(cases).map(|case| {
            let asked = &asked;
            async move {
                let own = cost.part();
                let graded = self.grade(searched, &case, with_answers, &own).await;
                cost.add_part(&own);
                let graded = graded?;
                asked();
                Ok((case, graded))
            }
        });
        let graded = questions.buffered(CONCURRENCY).try_collect().await;
        cost.account(&self.store).await;
        graded
    }

    /// Notes the figures with the index version, so that versions can be compared; not if the role may only read.
    pub async fn note(&self, searched: &SearchedVersions, golden: &Path, report: &Report) {
        let evaluation = Evaluation {
            golden: golden.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            at: clock::now(),
            questions: report.queries,
            hit_at_1: report.hit_at_1,
            hit_at_5: report.hit_at_5,
            mrr: report.mrr,
            escalation_balanced_accuracy: report.escalation_balanced_accuracy,
        };
        if let Err(error) = self.store.note_evaluation(searched.first.index.id, &evaluation).await {
            tracing::debug!(%error, "the evaluation was not noted with its index version: {error}");
        }
    }

    /// Lists the expected documents that are not indexed.
    pub async fn not_indexed(&self, version: &Version, cases: &[Case]) -> Result<Vec<String>, JobError> {
        let mut expected: Vec<_> = cases.iter().flat_map(|case| &case.expected).collect();
        expected.sort_unstable();
        expected.dedup();
        let (sources, keys): (Vec<_>, Vec<_>) =
            expected.into_iter().map(|document| (document.source.clone(), document.key.clone())).unzip();
        let missing = self.store.not_indexed(version.index.id, &sources, &keys).await?;
        Ok(missing.into_iter().map(|(source, key)| format!("{source}/{key}")).collect())
    }

    async fn grade(
        &self,
        searched: &SearchedVersions,
        case: &Case,
        with_answer: bool,
        cost: &AnswerCost,
    ) -> Result<Grade, JobError> {
        let standalone = self.composer.condense(&case.question, &case.history, cost).await;
        let phrasings = self.composer.rephrase(&standalone, cost).await;
        let mut passages =
            self.retriever.retrieve(searched, &phrasings, SearchFilter::default(), PASSAGES, cost).await?;
        let is_named = passages.iter().any(|passage| passage.is_named);
        let signals = Signals::new(&standalone, &passages);
        let doubt = Doubt::new(&signals, searched.fit.as_deref());
        let mut graded = Grade {
            ranks: case.ranks(&passages),
            nearest: if is_named { Some(0.0) } else { nearest(&passages) },
            escalated: doubt.hands_over(&passages, self.composer.escalate_above_distance),
            signals,
            ..Grade::default()
        };
        let top_k = self.retriever.top_k as usize;
        let ids = passages.iter().take(top_k);
        graded.outcome.documents = ids
            .map(|passage| DocumentId { source: passage.source.clone(), key: passage.key.clone() })
            .collect();
        if with_answer {
            passages.truncate(top_k);
            let (question, history) = (&case.question, &case.history);
            let conversation = Conversation { question, history, locale: None };
            let evidence =
                Evidence { searched_for: &standalone, passages: &passages, fit: searched.fit.as_deref() };
            let composed = self.composer.compose(conversation, evidence, &Draft::default(), cost).await?;
            graded.escalated = composed.escalation_reason.is_some();
            graded.ungrounded = !composed.is_sound();
            graded.signals = composed.doubt.clone().map_or(graded.signals, Signals::from);
            graded.outcome.answer = composed.answer.map(|answer| answer.text);
            graded.has_expected_text =
                graded.outcome.answer.as_ref().and_then(|answer| case.has_expected_text(answer));
        }
        graded.outcome.handed_over = graded.escalated;
        graded.outcome.cost = cost.usage("").cost;
        Ok(graded)
    }
}
