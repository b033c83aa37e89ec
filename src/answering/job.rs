//! Answers one question from the index: retrieve, prompt, complete, judge, settle.
//!
//! The `answer` row is the truth; the job only wakes a worker. A question that was settled or erased meanwhile is left
//! alone.

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
        Question,
        complete::{Composer, Conversation, Evidence},
        cost::AnswerCost,
        fallback::FallbackSettings,
        human_request::wants_human,
        object::{AnswerOutcome, AnswerStatus, EscalationReason, Settlement, Source},
        outdated::watched,
        retrieve::{Query, Retriever},
        stream::Draft,
    },
    catalogue::filter::Filter,
    job::{Attempt, Job, JobError, OUTAGE, Outcome},
    model::{Message, rate_limit::JobRef},
    store::{Store, StoreError, answers::ClaimedQuestion, jobs::OnDead, search::SearchFilter},
    telemetry,
};

/// How often overdue questions, and those no longer wanted, are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a customer waits for a model server that answers nonsense.
const LONGEST_NONSENSE: Duration = Duration::from_secs(24);

/// Answers questions.
#[expect(missing_docs, reason = "the names say it")]
pub struct AnswerQuestion {
    pub store: Store,
    pub retriever: Arc<Retriever>,
    pub composer: Arc<Composer>,
    pub fallback: FallbackSettings,
    pub limits: AnswerLimits,
    /// Dollars that answers may cost in a day (UTC); zero is no limit.
    pub daily_usd: f64,
}

/// The limits of one answer.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AnswerLimits {
    pub history_messages: u32,
    pub max_question_chars: NonZeroU32,
    pub timeout: Duration,
    /// How long a question waits for a model that is down before it gets the fallback.
    pub fallback_after: Duration,
    /// How long the documents that an answer cites are watched; zero is never.
    pub watch_for: Duration,
}

impl AnswerLimits {
    /// How long a run may take that begins when the question has this age, after its job waited for a worker: a question
    /// that an earlier run put back gets the fallback in time. A first run may have waited for other questions only.
    fn of_run(&self, age: Duration, waited: Duration) -> Duration {
        let left = self.fallback_after.saturating_sub(age);
        let is_first = age.saturating_sub(waited) < Duration::from_secs(1);
        if is_first || left.is_zero() { self.timeout } else { self.timeout.min(left) }
    }

    /// How long to wait at most before the next run, however long the server asks, if the fallback comes after `left`;
    /// `None` if it comes now. The last tenth of the time is kept for last runs.
    fn until_next_run(&self, left: Duration) -> Option<Duration> {
        let shortest = self.fallback_after / 100;
        let most = left.saturating_sub(self.fallback_after / 10).max(shortest);
        // A wait is lengthened at random by up to a fifth.
        (left > shortest).then(|| most * 5 / 6)
    }
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
        let (began, cost) = (Instant::now(), AnswerCost::for_job(job));
        let answer = tokio::select! {
            answer = self.answer(&taken, attempt.waited, &cost) => answer,
            () = self.unwanted(&taken) => {
                // Completes only the job: the answer is settled already, or erased.
                let ended = Settlement { status: AnswerStatus::Cancelled, ..Settlement::default() };
                self.store.settle(&taken, &ended, cost.cost()).await?;
                return Ok(Outcome::Committed);
            }
        };
        let usage = cost.cost().map(|_| cost.usage(&self.fallback.model));
        let mut settlement = match answer {
            Ok(settlement) => settlement,
            Err(error) if error.ends(attempt) => self.fallback.fail(&error),
            Err(error) => {
                cost.account(&self.store).await;
                if let Some(usage) = usage {
                    self.store.note_answer_usage(&taken, &usage).await?;
                }
                return Err(error);
            }
        };
        settlement.usage = settlement.usage.or(usage);
        self.store.settle(&taken, &settlement, cost.cost()).instrument(info_span!("settle")).await?;
        let is_ungrounded = !settlement.is_sound();
        if let (Some(AnswerOutcome::NoAnswer), Some((version, vector))) =
            (settlement.outcome, &settlement.vector)
            && let Err(error) = self.store.note_unanswered(taken.id, *version, vector).await
        {
            tracing::debug!(%error, "the vector of an unanswered question was not kept: {error}");
        }
        let Settlement { status, outcome, nearest_distance, escalation_reason, .. } = settlement;
        telemetry::answered(
            outcome.map_or(status.into(), Into::into),
            taken.age + began.elapsed(),
            nearest_distance,
            escalation_reason.map(Into::into),
            is_ungrounded,
        );
        Ok(Outcome::Committed)
    }
}

impl AnswerQuestion {
    /// Answers; with the fallback while no model may be asked, or after a model has been down for too long.
    async fn answer(
        &self,
        taken: &ClaimedQuestion,
        waited: Duration,
        cost: &AnswerCost,
    ) -> Result<Settlement, JobError> {
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
            return Ok(self.fallback.pause(locale));
        }
        let (began, draft) = (Instant::now(), Draft::default());
        let limit = self.limits.of_run(taken.age, waited);
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, self.make_twice(taken, &draft, cost)) => answer.unwrap_or_else(|_| {
                // A model that takes so long counts as down.
                let reason = format!("no answer within {}", humantime::format_duration(limit));
                Err(JobError::Snooze { after: OUTAGE, reason })
            }),
            () = draft.keep_storing(&self.store, taken) => unreachable!("it never ends"),
        };
        let left = self.limits.fallback_after.saturating_sub(taken.age + began.elapsed());
        match (answer, self.limits.until_next_run(left)) {
            (Err(error), None) if error.waits() => Ok(self.fallback.pause(locale)),
            (Err(error @ JobError::Faulty(_)), _) => Ok(self.fallback.give_up(locale, &error)),
            (Err(error), Some(wait)) => Err(error.within(wait)),
            (answer, _) => answer,
        }
    }

    /// Makes an answer; once more if a model server answers nonsense, unless that took long: the customer waits.
    async fn make_twice(
        &self,
        taken: &ClaimedQuestion,
        draft: &Draft,
        cost: &AnswerCost,
    ) -> Result<Settlement, JobError> {
        let began = Instant::now();
        match self.make(taken, draft, cost).await {
            Err(JobError::Faulty(_)) if began.elapsed() < LONGEST_NONSENSE / 2 => {}
            made => return made,
        }
        draft.reset();
        let left = LONGEST_NONSENSE.saturating_sub(began.elapsed());
        tokio::time::timeout(left, self.make(taken, draft, cost)).await.unwrap_or_else(|_| {
            let reason = "a model server answered nonsense, and then nothing in time".to_owned();
            Err(JobError::Faulty(reason))
        })
    }

    async fn make(
        &self,
        taken: &ClaimedQuestion,
        draft: &Draft,
        cost: &AnswerCost,
    ) -> Result<Settlement, JobError> {
        let history = self.history(taken).instrument(info_span!("history")).await?;
        let searched = self.retriever.versions.searched().await?;
        let Question { question, sources, filter, locale, .. } = &taken.asked;
        let standalone = self.composer.condense(question, &history, cost).await;
        let filter = filter.as_ref().map(Filter::parse).transpose();
        let filter = filter.map_err(|error| JobError::Dead(error.to_string()))?;
        let within = SearchFilter { sources: sources.as_deref(), metadata: filter.as_ref() };
        let phrasings = self.composer.rephrase(&standalone, cost).await;
        let vectors = self.retriever.embed(&searched, &phrasings, cost).await?;
        let top_k = self.retriever.top_k;
        let constraints = self.retriever.constraints(&standalone).await;
        let query = Query {
            text: &standalone,
            vectors: &vectors,
            within,
            constraints: &constraints,
            top_k,
            reranks: true,
        };
        let passages = self.retriever.find(&searched, query, cost).await?;
        draft.found(&Source::list(&passages, &[]));
        let conversation = Conversation { question, history: &history, locale: locale.as_deref() };
        let evidence =
            Evidence { searched_for: &standalone, passages: &passages, fit: searched.fit.as_deref() };
        let mut settlement = self.composer.compose(conversation, evidence, draft, cost).await?;
        if let Some(answer) = &mut settlement.answer {
            answer.language.clone_from(locale);
        }
        if wants_human(question) {
            settlement.escalation_reason = Some(EscalationReason::AskedForHuman);
        }
        let usage = Some(cost.usage(&self.fallback.model));
        let version = searched.first.index.id;
        if !self.limits.watch_for.is_zero() && settlement.outcome == Some(AnswerOutcome::Answered) {
            settlement.watched = watched(&passages, &settlement.citations, version, self.limits.watch_for);
        }
        let vector = vectors.first.map(|vector| (version, vector));
        let constraints = constraints.iter().map(Into::into).collect();
        Ok(Settlement { standalone_question: Some(standalone), constraints, usage, vector, ..settlement })
    }

    /// Returns when the answer is no longer wanted: nothing more may be spent on it.
    async fn unwanted(&self, taken: &ClaimedQuestion) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
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

/// Ends overdue questions, each second until stopped. Every daemon does it; one is enough.
pub async fn end_overdue(store: &Store, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
        match store.end_overdue_answers().await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "{ended} questions were past their time"),
            Err(error) => tracing::debug!(%error, "questions past their time could not be looked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_away_holds_a_question_no_longer_than_until_its_fallback() {
        let seconds = Duration::from_secs;
        let limits = AnswerLimits {
            history_messages: 6,
            max_question_chars: NonZeroU32::MIN,
            timeout: seconds(60),
            fallback_after: seconds(300),
            watch_for: seconds(0),
        };
        for (age, waited, limit, what) in [
            (0, 0, 60, "a first run"),
            (290, 290, 60, "a first run behind many others"),
            (65, 0, 60, "a run after an outage"),
            (270, 0, 30, "the last run before the fallback"),
            (400, 0, 60, "a retry by hand"),
        ] {
            assert_eq!(limits.of_run(seconds(age), seconds(waited)), seconds(limit), "{what}");
        }
        for (left, wait) in [(300, Some(225)), (60, Some(25)), (9, Some(2)), (3, None), (0, None)] {
            let next = limits.until_next_run(seconds(left));
            assert_eq!(next.map(|wait| wait.as_secs()), wait, "{left}");
        }
    }
}
