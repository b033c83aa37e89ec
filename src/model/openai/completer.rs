//! Completions: an answer at once, or piece by piece.

use std::sync::OnceLock;

use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CompletionUsage,
    CreateChatCompletionRequest, FinishReason,
};
use futures::{FutureExt, StreamExt, future::BoxFuture};

use crate::model::{
    Completer, Completion, Message, ModelError, OnDelta, Prompt, RateLimitRemaining, RetryPermit, Role,
    openai::{Server, otherwise},
};

/// Answers prompts at a server.
pub struct OpenAiCompleter {
    server: Server,
    model: String,
    /// Whether the server gives answers piece by piece, once that is known.
    streams: OnceLock<bool>,
}

impl OpenAiCompleter {
    /// Uses this model of this server.
    pub fn new(server: Server, model: String) -> Self {
        Self { server, model, streams: OnceLock::new() }
    }

    fn wire(&self, prompt: &Prompt) -> CreateChatCompletionRequest {
        let system = ChatCompletionRequestSystemMessage::from(prompt.system.as_str());
        let mut messages: Vec<ChatCompletionRequestMessage> = vec![system.into()];
        messages.extend(prompt.messages.iter().map(wire));
        CreateChatCompletionRequest {
            model: self.model.clone(),
            messages,
            temperature: Some(prompt.temperature),
            max_completion_tokens: Some(prompt.max_tokens),
            ..CreateChatCompletionRequest::default()
        }
    }

    async fn at_once(&self, prompt: &Prompt) -> Result<Completion, ModelError> {
        let request = self.wire(prompt);
        let (response, left) = self.server.request(self.server.client.chat().create(request)).await?;
        let Some(choice) = response.choices.into_iter().next() else {
            return Err(self.server.nonsense("a completion without a choice".to_owned()));
        };
        let finish_reason = choice.finish_reason.map_or_else(|| "stop".to_owned(), word);
        Ok(completion(
            choice.message.content.unwrap_or_default(),
            finish_reason,
            response.usage.as_ref(),
            left,
        ))
    }

    async fn piece_by_piece(&self, prompt: &Prompt, heard: &OnDelta<'_>) -> Result<Completion, ModelError> {
        let options = ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
        let request = CreateChatCompletionRequest { stream_options: Some(options), ..self.wire(prompt) };
        let request = async {
            let mut stream = self.server.client.chat().create_stream(request).await?;
            let (mut text, mut finish_reason, mut usage) = (String::new(), None, None);
            while let Some(piece) = stream.next().await {
                let piece = piece?;
                usage = piece.usage.or(usage);
                let Some(choice) = piece.choices.into_iter().next() else { continue };
                finish_reason = choice.finish_reason.or(finish_reason);
                if let Some(said) = choice.delta.content {
                    heard(&said);
                    text.push_str(&said);
                }
            }
            Ok((text, finish_reason, usage))
        };
        let ((text, finish_reason, usage), left) = self.server.request(request).await?;
        let Some(finish_reason) = finish_reason else {
            return Err(self.server.nonsense("a stream that ends before the answer does".to_owned()));
        };
        Ok(completion(text, word(finish_reason), usage.as_ref(), left))
    }

    async fn request(
        &self,
        prompt: &Prompt,
        heard: Option<&OnDelta<'_>>,
        again: &RetryPermit<'_>,
    ) -> Result<Completion, ModelError> {
        let Some(heard) = heard.filter(|_| self.streams.get() != Some(&false)) else {
            return self.at_once(prompt).await;
        };
        let (streams, completion) = match self.piece_by_piece(prompt, heard).await {
            // Not every server can.
            Err(error @ ModelError::Rejected { .. }) if self.streams.get().is_none() => {
                (false, otherwise(error, again, self.at_once(prompt)).await?)
            }
            completion => (true, completion?),
        };
        // Another request may have found out meanwhile: both ways work then.
        let _ = self.streams.set(streams);
        Ok(completion)
    }
}

fn completion(
    text: String,
    finish_reason: String,
    usage: Option<&CompletionUsage>,
    left: RateLimitRemaining,
) -> Completion {
    Completion {
        text,
        finish_reason,
        input_tokens: usage.map_or(0, |usage| u64::from(usage.prompt_tokens)),
        output_tokens: usage.map_or(0, |usage| u64::from(usage.completion_tokens)),
        left,
    }
}

/// The protocol's word for it.
fn word(reason: FinishReason) -> String {
    let value = serde_json::to_value(reason).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn wire(message: &Message) -> ChatCompletionRequestMessage {
    let content = message.content.as_str();
    match message.role {
        Role::User => ChatCompletionRequestUserMessage::from(content).into(),
        Role::Assistant => ChatCompletionRequestAssistantMessage::from(content).into(),
    }
}

impl Completer for OpenAiCompleter {
    fn complete<'a>(
        &'a self,
        prompt: &'a Prompt,
        heard: Option<&'a OnDelta<'a>>,
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Completion, ModelError>> {
        self.request(prompt, heard, again).boxed()
    }
}
