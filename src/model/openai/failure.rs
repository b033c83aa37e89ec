//! What a failed request means: whether the caller can try again, and when.

use std::time::Duration;

use async_openai::error::{ApiError, ApiErrorResponse, OpenAIError};
use reqwest::{StatusCode, header::HeaderMap};

use crate::{
    clock, http_client,
    model::{ModelError, RateLimitRemaining, openai::Server},
    retry_hint,
};

/// Longer waits that a server asks for are shortened to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Back-off for an overloaded server that sends no `Retry-After`.
const OVERLOADED_WAIT: Duration = Duration::from_secs(5);

/// What is known of a response before its body is read.
#[derive(Clone, Copy, Default)]
pub(super) struct ResponseHints {
    status: Option<StatusCode>,
    /// How long the server asks to wait.
    retry_after: Option<Duration>,
    pub left: RateLimitRemaining,
}

impl ResponseHints {
    /// Reads the wait and `x-ratelimit-remaining-…`.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let left = RateLimitRemaining {
            requests: number("x-ratelimit-remaining-requests"),
            tokens: number("x-ratelimit-remaining-tokens"),
        };
        let retry_after = retry_hint::retry_after(headers, clock::now(), LONGEST_RETRY_AFTER);
        Self { status: Some(status), retry_after, left }
    }
}

impl Server {
    /// Decides what the caller can do about an error.
    pub(super) fn classify(&self, error: OpenAIError, hints: ResponseHints) -> ModelError {
        let (server, retry_after) = (self.address.clone(), hints.retry_after);
        let refused = hints.status.filter(|status| status.is_client_error() || status.is_server_error());
        match (error, refused) {
            (OpenAIError::ApiError(response), _) => {
                tracing::trace!(server, "the model server says: {}", response.api_error.message);
                let code = response.api_error.code.as_deref().unwrap_or_default();
                self.refusal(response.status_code, code, without_text(&response), retry_after)
            }
            // A proxy's refusal has a body in another format.
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

    /// Classifies a response whose status is an error.
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
            // The address or the model's name is wrong, whatever the input is.
            _ => self.nonsense(reason),
        }
    }

    pub(super) fn nonsense(&self, reason: String) -> ModelError {
        ModelError::Nonsense { server: self.address.clone(), reason }
    }
}

/// Describes an error without quoting the text, which may hold a question.
fn fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "something is missing, or of another kind",
        _ => "it is none",
    };
    format!("{what}, at line {} and column {}", error.line(), error.column())
}

/// Describes an error by the protocol's own words: its message may quote a question, or a key.
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
            let hints = ResponseHints::new(status, &headers.collect());
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
}
