//! Grades the questions of a golden set, by the clock or for the command line.
//!
//! By the clock it measures retrieval alone: what that costs is the embedding of the questions, and the rewriting of
//! those that are follow-ups. The figures become metrics; one that is too low ends the job as dead, with the figure.

use std::{path::PathBuf, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use crate::{
    answering::{
        complete::{Composer, Conversation},
        cost::AnswerCost,
        is_far, nearest,
        retrieve::Retriever,
        stream::Draft,
    },
    evaluation::metrics::{Case, DEPTH, Graded, golden, report},
    indexing::versions::Version,
    job::{Attempt, Job, JobError, Outcome},
    model::rate_limit::JobRef,
    store::{Store, chunks::Within},
    telemetry,
};

/// Questions at work at once; the budgets hold the rest back.
const AT_ONCE: usize = 8;
/// Passages that are looked at for one question: several may be of one document.
const PASSAGES: usize = 3 * DEPTH;

/// The job.
pub struct Eval {
    /// Where documents are known.
    pub store: Store,
    /// Finds passages.
    pub retriever: Arc<Retriever>,
    /// Makes answers of them.
    pub composer: Arc<Composer>,
}

/// What is measured.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {
    /// The golden set: one JSON object a line.
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
        let cases = golden(&text).map_err(|error| unread(error.to_string()))?;
        let version = self.retriever.versions.active().await?;
        let spent = AnswerCost::for_job(JobRef { kind: Self::KIND, id: attempt.lease.job });
        let graded = self.graded(&version, cases, false, &spent, || {}).await?;
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
    /// Asks every question, and looks at what comes; `asked` is called after each.
    pub async fn graded(
        &self,
        version: &Version,
        cases: Vec<Case>,
        with_answers: bool,
        spent: &AnswerCost,
        asked: impl Fn() + Sync,
    ) -> Result<Vec<(Case, Graded)>, JobError> {
        let questions = stream::iter(cases).map(|case| {
            let asked = &asked;
            async move {
                let graded = self.grade(version, &case, with_answers, spent).await?;
                asked();
                Ok((case, graded))
            }
        });
        let graded = questions.buffered(AT_ONCE).try_collect().await;
        spent.account(&self.store).await;
        graded
    }

    /// The expected documents that cannot be found, because they are not indexed.
    pub async fn lost(&self, version: &Version, cases: &[Case]) -> Result<Vec<String>, JobError> {
        let mut expected: Vec<_> = cases.iter().flat_map(|case| &case.expected).collect();
        expected.sort_unstable();
        expected.dedup();
        let (sources, keys): (Vec<_>, Vec<_>) =
            expected.into_iter().map(|document| (document.source.clone(), document.key.clone())).unzip();
        let lost = self.store.not_indexed(version.index.id, &sources, &keys).await?;
        Ok(lost.into_iter().map(|(source, key)| format!("{source}/{key}")).collect())
    }

    async fn grade(
        &self,
        version: &Version,
        case: &Case,
        with_answer: bool,
        spent: &AnswerCost,
    ) -> Result<Graded, JobError> {
        let standalone = self.composer.condense(&case.question, &case.history, spent).await;
        let passages = u32::try_from(PASSAGES).unwrap_or(u32::MAX);
        let mut passages =
            self.retriever.retrieve(version, &standalone, Within::default(), passages, spent).await?;
        let is_named = passages.iter().any(|passage| passage.is_named);
        let mut graded = Graded {
            ranks: case.ranks(&passages),
            nearest: if is_named { Some(0.0) } else { nearest(&passages) },
            escalated: is_far(&passages, self.composer.escalate_above_distance),
            ..Graded::default()
        };
        if with_answer {
            passages.truncate(self.retriever.top_k as usize);
            let (question, history) = (&case.question, &case.history);
            let asked = Conversation { question, history, locale: None };
            let (verdict, _) = self.composer.compose(asked, &passages, &Draft::default(), spent).await?;
            graded.escalated = verdict.escalation.is_some();
            graded.says = case.says(&verdict.text);
            graded.ungrounded = !verdict.grounding.is_sound();
        }
        Ok(graded)
    }
}
