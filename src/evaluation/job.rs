//! Grades the questions of a golden set, as a job or for the command line.
//!
//! The job measures only retrieval, which costs the embedding of the questions and the rewriting of follow-ups. The
//! figures become metrics; if one is too low, the job ends as dead, with the figure.

use std::{path::PathBuf, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    answering::{
        complete::{Composer, Conversation},
        cost::AnswerCost,
        passage::{is_far, nearest},
        retrieve::Retriever,
        stream::Draft,
    },
    evaluation::{
        golden::{Case, parse_golden_set},
        metrics::{Grade, report},
    },
    indexing::versions::Version,
    job::{Attempt, Job, JobError, Outcome},
    model::rate_limit::JobRef,
    store::{Store, search::SearchFilter},
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
        let version = self.retriever.versions.active().await?;
        let cost = AnswerCost::for_job(JobRef { kind: Self::KIND, id: attempt.lease.job });
        let graded = self.grade_all(&version, cases, false, &cost, || {}).await?;
        let report = report(&graded);
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
        version: &Version,
        cases: Vec<Case>,
        with_answers: bool,
        cost: &AnswerCost,
        asked: impl Fn() + Sync,
    ) -> Result<Vec<(Case, Grade)>, JobError> {
        let questions = stream::iter(cases).map(|case| {
            let asked = &asked;
            async move {
                let graded = self.grade(version, &case, with_answers, cost).await?;
                asked();
                Ok((case, graded))
            }
        });
        let graded = questions.buffered(CONCURRENCY).try_collect().await;
        cost.account(&self.store).await;
        graded
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
        version: &Version,
        case: &Case,
        with_answer: bool,
        cost: &AnswerCost,
    ) -> Result<Grade, JobError> {
        let standalone = self.composer.condense(&case.question, &case.history, cost).await;
        let mut passages =
            self.retriever.retrieve(version, &standalone, SearchFilter::default(), PASSAGES, cost).await?;
        let is_named = passages.iter().any(|passage| passage.is_named);
        let mut graded = Grade {
            ranks: case.ranks(&passages),
            nearest: if is_named { Some(0.0) } else { nearest(&passages) },
            escalated: is_far(&passages, self.composer.escalate_above_distance),
            ..Grade::default()
        };
        if with_answer {
            passages.truncate(self.retriever.top_k as usize);
            let (question, history) = (&case.question, &case.history);
            let conversation = Conversation { question, history, locale: None };
            let composed = self.composer.compose(conversation, &passages, &Draft::default(), cost).await?;
            graded.escalated = composed.escalation_reason.is_some();
            graded.ungrounded = !composed.is_sound();
            graded.has_expected_text =
                composed.answer.and_then(|answer| case.has_expected_text(&answer.text));
        }
        Ok(graded)
    }
}
