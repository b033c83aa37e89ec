//! Has the model say something: a follow-up that stands alone, an answer.

use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::{
    super::{JobError, budget::Budget},
    AnswerQuestion,
    draft::Draft,
};
use crate::{
    answer::{
        Passage, Verdict,
        condense::{condense, joined, rewritten},
        in_language, judge,
        prompt::prompt,
        refuse, withhold,
    },
    model::{Completion, Heard, Message, ModelError, Prompt},
    telemetry,
};

impl AnswerQuestion {
    /// Makes of a follow-up a question that stands alone. A model that cannot be asked is no reason not to
    /// answer: then the question before it is searched for with it.
    pub async fn condense(&self, question: &str, history: &[Message]) -> (String, Option<Completion>) {
        if history.is_empty() {
            return (question.to_owned(), None);
        }
        let completion = match self.complete(&condense(question, history), None).await {
            Ok(completion) => completion,
            Err(error) => {
                tracing::debug!(%error, "a follow-up could not be rewritten: {error}");
                return (joined(question, history), None);
            }
        };
        let standalone = rewritten(&completion.text).map(str::to_owned);
        (standalone.unwrap_or_else(|| joined(question, history)), Some(completion))
    }

    /// Has the model answer from what was found, and judges what it says; once more without chance when it says
    /// what no passage does. Without passages it is not asked.
    pub async fn compose(
        &self,
        question: &str,
        history: &[Message],
        passages: &[Passage],
        locale: Option<&str>,
        draft: &Draft,
    ) -> Result<(Verdict, Option<Completion>), JobError> {
        let refusal = in_language(&self.settings.refusal, locale);
        if passages.is_empty() {
            return Ok((refuse(refusal), None));
        }
        let mark = Uuid::new_v4().simple().to_string();
        let mut prompt = prompt(&self.settings.prompt, refusal, history, passages, question, &mark);
        let heard = |piece: &str| draft.say(piece);
        let completion = self.complete(&prompt, Some(&heard)).await?;
        let verdict = judge(passages, &completion, refusal, self.settings.escalate_above_distance);
        if verdict.grounding.is_sound() {
            return Ok((verdict, Some(completion)));
        }
        prompt.temperature = 0.0;
        draft.reset();
        let mut again = self.complete(&prompt, Some(&heard)).await?;
        again.input_tokens += completion.input_tokens;
        again.output_tokens += completion.output_tokens;
        let verdict = judge(passages, &again, refusal, self.settings.escalate_above_distance);
        if verdict.grounding.is_sound() {
            return Ok((verdict, Some(again)));
        }
        tracing::warn!("an answer was withheld: it says what no passage does");
        Ok((withhold(refusal, verdict), Some(again)))
    }

    async fn complete(&self, prompt: &Prompt, heard: Option<&Heard<'_>>) -> Result<Completion, JobError> {
        let said = prompt.messages.iter().map(|message| about(&message.content)).sum::<u64>();
        let tokens = about(&prompt.system) + said + u64::from(prompt.max_tokens);
        self.completion_budget.take(tokens).instrument(info_span!("budget")).await?;
        let span =
            info_span!("chat", gen_ai.operation.name = "chat", gen_ai.request.model = self.settings.model);
        let completion = self.completer.complete(prompt, heard).instrument(span).await;
        let completion = heeded(&self.completion_budget, "chat", completion).await?;
        self.completion_budget.correct(completion.left).await;
        telemetry::model_charged(&self.settings.model, "input", completion.input_tokens);
        telemetry::model_charged(&self.settings.model, "output", completion.output_tokens);
        Ok(completion)
    }
}

/// The tokens of a text, roughly: four characters each.
pub(super) fn about(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

pub(super) async fn heeded<T>(
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
