//! Has the model say something: a follow-up that stands alone, an answer.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use crate::{
    answering::{
        Passage, Verdict,
        condense::{condense, joined, rewritten},
        cost::{AnswerCost, Prices, estimate_tokens},
        in_language, judge,
        prompt::{PromptSettings, prompt},
        refuse,
        stream::Draft,
        withhold,
    },
    job::JobError,
    model::{Completer, Completion, Message, OnDelta, Prompt, Role, rate_limit::Budget},
};

/// What a customer asks, and what was said before it.
#[derive(Clone, Copy, Debug)]
pub struct Conversation<'a> {
    /// In the customer's words.
    pub question: &'a str,
    /// The conversation, oldest first.
    pub history: &'a [Message],
    /// The customer's language.
    pub locale: Option<&'a str>,
}

impl<'a> Conversation<'a> {
    /// All that the customer said: not what was searched for, which a model may have written.
    fn customer(&self) -> Vec<&'a str> {
        let earlier = self.history.iter().filter(|message| message.role == Role::User);
        let earlier = earlier.map(|message| message.content.as_str());
        std::iter::once(self.question).chain(earlier).collect()
    }
}

/// Composes answers from passages.
pub struct Composer {
    /// Answers the prompt.
    pub completer: Arc<dyn Completer>,
    /// What may be asked of that model's server.
    pub budget: Budget,
    /// How the model is asked.
    pub prompt: PromptSettings,
    /// What is said when nothing fits, by language.
    pub refusal: BTreeMap<String, String>,
    /// The distance above which a human is asked for.
    pub escalate_above_distance: f64,
    /// What tokens cost.
    pub prices: Prices,
}

impl Composer {
    /// Makes of a follow-up a question that stands alone. A model that cannot be asked is no reason not to
    /// answer: then the question before it is searched for with it.
    pub async fn condense(&self, question: &str, history: &[Message], spent: &AnswerCost) -> String {
        if history.is_empty() {
            return question.to_owned();
        }
        let completion = self.complete(&condense(question, history), None, spent).await;
        let standalone = match &completion {
            Ok(completion) => rewritten(&completion.text).map(str::to_owned),
            Err(error) => {
                tracing::debug!(%error, "a follow-up could not be rewritten: {error}");
                None
            }
        };
        standalone.unwrap_or_else(|| joined(question, history))
    }

    /// Has the model answer from what was found, and judges what it says; once more without chance when it says
    /// what no passage does. Without passages it is not asked. With why the text ends, in the server's words.
    pub async fn compose(
        &self,
        asked: Conversation<'_>,
        passages: &[Passage],
        draft: &Draft,
        spent: &AnswerCost,
    ) -> Result<(Verdict, String), JobError> {
        let Conversation { question, history, locale, .. } = asked;
        let refusal = in_language(&self.refusal, locale);
        if passages.is_empty() {
            return Ok((refuse(refusal), "stop".to_owned()));
        }
        let mark = Uuid::new_v4().simple().to_string();
        let mut prompt = prompt(&self.prompt, refusal, history, passages, question, &mark);
        let heard = |piece: &str| draft.say(piece);
        let (customer, threshold) = (asked.customer(), self.escalate_above_distance);
        let completion = self.complete(&prompt, Some(&heard), spent).await?;
        let verdict = judge(passages, &completion, &customer, refusal, threshold);
        if verdict.grounding.is_sound() {
            return Ok((verdict, completion.finish_reason));
        }
        prompt.temperature = 0.0;
        draft.reset();
        let again = self.complete(&prompt, Some(&heard), spent).await?;
        let verdict = judge(passages, &again, &customer, refusal, threshold);
        if verdict.grounding.is_sound() {
            return Ok((verdict, again.finish_reason));
        }
        tracing::warn!("an answer was withheld: it says what no passage does");
        Ok((withhold(refusal, verdict), again.finish_reason))
    }

    async fn complete(
        &self,
        prompt: &Prompt,
        heard: Option<&OnDelta<'_>>,
        spent: &AnswerCost,
    ) -> Result<Completion, JobError> {
        let said = prompt.messages.iter().map(|message| estimate_tokens(&message.content)).sum::<u64>();
        let tokens = estimate_tokens(&prompt.system) + said + u64::from(prompt.max_tokens);
        let completion = self.budget.complete(&*self.completer, prompt, heard, tokens, spent.jobs()).await?;
        spent.completed(&completion, self.prices);
        Ok(completion)
    }
}
