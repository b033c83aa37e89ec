//! The only model client: async-openai against any server that speaks `OpenAI`'s protocol.
//!
//! Nothing is retried here: jobs are, with the wait that the server asks for. What the server says is
//! counted and measured once, here, and trusted afterwards.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::{ApiError, ApiErrorResponse, OpenAIError},
    middleware::{HttpRequestFactory, ReqwestService},
    types::{
        chat::{
            ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
            ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage,
            ChatCompletionStreamOptions, CompletionUsage, CreateChatCompletionRequest, FinishReason,
        },
        embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use reqwest::{StatusCode, header::HeaderMap};
use tower::ServiceExt;

use crate::{
    model::{
        Completer, Completion, Embedded, Embedder, EmbeddingModel, Heard, Left, Message, ModelError, Prompt,
        Role,
    },
    tls,
};

mod vectors;

use vectors::{Indexed, with_nulls};

tokio::task_local! {
    /// What the headers say of the response to the request under way.
    static SAID: Cell<Said>;
}

/// What a response says before its body is read: the status, and the server's limits.
#[derive(Clone, Copy, Default)]
struct Said {
    status: Option<StatusCode>,
    /// When it asks to be tried again.
    retry_after: Option<Duration>,
    left: Left,
}

/// Where a model is and what may be asked of it.
pub struct Server {
    client: Client<OpenAIConfig>,
    /// Its address as it may be told.
    address: String,
}

impl Server {
    /// Prepares a client; nothing is sent yet. Without a key none is sent, as local servers like it. The address is
    /// told in errors as `shown`: it may hold a password.
    pub fn new(
        base_url: &str,
        shown: String,
        api_key: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, ModelError> {
        let http = reqwest::Client::builder().timeout(timeout).connect_timeout(timeout.min(CONNECT));
        let http =
            tls::client(http).map_err(|reason| ModelError::Rejected { server: shown.clone(), reason })?;
        let config = OpenAIConfig::new()
            .with_api_base(base_url.trim_end_matches('/'))
            .with_api_key(api_key.unwrap_or_default());
        let service = ReqwestService::new(http);
        let noting = tower::service_fn(move |request: HttpRequestFactory| {
            let service = service.clone();
            async move {
                let response = service.oneshot(request).await?;
                SAID.with(|cell| cell.set(said(response.status(), response.headers())));
                Ok::<_, OpenAIError>(response)
            }
        });
        Ok(Self { client: Client::with_config(config).with_http_service(noting), address: shown })
    }

    /// Runs one request and says what its failure means; with what the server says may still be asked.
    async fn request<T>(
        &self,
        request: impl Future<Output = Result<T, OpenAIError>>,
    ) -> Result<(T, Left), ModelError> {
        SAID.scope(Cell::default(), async {
            let result = request.await;
            let said = SAID.with(Cell::get);
            let response = result.map_err(|error| self.classify(error, said))?;
            Ok((response, said.left))
        })
        .await
    }

    fn classify(&self, error: OpenAIError, said: Said) -> ModelError {
        let (server, retry_after) = (self.address.clone(), said.retry_after);
        let refused = said.status.filter(|status| status.is_client_error() || status.is_server_error());
        match (error, refused) {
            (OpenAIError::ApiError(response), _) => {
                tracing::trace!(server, "the model server says: {}", response.api_error.message);
                let code = response.api_error.code.as_deref().unwrap_or_default();
                self.refusal(response.status_code, code, without_text(&response), retry_after)
            }
            // A proxy's refusal has a body of its own kind. That there is nothing at the address may pass.
            (_, Some(status)) => match self.refusal(status, "", status.to_string(), retry_after) {
                ModelError::Rejected { reason, .. }
                    if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE) =>
                {
                    self.nonsense(reason)
                }
                refusal => refusal,
            },
            (OpenAIError::Reqwest(error), None) => {
                let reason =
                    if error.is_timeout() { "no answer in time".to_owned() } else { tls::last_cause(&error) };
                ModelError::Unavailable { server, reason, retry_after }
            }
            (OpenAIError::JSONDeserialize(error, _), None) => {
                self.nonsense(format!("not the JSON that was expected: {}", fault(&error)))
            }
            (OpenAIError::StreamError(error), None) => {
                ModelError::Unavailable { server, reason: tls::last_cause(&*error), retry_after }
            }
            (OpenAIError::InvalidArgument(reason), None) => ModelError::Rejected { server, reason },
            (other, None) => self.nonsense(other.to_string()),
        }
    }

    /// What a status that is an error means.
    fn refusal(
        &self,
        status: StatusCode,
        code: &str,
        reason: String,
        retry_after: Option<Duration>,
    ) -> ModelError {
        let server = self.address.clone();
        match status {
            _ if code == "insufficient_quota" => ModelError::Refused { server, reason },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => {
                ModelError::Refused { server, reason }
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => {
                ModelError::Unavailable { server, reason, retry_after }
            }
            status if status.is_server_error() => ModelError::Unavailable { server, reason, retry_after },
            _ => ModelError::Rejected { server, reason },
        }
    }

    fn nonsense(&self, reason: String) -> ModelError {
        ModelError::Nonsense { server: self.address.clone(), reason }
    }
}

/// What is wrong with a text, without the text, which may quote a question.
fn fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "something is missing, or of another kind",
        _ => "it is none",
    };
    format!("{what}, at line {} and column {}", error.line(), error.column())
}

/// What an error says in words that are the protocol's: its text may quote a question, or a key.
fn without_text(response: &ApiErrorResponse) -> String {
    let ApiError { message, r#type, code, param, .. } = &response.api_error;
    let words = [("type", r#type), ("code", code), ("param", param)];
    let mut said: Vec<_> =
        words.iter().filter_map(|(name, word)| Some(format!("{name} {}", word.as_ref()?))).collect();
    if message.contains("stream") {
        said.push(ABOUT_STREAMING.to_owned());
    }
    if said.is_empty() {
        return response.status_code.to_string();
    }
    format!("{} ({})", response.status_code, said.join(", "))
}

/// Said of a server that does not give answers piece by piece.
const ABOUT_STREAMING: &str = "about streaming";

/// The longest that a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest that a server can put us off, whatever it says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Standard and widespread: `Retry-After`, OpenAI's `retry-after-ms` and `x-ratelimit-…`.
fn said(status: StatusCode, headers: &HeaderMap) -> Said {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse().ok();
    let milliseconds = number("retry-after-ms").map(Duration::from_millis);
    let seconds = number("retry-after").map(Duration::from_secs);
    let left = Left {
        requests: number("x-ratelimit-remaining-requests"),
        tokens: number("x-ratelimit-remaining-tokens"),
    };
    // Whichever is used up: `1s`, `6m0s`.
    let used_up = match left {
        Left { requests: Some(0), .. } => text("x-ratelimit-reset-requests"),
        Left { tokens: Some(0), .. } => text("x-ratelimit-reset-tokens"),
        _ => None,
    };
    let reset = used_up.and_then(|wait| humantime::parse_duration(wait).ok());
    let retry_after = milliseconds.or(seconds).or(reset).map(|wait| wait.min(LONGEST_RETRY_AFTER));
    Said { status: Some(status), retry_after, left }
}

/// Makes vectors at a server.
pub struct OpenAiEmbedder {
    server: Server,
    model: EmbeddingModel,
    /// Whether the server is asked for base64, a third of the bytes of numbers in decimals. Not every
    /// server knows it.
    base64: AtomicBool,
}

impl OpenAiEmbedder {
    /// Uses this model of this server.
    pub fn new(server: Server, model: EmbeddingModel) -> Self {
        Self { server, model, base64: AtomicBool::new(true) }
    }

    async fn request(&self, inputs: &[String]) -> Result<Embedded, ModelError> {
        let (vectors, tokens, left) = if self.base64.load(Ordering::Relaxed) {
            match self.in_base64(inputs).await {
                Ok(response) => response,
                Err(error @ (ModelError::Rejected { .. } | ModelError::Nonsense { .. })) => {
                    // Either the format or the inputs: the other format tells.
                    let response = self.in_decimals(inputs).await.map_err(|second| match second {
                        ModelError::Unavailable { .. } | ModelError::Refused { .. } => second,
                        ModelError::Rejected { .. }
                        | ModelError::Nonsense { .. }
                        | ModelError::NoVector { .. } => error,
                    })?;
                    self.base64.store(false, Ordering::Relaxed);
                    response
                }
                Err(error) => return Err(error),
            }
        } else {
            self.in_decimals(inputs).await?
        };
        Ok(Embedded { vectors: self.checked(vectors, inputs.len())?, tokens: tokens.into(), left })
    }

    async fn in_base64(&self, inputs: &[String]) -> Result<(Vec<Indexed>, u32, Left), ModelError> {
        let request = self.wire(inputs, EncodingFormat::Base64);
        let (response, left) =
            self.server.request(self.server.client.embeddings().create_base64(request)).await?;
        let mut bytes = Vec::new();
        let mut decode = |text: &str| {
            bytes.clear();
            STANDARD.decode_vec(text, &mut bytes).ok()?;
            let (floats, rest) = bytes.as_chunks();
            rest.is_empty().then(|| floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
        };
        let vectors = response.data.iter().map(|entry| {
            let vector = decode(&entry.embedding.0);
            let vector =
                vector.ok_or_else(|| self.server.nonsense("a vector that is not base64".to_owned()))?;
            Ok((entry.index, vector))
        });
        Ok((vectors.collect::<Result<_, ModelError>>()?, response.usage.total_tokens, left))
    }

    async fn in_decimals(&self, inputs: &[String]) -> Result<(Vec<Indexed>, u32, Left), ModelError> {
        let request = self.wire(inputs, EncodingFormat::Float);
        let request = async {
            match self.server.client.embeddings().create(request).await {
                Ok(response) => {
                    let vectors = response.data.into_iter().map(|entry| (entry.index, entry.embedding));
                    Ok((vectors.collect(), response.usage.total_tokens))
                }
                Err(OpenAIError::JSONDeserialize(error, body)) => {
                    with_nulls(&body).ok_or(OpenAIError::JSONDeserialize(error, body))
                }
                Err(error) => Err(error),
            }
        };
        let ((vectors, tokens), left) = self.server.request(request).await?;
        Ok((vectors, tokens, left))
    }

    fn wire(&self, inputs: &[String], format: EncodingFormat) -> CreateEmbeddingRequest {
        // Only these models can shorten their vectors; others refuse the parameter.
        let shortens = self.model.name.starts_with("text-embedding-3");
        CreateEmbeddingRequest {
            model: self.model.name.clone(),
            input: EmbeddingInput::StringArray(inputs.to_vec()),
            encoding_format: Some(format),
            user: None,
            dimensions: shortens.then_some(self.model.dimensions),
        }
    }
}

impl Embedder for OpenAiEmbedder {
    fn embed<'a>(&'a self, inputs: &'a [String]) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        self.request(inputs).boxed()
    }
}

/// Answers prompts at a server.
pub struct OpenAiCompleter {
    server: Server,
    model: String,
    /// Whether the server gives answers piece by piece.
    streams: AtomicBool,
}

impl OpenAiCompleter {
    /// Uses this model of this server.
    pub fn new(server: Server, model: String) -> Self {
        Self { server, model, streams: AtomicBool::new(true) }
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

    async fn piece_by_piece(&self, prompt: &Prompt, heard: &Heard<'_>) -> Result<Completion, ModelError> {
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

    async fn request(&self, prompt: &Prompt, heard: Option<&Heard<'_>>) -> Result<Completion, ModelError> {
        let Some(heard) = heard.filter(|_| self.streams.load(Ordering::Relaxed)) else {
            return self.at_once(prompt).await;
        };
        match self.piece_by_piece(prompt, heard).await {
            // Not every server can.
            Err(ModelError::Rejected { reason, .. }) if reason.contains(ABOUT_STREAMING) => {
                let completion = self.at_once(prompt).await?;
                self.streams.store(false, Ordering::Relaxed);
                Ok(completion)
            }
            other => other,
        }
    }
}

fn completion(
    text: String,
    finish_reason: String,
    usage: Option<&CompletionUsage>,
    left: Left,
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
        heard: Option<&'a Heard<'a>>,
    ) -> BoxFuture<'a, Result<Completion, ModelError>> {
        self.request(prompt, heard).boxed()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_refusal_counts_by_its_status_whatever_its_body_is() {
        let server = Server::new("http://127.0.0.1:9", "shown".into(), None, Duration::from_secs(1)).unwrap();
        let html = || serde_json::from_str::<()>("<html>").unwrap_err();
        let of = |status: StatusCode| {
            let retry_after = Some(Duration::from_secs(7));
            let said = Said { status: Some(status), retry_after, left: Left::default() };
            server.classify(OpenAIError::JSONDeserialize(html(), "<html>".into()), said)
        };
        let waits =
            |error: &ModelError| matches!(error, ModelError::Unavailable { retry_after: Some(_), .. });
        assert!(waits(&of(StatusCode::TOO_MANY_REQUESTS)) && waits(&of(StatusCode::BAD_GATEWAY)));
        assert_eq!(of(StatusCode::UNAUTHORIZED).code(), "refused");
        assert_eq!(of(StatusCode::PAYLOAD_TOO_LARGE).code(), "rejected");
        assert_eq!(of(StatusCode::NOT_FOUND).code(), "nonsense");
        assert_eq!(of(StatusCode::OK).code(), "nonsense");
        assert!(!of(StatusCode::OK).to_string().contains("html"));
    }

    #[test]
    fn a_server_puts_us_off_for_an_hour_at_most() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter();
            let headers =
                pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            said(StatusCode::TOO_MANY_REQUESTS, &headers.collect()).retry_after
        };
        assert_eq!(of(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let hour = Some(Duration::from_hours(1));
        assert_eq!(of(&[("retry-after", "18446744073709551615")]), hour);
        assert_eq!(of(&[("retry-after-ms", "18446744073709551615")]), hour);
        assert_eq!(
            of(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "300000d")]),
            hour
        );
    }
}
