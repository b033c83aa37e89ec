//! Completions of a server: whole, or piece by piece.

use std::sync::atomic::{AtomicBool, Ordering};

use async_openai::error::OpenAIError;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use serde_json::{Map, Value, json};

use crate::model::{
    Completer, Completion, ModelError, OnDelta, Prompt, RetryPermit, TokenUsage, estimate_tokens,
    learned::{Learned, Lessons, MaxTokensParameter, SystemRole},
    openai::{
        Server,
        adapting::{Adaptive, Exchange, ask, is_about_form},
        failure::{Failure, ResponseHints},
        refusal::Refusal,
    },
};

mod events;
mod messages;
mod text;

use events::ChatReply;
use messages::messages;
use text::ReplyText;

/// How a chat model is asked. `None` is found out.
#[derive(Clone, Debug, Default)]
pub struct ChatSettings {
    /// Whether the temperature is left to the server.
    pub has_default_temperature: bool,
    /// The parameter that limits tokens.
    pub max_tokens_parameter: Option<MaxTokensParameter>,
    /// Whether answers are asked for piece by piece, always or never.
    pub stream: Option<bool>,
    /// Whether the server accepts `stream_options`.
    pub stream_options: Option<bool>,
    /// The role of the instructions.
    pub system_role: Option<SystemRole>,
    /// Whether the model spends tokens on thoughts.
    pub thinks: bool,
    /// Whether its thoughts begin without a tag.
    pub has_unopened_thoughts: bool,
}

/// Answers prompts at a server.
pub struct OpenAiCompleter {
    server: Server,
    model: String,
    settings: ChatSettings,
    learned: Learned,
    /// Whether the server has accepted a request.
    has_worked: AtomicBool,
}

/// Words about the role of the instructions in refusals.
const SYSTEM_ROLE: [&str; 12] = [
    "system role",
    "system message",
    "system prompt",
    "role 'system'",
    "role \"system\"",
    "role `system`",
    "role: system",
    "'system'",
    "developer role",
    "developer message",
    "'developer'",
    "must alternate",
];

impl OpenAiCompleter {
    /// Uses this model of this server.
    pub fn new(server: Server, model: String, settings: ChatSettings, lessons: Lessons) -> Self {
        let learned = Learned::new(lessons);
        Self { server, model, settings, learned, has_worked: AtomicBool::new(false) }
    }

    fn max_tokens_parameter(&self, lessons: &Lessons) -> MaxTokensParameter {
        let known = self.settings.max_tokens_parameter.or(lessons.max_tokens_parameter);
        known.unwrap_or(MaxTokensParameter::MaxTokens)
    }

    fn system_role(&self, lessons: &Lessons) -> SystemRole {
        self.settings.system_role.or(lessons.system_role).unwrap_or(SystemRole::System)
    }
}

/// A prompt on its way.
struct ChatRequest<'a> {
    completer: &'a OpenAiCompleter,
    prompt: &'a Prompt,
    on_delta: Option<&'a OnDelta<'a>>,
}

impl ChatRequest<'_> {
    fn streams(&self, lessons: &Lessons) -> bool {
        self.completer.settings.stream.or(lessons.stream).unwrap_or(self.on_delta.is_some())
    }

    fn sends_stream_options(&self, lessons: &Lessons) -> bool {
        let accepted = self.completer.settings.stream_options.or(lessons.stream_options);
        self.streams(lessons) && accepted.unwrap_or(true)
    }

    fn sends_temperature(&self, lessons: &Lessons) -> bool {
        !self.completer.settings.has_default_temperature && lessons.temperature != Some(false)
    }

    /// The limit of tokens that is asked for.
    fn max_tokens(&self, lessons: &Lessons) -> u32 {
        let thinks = self.completer.settings.thinks || lessons.thinks == Some(true);
        self.prompt.max_tokens + if thinks { self.prompt.thought_tokens } else { 0 }
    }

    fn body(&self, lessons: &Lessons) -> Map<String, Value> {
        let OpenAiCompleter { server, model, .. } = self.completer;
        let limit: &str = self.completer.max_tokens_parameter(lessons).into();
        let mut body = Map::from_iter([
            ("model".to_owned(), json!(model)),
            ("messages".to_owned(), messages(self.prompt, self.completer.system_role(lessons))),
            (limit.to_owned(), json!(self.max_tokens(lessons))),
        ]);
        if let Some(temperature) = self.prompt.temperature.filter(|_| self.sends_temperature(lessons)) {
            body.insert("temperature".to_owned(), json!(temperature));
        }
        if self.streams(lessons) {
            body.insert("stream".to_owned(), json!(true));
        }
        if self.sends_stream_options(lessons) {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        server.with_extra_body(body, &Map::new())
    }

    async fn exchange(&self, lessons: &Lessons) -> Exchange<Completion> {
        let OpenAiCompleter { server, settings, learned, has_worked, .. } = self.completer;
        let is_held = settings.has_unopened_thoughts || lessons.unopened_thoughts == Some(true);
        let mut reply = ChatReply::new(ReplyText::new(is_held, self.max_tokens(lessons), self.on_delta));
        let read = server.request(self.read(lessons, &mut reply).boxed()).await;
        let input = || {
            let messages = self.prompt.messages.iter().map(|message| estimate_tokens(&message.content));
            estimate_tokens(&self.prompt.system) + messages.sum::<u64>()
        };
        let usage = reply.usage(input);
        let hints = match read {
            Ok(((), hints)) => hints,
            Err((failure, hints)) => {
                let spent = if reply.has_begun() { usage } else { TokenUsage::default() };
                return Err((failure.after(spent), ResponseHints { spent, ..hints }));
            }
        };
        let (has_thoughts, is_unopened) = reply.thoughts();
        let (text, finish_reason) = match reply.finish() {
            Ok(finished) => finished,
            Err(reason) => {
                let failure = Failure::Other(server.nonsense(reason.to_owned()));
                return Err((failure.after(usage), hints));
            }
        };
        has_worked.store(true, Ordering::Relaxed);
        if has_thoughts && !settings.thinks {
            learned.learn(|lessons| lessons.thinks = Some(true));
        }
        if is_unopened && !settings.has_unopened_thoughts {
            learned.learn(|lessons| lessons.unopened_thoughts = Some(true));
        }
        Ok(Completion { text, finish_reason, usage, left: hints.left })
    }

    /// Reads events until the reply ends, or is longer than it may be.
    async fn read(&self, lessons: &Lessons, reply: &mut ChatReply<'_>) -> Result<(), OpenAIError> {
        let chat = self.completer.server.client.chat();
        let mut stream = chat.create_stream_byot::<_, Value>(self.body(lessons)).await?;
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                // A heartbeat, or an event without data.
                Err(OpenAIError::JSONDeserialize(_, data))
                    if !data.trim_start().starts_with(['{', '[', '<']) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(refusal) = Refusal::within(reqwest::StatusCode::OK, &event) {
                return Err(OpenAIError::Boxed(Box::new(refusal)));
            }
            reply.add(&event);
            if reply.is_too_long() {
                break;
            }
        }
        Ok(())
    }
}

impl Adaptive for ChatRequest<'_> {
    type Reply = Completion;

    fn send<'a>(&'a self, lessons: &'a Lessons) -> BoxFuture<'a, Exchange<Completion>> {
        self.exchange(lessons).boxed()
    }

    fn adapt(&self, failure: &Failure, lessons: &mut Lessons) {
        let OpenAiCompleter { settings, has_worked, .. } = self.completer;
        let Failure::Refusal(refusal) = failure else { return };
        if !is_about_form(refusal.status) && !refusal.status.is_success() {
            return;
        }
        if self.sends_stream_options(lessons) && refusal.names(&["stream_options", "include_usage"]) {
            lessons.stream_options = Some(false);
        } else if settings.max_tokens_parameter.is_none()
            && refusal.names(&["max_tokens", "max_completion_tokens"])
        {
            lessons.max_tokens_parameter = Some(match self.completer.max_tokens_parameter(lessons) {
                MaxTokensParameter::MaxTokens => MaxTokensParameter::MaxCompletionTokens,
                MaxTokensParameter::MaxCompletionTokens => MaxTokensParameter::MaxTokens,
            });
        } else if self.sends_temperature(lessons) && refusal.names(&["temperature"]) {
            lessons.temperature = Some(false);
        } else if settings.system_role.is_none() && refusal.names(&SYSTEM_ROLE) {
            lessons.system_role = Some(match self.completer.system_role(lessons) {
                SystemRole::System if refusal.names(&["developer"]) => SystemRole::Developer,
                _ => SystemRole::User,
            });
        } else if settings.stream.is_none() && refusal.names(&["stream"]) {
            lessons.stream = Some(!self.streams(lessons));
        } else if settings.stream.is_none()
            && refusal.status.is_client_error()
            && self.streams(lessons)
            && !has_worked.load(Ordering::Relaxed)
        {
            // Not every server can, and not every server says so.
            lessons.stream = Some(false);
        }
    }

    fn classify(&self, failure: Failure, hints: ResponseHints) -> ModelError {
        match failure {
            Failure::Refusal(refusal) => self.completer.server.classify(&refusal, hints, true),
            Failure::OtherLength { error, .. } | Failure::Other(error) => error,
        }
    }
}

impl Completer for OpenAiCompleter {
    fn complete<'a>(
        &'a self,
        prompt: &'a Prompt,
        on_delta: Option<&'a OnDelta<'a>>,
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Completion, ModelError>> {
        async move { ask(&ChatRequest { completer: self, prompt, on_delta }, &self.learned, again).await }
            .boxed()
    }

    fn learned(&self) -> &Learned {
        &self.learned
    }
}
