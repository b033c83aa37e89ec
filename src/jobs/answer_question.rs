//! Answers one question from the index: retrieve, prompt, complete, judge, settle.
//!
//! The `answer` row is the truth; the job only wakes a worker. A question that was settled or erased in
//! the meantime is left alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Attempt, Job, JobError, Outcome,
    budget::Budget,
    versions::{Version, Versions},
};
use crate::{
    answer::{
        self, Escalation, Passage, Question, Verdict,
        codes::codes,
        condense::{condense, joined, rewritten},
        in_language, judge, nearest,
        prompt::{PromptSettings, prompt},
        refuse, sources, withhold,
    },
    catalogue::Catalogue,
    model::{Completer, Completion, Message, ModelError, Prompt},
    store::{
        Store, StoreError,
        answers::{Settled, Taken},
        usage::Cost,
    },
    telemetry,
};

/// How long an answer waits for the shop's present prices; then it takes the stored ones.
const LIVE_METADATA: Duration = Duration::from_millis(200);

/// How often questions are looked for that are past their time, or that nobody waits for.
const LOOK: Duration = Duration::from_secs(1);

/// The job.
pub struct AnswerQuestion {
    /// Where questions are, and the index.
    pub store: Store,
    /// The sources whose metadata is read as it is now, by name.
    pub live: BTreeMap<String, Arc<dyn Catalogue>>,
    /// What is searched, and what makes the question's vector.
    pub versions: Arc<Versions>,
    /// Answers the prompt.
    pub completer: Arc<dyn Completer>,
    /// What may be asked of that model's server.
    pub completion_budget: Budget,
    /// How answers are made.
    pub settings: AnswerSettings,
}

/// How answers are made.
#[derive(Clone, Debug)]
pub struct AnswerSettings {
    /// Passages in the prompt.
    pub top_k: u32,
    /// Whether what a question names by its SKU goes first.
    pub names: bool,
    /// Messages of the session that the model sees.
    pub history_messages: u32,
    /// The distance above which a human is asked for.
    pub escalate_above_distance: f64,
    /// How the model is asked.
    pub prompt: PromptSettings,
    /// What is said when nothing fits, by language.
    pub refusal: BTreeMap<String, String>,
    /// What is said while nothing may be spent, by language.
    pub fallback: BTreeMap<String, String>,
    /// Dollars that answers may cost in a day (UTC); zero is no limit.
    pub daily_usd: f64,
    /// The longest that one answer may take.
    pub timeout: Duration,
    /// The chat model's name, for the usage that callers see.
    pub model: String,
    /// What tokens cost.
    pub prices: Prices,
}

/// Dollars for a million tokens.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Prices {
    pub input: f64,
    pub output: f64,
}

/// What was found for a question.
pub struct Retrieved {
    /// What is named, then the nearest first.
    pub passages: Vec<Passage>,
    /// Tokens of the question, and dollars for a million of them.
    pub embedding: (u64, f64),
}

/// The job's key is the answer's id; it has no other arguments.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {}

impl Job for AnswerQuestion {
    const KIND: &'static str = "answer_question";
    type Payload = Payload;

    async fn run(&self, _: Payload, attempt: &Attempt) -> Result<Outcome, JobError> {
        let id = attempt
            .key
            .parse()
            .map_err(|_| JobError::Dead(format!("not an answer's id: {}", attempt.key)))?;
        let Some(taken) = self.store.take_question(id, attempt.number, attempt.lease).await? else {
            return Ok(Outcome::Done(Vec::new()));
        };
        let answer = tokio::select! {
            answer = tokio::time::timeout(self.settings.timeout, self.answer(&taken)) => answer,
            () = self.unwanted(&taken) => {
                // Only the job is completed: the answer is settled already, or erased.
                self.store.settle(&taken, &Settled::default()).await?;
                return Ok(Outcome::Committed);
            }
        };
        let settled = match answer {
            Ok(Ok(settled)) => settled,
            Ok(Err(error)) if error.ends(attempt) => self.failed(&error),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let limit = humantime::format_duration(self.settings.timeout);
                let error = JobError::Retry(format!("no answer within {limit}"));
                if !error.ends(attempt) {
                    return Err(error);
                }
                self.failed(&error)
            }
        };
        if let Some(cost) = settled.cost {
            self.store.note_cost(cost).await?;
        }
        self.store.settle(&taken, &settled).await?;
        Ok(Outcome::Committed)
    }
}

impl AnswerQuestion {
    /// Makes of a follow-up a question that stands alone. A model that cannot be asked is no reason not to
    /// answer: then the question before it is searched for with it.
    pub async fn condense(&self, question: &str, history: &[Message]) -> (String, Option<Completion>) {
        if history.is_empty() {
            return (question.to_owned(), None);
        }
        let completion = match self.complete(&condense(question, history)).await {
            Ok(completion) => completion,
            Err(error) => {
                tracing::debug!(%error, "a follow-up could not be rewritten: {error}");
                return (joined(question, history), None);
            }
        };
        let standalone = rewritten(&completion.text).map(str::to_owned);
        (standalone.unwrap_or_else(|| joined(question, history)), Some(completion))
    }

    /// Finds the passages of an index version that are nearest to a question; what it names by its SKU goes first.
    pub async fn retrieve(
        &self,
        version: &Version,
        question: &str,
        sources: Option<&[String]>,
        top_k: u32,
    ) -> Result<Retrieved, JobError> {
        let Version { index, model } = version;
        model.budget.take(about(question)).await?;
        let embedded = model.embedder.embed(&[question.to_owned()]).await;
        let embedded = heeded(&model.budget, "embedding", embedded).await?;
        model.budget.correct(embedded.left).await;
        telemetry::model_charged(&index.model, "input", embedded.tokens);
        let codes = if self.settings.names { codes(question) } else { Vec::new() };
        let mut passages = Vec::new();
        for vector in &embedded.vectors {
            if !codes.is_empty() {
                passages = self.store.named(index, vector, &codes, sources).await?;
            }
            let nearest = self.store.nearest(index, vector, top_k, sources).await?;
            let is_new = |near: &Passage, named: &[Passage]| {
                !named.iter().any(|named| {
                    (&named.source, &named.key, &named.content) == (&near.source, &near.key, &near.content)
                })
            };
            let nearest: Vec<_> = nearest.into_iter().filter(|near| is_new(near, &passages)).collect();
            passages.extend(nearest);
            passages.truncate(top_k as usize);
        }
        self.read_live(&mut passages).await;
        let embedding = (embedded.tokens, model.price);
        Ok(Retrieved { passages, embedding })
    }

    /// Has the model answer from what was found, and judges what it says; once more without chance when it says
    /// what no passage does. Without passages it is not asked.
    pub async fn compose(
        &self,
        question: &str,
        history: &[Message],
        passages: &[Passage],
        locale: Option<&str>,
    ) -> Result<(Verdict, Option<Completion>), JobError> {
        let refusal = in_language(&self.settings.refusal, locale);
        if passages.is_empty() {
            return Ok((refuse(refusal), None));
        }
        let mark = Uuid::new_v4().simple().to_string();
        let mut prompt = prompt(&self.settings.prompt, refusal, history, passages, question, &mark);
        let completion = self.complete(&prompt).await?;
        let verdict = judge(passages, &completion, refusal, self.settings.escalate_above_distance);
        if verdict.grounding.is_sound() {
            return Ok((verdict, Some(completion)));
        }
        prompt.temperature = 0.0;
        let mut again = self.complete(&prompt).await?;
        again.input_tokens += completion.input_tokens;
        again.output_tokens += completion.output_tokens;
        let verdict = judge(passages, &again, refusal, self.settings.escalate_above_distance);
        if verdict.grounding.is_sound() {
            return Ok((verdict, Some(again)));
        }
        tracing::warn!("an answer was withheld: it says what no passage does");
        Ok((withhold(refusal, verdict.grounding), Some(again)))
    }

    async fn complete(&self, prompt: &Prompt) -> Result<Completion, JobError> {
        let said = prompt.messages.iter().map(|message| about(&message.content)).sum::<u64>();
        self.completion_budget.take(about(&prompt.system) + said + u64::from(prompt.max_tokens)).await?;
        let completion =
            heeded(&self.completion_budget, "chat", self.completer.complete(prompt).await).await?;
        self.completion_budget.correct(completion.left).await;
        telemetry::model_charged(&self.settings.model, "input", completion.input_tokens);
        telemetry::model_charged(&self.settings.model, "output", completion.output_tokens);
        Ok(completion)
    }

    async fn answer(&self, taken: &Taken) -> Result<Settled, JobError> {
        let locale = taken.asked.locale.as_deref();
        let daily = self.settings.daily_usd;
        if daily > 0.0 && self.store.usd_today("answer").await? >= daily {
            return Ok(self.paused(locale));
        }
        let history = self.history(taken).await?;
        let (version, top_k) = (self.versions.active().await?, self.settings.top_k);
        let Question { question, sources, .. } = &taken.asked;
        let (standalone, condensed) = self.condense(question, &history).await;
        let found = self.retrieve(&version, &standalone, sources.as_deref(), top_k).await?;
        let (verdict, completion) = self.compose(question, &history, &found.passages, locale).await?;
        let mut settled = self.settled(&found, &verdict, completion.as_ref(), condensed.as_ref());
        settled.standalone_question = Some(standalone);
        if let Some(answer) = &mut settled.answer {
            answer["language"] = json!(locale);
        }
        Ok(settled)
    }

    /// Ends when nobody waits for the answer any more: nothing more is to be spent on it.
    async fn unwanted(&self, taken: &Taken) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Ok(false) = self.store.is_wanted(taken).await {
                return;
            }
        }
    }

    async fn history(&self, taken: &Taken) -> Result<Vec<Message>, StoreError> {
        let most = self.settings.history_messages;
        match (&taken.asked.history, &taken.asked.session_id) {
            (Some(given), _) => Ok(given[given.len().saturating_sub(most as usize)..].to_vec()),
            (None, Some(session)) => self.store.history(taken, session, most).await,
            (None, None) => Ok(Vec::new()),
        }
    }

    /// Replaces the metadata of passages by what the shop says now; what cannot be read in time stays.
    async fn read_live(&self, passages: &mut [Passage]) {
        for (source, catalogue) in &self.live {
            let mut keys: Vec<_> = passages
                .iter()
                .filter(|passage| &passage.source == source)
                .map(|passage| passage.key.clone())
                .collect();
            keys.sort_unstable();
            keys.dedup();
            if keys.is_empty() {
                continue;
            }
            let Ok(Ok(documents)) = tokio::time::timeout(LIVE_METADATA, catalogue.read(&keys)).await else {
                tracing::debug!(
                    source,
                    "present metadata could not be read in time; the stored copy is used"
                );
                continue;
            };
            let now: BTreeMap<_, _> =
                documents.into_iter().flatten().map(|document| (document.key, document.metadata)).collect();
            for passage in passages.iter_mut().filter(|passage| &passage.source == source) {
                if let Some(metadata) = now.get(&passage.key) {
                    passage.metadata.clone_from(metadata);
                }
            }
        }
    }

    fn settled(
        &self,
        found: &Retrieved,
        verdict: &Verdict,
        completion: Option<&Completion>,
        condensed: Option<&Completion>,
    ) -> Settled {
        let finish_reason = completion.map_or("stop", |completion| completion.finish_reason.as_str());
        let incomplete_reason = match finish_reason {
            "length" => Some("max_tokens"),
            "content_filter" => Some("content_filter"),
            _ => None,
        };
        let completions = [completion, condensed].into_iter().flatten();
        let (input, output) = completions.fold((0, 0), |(input, output), completion| {
            (input + completion.input_tokens, output + completion.output_tokens)
        });
        let prices = self.settings.prices;
        let cost = Cost::of("answer", &[found.embedding, (input, prices.input), (output, prices.output)]);
        Settled {
            status: if incomplete_reason.is_none() { "completed" } else { "incomplete" },
            outcome: Some(verdict.outcome.word()),
            incomplete_reason,
            standalone_question: None,
            answer: Some(json!({ "text": verdict.text, "language": null, "finish_reason": finish_reason })),
            sources: json!(sources(&found.passages, &verdict.citations)),
            citations: json!(verdict.citations),
            nearest_distance: nearest(&found.passages),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: verdict.escalation.map(Escalation::word),
            grounding: Some(json!(verdict.grounding)),
            usage: Some(json!({
                "embedding_tokens": found.embedding.0,
                "input_tokens": input,
                "output_tokens": output,
                "model": self.settings.model,
                "cost": cost.usd,
            })),
            cost: Some(cost),
            error: None,
        }
    }

    /// Nothing may be spent today: the customer is told that somebody will see to it.
    fn paused(&self, locale: Option<&str>) -> Settled {
        let text = in_language(&self.settings.fallback, locale);
        Settled {
            status: "completed",
            outcome: Some(answer::Outcome::Fallback.word()),
            answer: Some(json!({ "text": text, "language": locale, "finish_reason": null })),
            sources: json!([]),
            citations: json!([]),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: Some(Escalation::Paused.word()),
            ..Settled::default()
        }
    }

    fn failed(&self, error: &JobError) -> Settled {
        Settled {
            status: "failed",
            sources: json!([]),
            citations: json!([]),
            escalation_threshold: self.settings.escalate_above_distance,
            escalation: Some(Escalation::Failed.word()),
            error: Some(error.to_string()),
            ..Settled::default()
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

/// The tokens of a text, roughly: four characters each.
fn about(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

async fn heeded<T>(
    budget: &Budget,
    operation: &'static str,
    result: Result<T, ModelError>,
) -> Result<T, ModelError> {
    telemetry::model_requested(operation, result.as_ref().map_or_else(ModelError::code, |_| "ok"));
    if let Err(error) = &result {
        budget.heed(error).await;
    }
    result
}
