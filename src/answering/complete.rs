//! Requests to the chat model: rewriting a follow-up, and answering from passages.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use crate::{
    answering::{
        Passage,
        condense::{condense, join_previous, parse_standalone},
        cost::{AnswerCost, Prices},
        handover::{Fit, Signals},
        in_language,
        object::Settlement,
        phrasings,
        prompt::{PromptSettings, prompt},
        stream::Draft,
        verdict::{judge, refuse, withhold},
    },
    job::JobError,
    model::{
        Completer, Completion, Delta, Message, OnDelta, Prompt, Role, estimate_tokens,
        rate_limit::{AskError, Budget},
    },
};

/// A question and the conversation before it.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Conversation<'a> {
    pub question: &'a str,
    /// Oldest first.
    pub history: &'a [Message],
    pub locale: Option<&'a str>,
}

impl<'a> Conversation<'a> {
    /// Everything the customer said; not the standalone question, which a model may have written.
    fn customer(&self) -> Vec<&'a str> {
        let earlier = self.history.iter().filter(|message| message.role == Role::User);
        let earlier = earlier.map(|message| message.content.as_str());
        std::iter::once(self.question).chain(earlier).collect()
    }
}

/// What an answer is made from.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The text that was searched for.
    pub searched_for: &'a str,
    /// What was found, the best first.
    pub passages: &'a [Passage],
    /// When a human is needed, if it was fitted for this index.
    pub fit: Option<&'a Fit>,
}

/// Composes answers from passages.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Composer {
    pub completer: Arc<dyn Completer>,
    pub budget: Budget,
    pub prompt: PromptSettings,
    /// The phrasings of a question that are searched for, the customer's own among them.
    pub phrasings: u32,
    /// The reply when nothing fits, by language.
    pub refusal: BTreeMap<String, String>,
    /// The distance above which a human is asked for.
    pub escalate_above_distance: f64,
    pub prices: Prices,
}

impl Composer {
    /// The same, which asks for a human above another distance.
    #[must_use]
    pub fn with_threshold(&self, escalate_above_distance: f64) -> Self {
        Self { escalate_above_distance, ..self.clone() }
    }

    /// Rewrites a follow-up to a standalone question. If the model fails, it is joined with the question before it.
    pub async fn condense(&self, question: &str, history: &[Message], cost: &AnswerCost) -> String {
        if history.is_empty() {
            return question.to_owned();
        }
        let completion = self.complete(&condense(question, history), None, cost).await;
        let standalone = match &completion {
            Ok(completion) => parse_standalone(&completion.text).map(str::to_owned),
            Err(error) => {
                tracing::debug!(%error, "a follow-up could not be rewritten: {error}");
                None
            }
        };
        standalone.unwrap_or_else(|| join_previous(question, history))
    }

    /// The question, and other phrasings of it if several are searched for. If the model fails, it stands alone.
    pub async fn rephrase(&self, question: &str, cost: &AnswerCost) -> Vec<String> {
        let mut all = vec![question.to_owned()];
        let others = self.phrasings.saturating_sub(1);
        if others > 0 {
            match self.complete(&phrasings::prompt(question, others), None, cost).await {
                Ok(completion) => all.extend(phrasings::parse(&completion.text, others)),
                Err(error) => {
                    tracing::debug!(%error, "a question is searched for in its own words alone: {error}");
                }
            }
        }
        all
    }

    /// Has the model answer from passages, and judges the answer; an ungrounded one is requested once more at temperature
    /// 0, if the model has one. Without passages the model is not asked.
    pub async fn compose(
        &self,
        conversation: Conversation<'_>,
        evidence: Evidence<'_>,
        draft: &Draft,
        cost: &AnswerCost,
    ) -> Result<Settlement, JobError> {
        let Conversation { question, history, locale } = conversation;
        let Evidence { searched_for, passages, fit } = evidence;
        let (refusal, threshold) = (in_language(&self.refusal, locale), self.escalate_above_distance);
        if passages.is_empty() {
            return Ok(refuse(refusal, threshold));
        }
        let signals = Signals::new(searched_for, passages);
        let mark = Uuid::new_v4().simple().to_string();
        let mut prompt = prompt(&self.prompt, refusal, history, passages, question, &mark);
        let on_delta = |delta: Delta<'_>| draft.add(delta);
        let customer = conversation.customer();
        let completion = self.complete(&prompt, Some(&on_delta), cost).await?;
        let settlement = judge(passages, &completion, &customer, refusal, threshold, (&signals, fit));
        if settlement.is_sound() {
            return Ok(settlement);
        }
        prompt.temperature = prompt.temperature.map(|_| 0.0);
        draft.reset();
        let completion = self.complete(&prompt, Some(&on_delta), cost).await?;
        let settlement = judge(passages, &completion, &customer, refusal, threshold, (&signals, fit));
        if settlement.is_sound() {
            return Ok(settlement);
        }
        tracing::warn!("an answer was withheld because no passage supports it");
        Ok(withhold(refusal, settlement, passages))
    }

    async fn complete(
        &self,
        prompt: &Prompt,
        on_delta: Option<&OnDelta<'_>>,
        cost: &AnswerCost,
    ) -> Result<Completion, JobError> {
        let said = prompt.messages.iter().map(|message| estimate_tokens(&message.content)).sum::<u64>();
        let tokens = estimate_tokens(&prompt.system) + said + u64::from(prompt.max_tokens);
        let asked = self.budget.complete(&*self.completer, prompt, on_delta, tokens, cost.jobs()).await;
        match &asked {
            Ok(completion) => cost.add_completion(completion.usage, self.prices),
            Err(AskError::Model(error)) => cost.add_completion(error.spent, self.prices),
            Err(AskError::Withheld(_)) => {}
        }
        Ok(asked?)
    }
}
