//! The only model client: async-openai against any server that speaks `OpenAI`'s protocol.
//!
//! Nothing is retried here: jobs are, with the wait that the server asks for. What the server says is
//! counted and measured once, here, and trusted afterwards.

use std::{cell::Cell, sync::OnceLock, time::Duration};

use async_openai::{
    Client,
    config::Config,
    error::{ApiError, ApiErrorResponse, OpenAIError},
    middleware::{HttpRequestFactory, ReqwestService},
    types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::SecretString;
use tower::ServiceExt;

use crate::{
    clock, http_client,
    model::{Embedder, EmbeddingModel, Embeddings, ModelError, RateLimitRemaining, RetryPermit},
    retry_hint,
};

mod completer;
mod vectors;

pub use completer::OpenAiCompleter;
use vectors::{Indexed, with_nulls};

tokio::task_local! {
    /// What the headers say of the response to the request under way.
    static HINTS: Cell<ResponseHints>;
}

/// What a response says before its body is read: the status, and the server's limits.
#[derive(Clone, Copy, Default)]
struct ResponseHints {
    status: Option<StatusCode>,
    /// When it asks to be tried again.
    retry_after: Option<Duration>,
    left: RateLimitRemaining,
}

/// Where a model is and what may be asked of it.
pub struct Server {
    client: Client<Access>,
    /// Its address as it may be told.
    address: String,
}

/// How requests reach a server. async-openai's own configuration sends `Authorization: Bearer ` also without a key, and
/// takes an organization and a project from the environment whichever server they are for.
struct Access {
    base_url: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Access {
    /// A key that no header can carry is an error, which does not quote it.
    fn new(base_url: &str, key: Option<&str>) -> Result<Self, &'static str> {
        let mut headers = HeaderMap::new();
        let key = key.unwrap_or_default();
        if !key.is_empty() {
            let bearer = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut bearer = bearer.map_err(|_| "its key has characters that no HTTP header may have")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), key: key.into(), headers })
    }
}

impl Config for Access {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

impl Server {
    /// Prepares a client; nothing is sent yet. Without a key, no `Authorization` header is sent. The address is
    /// told in errors as `shown`: it may hold a password.
    pub fn new(
        base_url: &str,
        shown: String,
        api_key: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, ModelError> {
        let unusable = |reason| ModelError::Rejected { server: shown.clone(), reason };
        let http = reqwest::Client::builder().timeout(timeout).connect_timeout(timeout.min(CONNECT_TIMEOUT));
        let http = http_client::client(http).map_err(unusable)?;
        let access = Access::new(base_url, api_key).map_err(|reason| unusable(reason.to_owned()))?;
        let service = ReqwestService::new(http.clone());
        let noting = tower::service_fn(move |request: HttpRequestFactory| {
            let service = service.clone();
            async move {
                let response = service.oneshot(request).await?;
                HINTS.with(|cell| cell.set(hints(response.status(), response.headers())));
                Ok::<_, OpenAIError>(response)
            }
        });
        Ok(Self { client: Client::build(http, access).with_http_service(noting), address: shown })
    }

    /// Runs one request and says what its failure means; with what the server says may still be asked.
    async fn request<T>(
        &self,
        request: impl Future<Output = Result<T, OpenAIError>>,
    ) -> Result<(T, RateLimitRemaining), ModelError> {
        HINTS
            .scope(Cell::default(), async {
                let result = request.await;
                let hints = HINTS.with(Cell::get);
                let response = result.map_err(|error| self.classify(error, hints))?;
                Ok((response, hints.left))
            })
            .await
    }

    fn classify(&self, error: OpenAIError, hints: ResponseHints) -> ModelError {
        let (server, retry_after) = (self.address.clone(), hints.retry_after);
        let refused = hints.status.filter(|status| status.is_client_error() || status.is_server_error());
        match (error, refused) {
            (OpenAIError::ApiError(response), _) => {
                tracing::trace!(server, "the model server says: {}", response.api_error.message);
                let code = response.api_error.code.as_deref().unwrap_or_default();
                self.refusal(response.status_code, code, without_text(&response), retry_after)
            }
            // A proxy's refusal has a body of its own kind.
            (_, Some(status)) => self.refusal(status, "", status.to_string(), retry_after),
            (OpenAIError::Reqwest(error), None) => {
                let reason = if error.is_timeout() {
                    "no answer in time".to_owned()
                } else {
                    http_client::last_cause(&error)
                };
                ModelError::Unavailable { server, reason, retry_after }
            }
            (OpenAIError::JSONDeserialize(error, _), None) => {
                self.nonsense(format!("not the JSON that was expected: {}", fault(&error)))
            }
            (OpenAIError::StreamError(error), None) => {
                ModelError::Unavailable { server, reason: http_client::last_cause(&*error), retry_after }
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
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let retry_after = Some(retry_after.unwrap_or(OVERLOADED_WAIT));
                ModelError::Unavailable { server, reason, retry_after }
            }
            status
                if status.is_server_error()
                    || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT) =>
            {
                ModelError::Unavailable { server, reason, retry_after }
            }
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                ModelError::Rejected { server, reason }
            }
            // The address or the model's name is wrong: no other input would be taken, and this may pass.
            _ => self.nonsense(reason),
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
    let ApiError { r#type, code, param, .. } = &response.api_error;
    let words = [("type", r#type), ("code", code), ("param", param)];
    let said: Vec<_> =
        words.iter().filter_map(|(name, word)| Some(format!("{name} {}", word.as_ref()?))).collect();
    if said.is_empty() {
        return response.status_code.to_string();
    }
    format!("{} ({})", response.status_code, said.join(", "))
}

/// The longest that a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that a server can put us off, whatever it says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Back-off for an overloaded server that sends no `Retry-After`.
const OVERLOADED_WAIT: Duration = Duration::from_secs(5);

/// What is said before the body: the status, when to ask again, and `x-ratelimit-remaining-…`.
fn hints(status: StatusCode, headers: &HeaderMap) -> ResponseHints {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let left = RateLimitRemaining {
        requests: number("x-ratelimit-remaining-requests"),
        tokens: number("x-ratelimit-remaining-tokens"),
    };
    let retry_after = retry_hint::retry_after(headers, clock::now(), LONGEST_RETRY_AFTER);
    ResponseHints { status: Some(status), retry_after, left }
}

/// Repeats a request in another format while it is unknown whether the format or the input was refused; `refused` is
/// the first error.
async fn otherwise<T>(
    refused: ModelError,
    again: &RetryPermit<'_>,
    other: impl Future<Output = Result<T, ModelError>>,
) -> Result<T, ModelError> {
    if !again().await {
        return Err(refused);
    }
    other.await.map_err(|second| match second {
        ModelError::Unavailable { .. } | ModelError::Refused { .. } => second,
        ModelError::Rejected { .. } | ModelError::Nonsense { .. } | ModelError::NoVector { .. } => refused,
    })
}

/// Vectors, the tokens that were charged for them, and the limits that are left.
type EmbeddingReply = (Vec<Indexed>, u32, RateLimitRemaining);

/// Makes vectors at a server.
pub struct OpenAiEmbedder {
    server: Server,
    model: EmbeddingModel,
    /// The format that this server is known to give. Base64, which is tried first, is a third of the bytes of numbers in
    /// decimals.
    format: OnceLock<EncodingFormat>,
}

impl OpenAiEmbedder {
    /// Uses this model of this server.
    pub fn new(server: Server, model: EmbeddingModel) -> Self {
        Self { server, model, format: OnceLock::new() }
    }

    async fn request(&self, inputs: &[String], again: &RetryPermit<'_>) -> Result<Embeddings, ModelError> {
        let (vectors, tokens, left) = match self.format.get() {
            Some(EncodingFormat::Base64) => self.in_base64(inputs).await?,
            Some(EncodingFormat::Float) => self.in_decimals(inputs).await?,
            None => self.in_either(inputs, again).await?,
        };
        Ok(Embeddings { vectors: self.checked(vectors, inputs.len())?, tokens: tokens.into(), left })
    }

    /// Finds out which format the server gives.
    async fn in_either(
        &self,
        inputs: &[String],
        again: &RetryPermit<'_>,
    ) -> Result<EmbeddingReply, ModelError> {
        let (format, response) = match self.in_base64(inputs).await {
            Err(error @ (ModelError::Rejected { .. } | ModelError::Nonsense { .. })) => {
                let response = otherwise(error, again, self.in_decimals(inputs)).await?;
                (EncodingFormat::Float, response)
            }
            response => (EncodingFormat::Base64, response?),
        };
        // Another request may have found out meanwhile: both formats are given then.
        let _ = self.format.set(format);
        Ok(response)
    }

    async fn in_base64(&self, inputs: &[String]) -> Result<EmbeddingReply, ModelError> {
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

    async fn in_decimals(&self, inputs: &[String]) -> Result<EmbeddingReply, ModelError> {
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
    fn embed<'a>(
        &'a self,
        inputs: &'a [String],
        again: &'a RetryPermit<'a>,
    ) -> BoxFuture<'a, Result<Embeddings, ModelError>> {
        self.request(inputs, again).boxed()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    #[test]
    fn a_refusal_counts_by_its_status_whatever_its_body_is() {
        let server = Server::new("http://127.0.0.1:9", "shown".into(), None, Duration::from_secs(1)).unwrap();
        let html = || serde_json::from_str::<()>("<html>").unwrap_err();
        let of = |status: StatusCode| {
            let retry_after = Some(Duration::from_secs(7));
            let said =
                ResponseHints { status: Some(status), retry_after, left: RateLimitRemaining::default() };
            server.classify(OpenAIError::JSONDeserialize(html(), "<html>".into()), said)
        };
        let waits =
            |error: &ModelError| matches!(error, ModelError::Unavailable { retry_after: Some(_), .. });
        assert!(waits(&of(StatusCode::TOO_MANY_REQUESTS)) && waits(&of(StatusCode::BAD_GATEWAY)));
        assert_eq!(of(StatusCode::UNAUTHORIZED).code(), "refused");
        assert_eq!(of(StatusCode::PAYLOAD_TOO_LARGE).code(), "rejected");
        assert_eq!(of(StatusCode::UNPROCESSABLE_ENTITY).code(), "rejected");
        assert_eq!(of(StatusCode::NOT_FOUND).code(), "nonsense");
        assert_eq!(of(StatusCode::OK).code(), "nonsense");
        assert!(!of(StatusCode::OK).to_string().contains("html"));
    }

    #[test]
    fn an_overloaded_server_is_left_alone_for_a_second_to_an_hour_also_when_it_does_not_say_how_long() {
        let server = Server::new("http://127.0.0.1:9", "shown".into(), None, Duration::from_secs(1)).unwrap();
        let of = |status: StatusCode, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter();
            let headers =
                headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let hints = hints(status, &headers.collect());
            let error = OpenAIError::InvalidArgument(String::new());
            match server.classify(error, hints) {
                ModelError::Unavailable { retry_after, .. } => retry_after,
                other => panic!("{other}"),
            }
        };
        let (second, hour) = (Some(Duration::from_secs(1)), Some(Duration::from_hours(1)));
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            assert_eq!(of(status, &[]), Some(OVERLOADED_WAIT));
            assert_eq!(of(status, &[("retry-after", "0")]), second);
            assert_eq!(of(status, &[("retry-after", "86400")]), hour);
            assert_eq!(of(status, &[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")]), hour);
        }
        assert_eq!(of(StatusCode::INTERNAL_SERVER_ERROR, &[]), None, "one request may fail");
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_an_error_that_does_not_quote_it() {
        let error = Server::new("http://127.0.0.1:9", "shown".into(), Some("sk\n1"), Duration::from_secs(1));
        let error = error.err().unwrap().to_string();
        assert!(error.contains("its key has characters") && !error.contains("sk"), "{error}");
    }
}
