//! Answers one question from the index: retrieve, prompt, complete, judge, settle.
//!
//! The `answer` row is the truth; the job only wakes a worker. A question that was settled or erased in
//! the meantime is left alone.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::{
    answering::{
        self, Escalation, Question,
        complete::{Composer, Conversation},
        cost::AnswerCost,
        human::wants_human,
        retrieve::Retriever,
        settle::SettleSettings,
        stream::Draft,
    },
    job::{Attempt, Job, JobError, OUTAGE, Outcome},
    model::{Message, rate_limit::JobRef},
    store::{
        Store, StoreError,
        answers::{ClaimedQuestion, Settlement},
        chunks::SearchFilter,
        jobs::OnDead,
    },
    telemetry,
};

/// How often questions are looked for that are past their time, or that nobody waits for.
const LOOK: Duration = Duration::from_secs(1);

/// Answers questions.
pub struct AnswerQuestion {
    /// Where questions are.
    pub store: Store,
    /// Finds passages.
    pub retriever: Arc<Retriever>,
    /// Makes an answer of them.
    pub composer: Arc<Composer>,
    /// What is written of it.
    pub settle: SettleSettings,
    /// What one answer may take.
    pub limits: AnswerLimits,
    /// Dollars that answers may cost in a day (UTC); zero is no limit.
    pub daily_usd: f64,
}

/// What one answer may take.
#[derive(Clone, Debug)]
pub struct AnswerLimits {
    /// Messages of the session that the model sees.
    pub history_messages: u32,
    /// The longest question.
    pub max_question_chars: NonZeroU32,
    /// The longest that one answer may take.
    pub timeout: Duration,
    /// How long a question waits for a model that is away, until the fallback is said.
    pub fallback_after: Duration,
}

/// The job's key is the answer's id; it has no other arguments.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for AnswerQuestion {
    const KIND: &'static str = "answer_question";
    const ON_DEAD: Option<OnDead> = Some(OnDead::Answers);
    type Payload = Payload;

    async fn run(&self, _: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = attempt
            .key
            .parse()
            .map_err(|_| JobError::Dead(format!("not an answer's id: {}", attempt.key)))?;
        let Some(taken) = self
            .store
            .take_question(id, attempt.number, attempt.lease)
            .instrument(info_span!("take"))
            .await?
        else {
            return Ok(Outcome::Done(Vec::new()));
        };
        let job = JobRef { kind: Self::KIND, id: attempt.lease.job };
        let (began, spent) = (Instant::now(), AnswerCost::of(job));
        let answer = tokio::select! {
            answer = self.answer(&taken, &spent) => answer,
            () = self.unwanted(&taken) => {
                // Only the job is completed: the answer is settled already, or erased.
                self.store.settle(&taken, &Settlement { cost: spent.cost(), ..Settlement::default() }).await?;
                return Ok(Outcome::Committed);
            }
        };
        let mut settled = match answer {
            Ok(settled) => settled,
            Err(error) if error.ends(attempt) => self.settle.failed(&error),
            Err(error) => {
                spent.account(&self.store).await;
                return Err(error);
            }
        };
        settled.cost = spent.cost();
        self.store.settle(&taken, &settled).instrument(info_span!("settle")).await?;
        let outcome = settled.outcome.unwrap_or(settled.status);
        telemetry::answered(
            outcome,
            taken.age + began.elapsed(),
            settled.nearest_distance,
            settled.escalation,
        );
        Ok(Outcome::Committed)
    }
}

impl AnswerQuestion {
    /// Answers, or says the fallback while nothing may be spent, or the model has been away for too long.
    async fn answer(&self, taken: &ClaimedQuestion, spent: &AnswerCost) -> Result<Settlement, JobError> {
        let locale = taken.asked.locale.as_deref();
        let (length, most) =
            (taken.asked.question.chars().count(), self.limits.max_question_chars.get() as usize);
        if length > most {
            // Asked by SQL, which knows no settings.
            let reason =
                format!("question_too_long: the question has {length} characters; the most is {most}");
            return Err(JobError::Dead(reason));
        }
        let daily = self.daily_usd;
        if taken.is_paused || daily > 0.0 && taken.usd_today >= daily {
            return Ok(self.settle.paused(locale));
        }
        let (began, draft) = (Instant::now(), Draft::default());
        let limit = self.limits.timeout;
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, self.make(taken, &draft, spent)) => answer.unwrap_or_else(|_| {
                // Whoever takes so long is as good as away.
                let reason = format!("no answer within {}", humantime::format_duration(limit));
                Err(JobError::Snooze { after: OUTAGE, reason })
            }),
            () = draft.keep(&self.store, taken) => unreachable!("it never ends"),
        };
        let left = self.limits.fallback_after.saturating_sub(taken.age + began.elapsed());
        match answer {
            Err(error) if error.waits() && left.is_zero() => Ok(self.settle.paused(locale)),
            // However long the server wants to be left alone, the fallback comes soon after that time.
            other => other.map_err(|error| error.within(left.max(Duration::from_secs(1)))),
        }
    }

    async fn make(
        &self,
        taken: &ClaimedQuestion,
        draft: &Draft,
        spent: &AnswerCost,
    ) -> Result<Settlement, JobError> {
        let history = self.history(taken).instrument(info_span!("history")).await?;
        let version = self.retriever.versions.active().await?;
        let Question { question, sources, filter, locale, .. } = &taken.asked;
        let standalone = self.composer.condense(question, &history, spent).await;
        let within = SearchFilter { sources: sources.as_deref(), metadata: filter.as_ref() };
        let passages =
            self.retriever.retrieve(&version, &standalone, within, self.retriever.top_k, spent).await?;
        draft.found(&answering::sources(&passages, &[]));
        let locale = locale.as_deref();
        let asked = Conversation { question, history: &history, locale };
        let mut composed = self.composer.compose(asked, &passages, draft, spent).await?;
        if wants_human(question) {
            composed.0.escalation = Some(Escalation::AskedForHuman);
        }
        Ok(self.settle.settled(standalone, locale, &passages, &composed, spent))
    }

    /// Ends when nobody waits for the answer any more: nothing more is to be spent on it.
    async fn unwanted(&self, taken: &ClaimedQuestion) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Ok(false) = self.store.is_wanted(taken).await {
                return;
            }
        }
    }

    async fn history(&self, taken: &ClaimedQuestion) -> Result<Vec<Message>, StoreError> {
        let most = self.limits.history_messages;
        match (&taken.asked.history, &taken.asked.session_id) {
            (Some(given), _) => Ok(given[given.len().saturating_sub(most as usize)..].to_vec()),
            (None, Some(session)) => self.store.history(taken, session, most).await,
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// Ends what is past its time, each second until stopped. Every daemon does it; one is enough.
pub async fn end_overdue(store: &Store, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        match store.end_overdue_answers().await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "{ended} questions were past their time"),
            Err(error) => tracing::debug!(%error, "questions past their time could not be looked for"),
        }
    }
}
