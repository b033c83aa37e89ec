//! What a failed request means: whether the caller can try again, and when.

use std::time::Duration;

use async_openai::error::OpenAIError;
use reqwest::{StatusCode, header::HeaderMap};

use crate::{
    clock, http_client,
    model::{
        ModelError, ModelFault, RateLimitRemaining, TokenUsage,
        openai::{Server, refusal::Refusal, refusal::is_page},
    },
    retry_hint,
};

/// Longer waits that a server asks for are shortened to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// How long a server with too many requests is left alone if it sends no `Retry-After`.
const OVERLOADED_WAIT: Duration = Duration::from_secs(5);
/// Words in a code or a type that say that someone must pay.
const ACCOUNT: [&str; 5] = ["quota", "billing", "credit", "balance", "payment"];

/// What is known of a response before its body is read.
#[derive(Clone, Copy, Default)]
pub(super) struct ResponseHints {
    pub status: Option<StatusCode>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    pub left: RateLimitRemaining,
    /// What was charged for a reply that failed on its way.
    pub spent: TokenUsage,
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
        Self { status: Some(status), retry_after, left, spent: TokenUsage::default() }
    }
}

/// A failed request, before it is decided what that means.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server says that it is an error.
    Refusal(Refusal),
    /// The vectors have another length than the settings say.
    OtherLength { length: usize, error: ModelError },
    /// Anything else.
    Other(ModelError),
}

impl Failure {
    /// Adds what was charged for it.
    pub(super) fn after(mut self, spent: TokenUsage) -> Self {
        if let Self::Other(error) = &mut self {
            error.spent = spent;
        }
        self
    }
}

impl Server {
    /// Tells refusals from other errors.
    pub(super) fn failure(&self, error: OpenAIError, hints: ResponseHints) -> Failure {
        let status = hints.status.unwrap_or_default();
        let unavailable = |reason, has_replied| {
            let fault =
                ModelFault::Unavailable { retry_after: hints.retry_after, has_replied, is_overloaded: false };
            Failure::Other(self.error(fault, reason))
        };
        match error {
            OpenAIError::Boxed(error) => match error.downcast::<Refusal>() {
                Ok(refusal) => Failure::Refusal(*refusal),
                Err(error) => Failure::Other(self.nonsense(error.to_string())),
            },
            OpenAIError::Reqwest(error) if error.is_timeout() => {
                unavailable("no answer in time".to_owned(), false)
            }
            OpenAIError::Reqwest(error) if error.is_builder() => {
                Failure::Other(self.error(ModelFault::Rejected, http_client::last_cause(&error)))
            }
            OpenAIError::Reqwest(error) => unavailable(http_client::last_cause(&error), false),
            OpenAIError::StreamError(error) => unavailable(http_client::last_cause(&*error), false),
            OpenAIError::JSONDeserialize(_, body) if is_page(body.as_bytes()) => {
                Failure::Refusal(Refusal::parse(status, body.as_bytes()))
            }
            OpenAIError::JSONDeserialize(error, body) => {
                tracing::trace!(server = self.address, body, "a reply is not the JSON that was expected");
                Failure::Other(self.nonsense(format!("not the JSON that was expected: {}", describe(&error))))
            }
            other => Failure::Other(self.nonsense(other.to_string())),
        }
    }

    /// Decides what a refusal means. `has_customer` leaves out the server's words, which may quote the question.
    pub(super) fn classify(&self, refusal: &Refusal, hints: ResponseHints, has_customer: bool) -> ModelError {
        let status = refusal.status;
        let unavailable = |retry_after| ModelFault::Unavailable {
            retry_after,
            has_replied: true,
            is_overloaded: status == StatusCode::SERVICE_UNAVAILABLE,
        };
        let signs = [refusal.code.to_lowercase(), refusal.kind.to_lowercase()];
        let is_account = ACCOUNT.iter().any(|word| signs.iter().any(|sign| sign.contains(word)));
        let fault = match status {
            _ if is_account => ModelFault::Refused,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => {
                ModelFault::Refused
            }
            // The address or the model's name is wrong, whatever the input is.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => ModelFault::Refused,
            _ if status.is_redirection() => ModelFault::Refused,
            StatusCode::TOO_MANY_REQUESTS => unavailable(Some(hints.retry_after.unwrap_or(OVERLOADED_WAIT))),
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => unavailable(hints.retry_after),
            _ if status.is_client_error() => ModelFault::Rejected,
            _ => unavailable(hints.retry_after),
        };
        // A refusal of a key may quote it; one of an address or a model's name quotes nobody.
        let is_key = is_account || matches!(status.as_u16(), 401..=403);
        let shows_words = !is_key && (!has_customer || fault == ModelFault::Refused);
        let reason = if shows_words { refusal.words() } else { refusal.signs() };
        ModelError { spent: hints.spent, ..self.error(fault, reason) }
    }

    pub(super) fn error(&self, fault: ModelFault, reason: String) -> ModelError {
        ModelError { server: self.address.clone(), fault, reason, spent: TokenUsage::default() }
    }

    pub(super) fn nonsense(&self, reason: String) -> ModelError {
        self.error(ModelFault::Nonsense, reason)
    }
}

/// Describes an error without quoting the text, which may hold a question.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "something is missing, or of another kind",
        _ => "it is none",
    };
    format!("{what}, at line {} and column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::model::openai::tests::server;

    fn fault(status: u16, code: &str, headers: &[(&'static str, &'static str)]) -> ModelFault {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = headers.iter();
        let headers =
            headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let hints = ResponseHints::new(status, &headers.collect());
        let refusal = Refusal { code: code.to_owned(), ..Refusal::new(status, "") };
        server().classify(&refusal, hints, true).fault
    }

    #[test]
    fn a_refusal_counts_by_what_it_means() {
        for status in [401, 402, 403, 404, 405, 410, 301] {
            assert_eq!(fault(status, "", &[]), ModelFault::Refused, "{status}");
        }
        for status in [400, 406, 413, 422, 431] {
            assert_eq!(fault(status, "", &[]), ModelFault::Rejected, "{status}");
        }
        for status in [408, 409, 429, 500, 502, 503, 529, 200] {
            assert!(matches!(fault(status, "", &[]), ModelFault::Unavailable { .. }), "{status}");
        }
        for code in ["insufficient_quota", "billing_hard_limit_reached", "exceeded_current_quota_error"] {
            assert_eq!(fault(429, code, &[]), ModelFault::Refused, "{code}");
        }
    }

    #[test]
    fn a_server_is_left_alone_for_a_second_to_an_hour_also_when_it_has_too_many_requests_and_does_not_say() {
        let wait = |status, headers: &[_]| match fault(status, "", headers) {
            ModelFault::Unavailable { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        };
        let (second, hour) = (Some(Duration::from_secs(1)), Some(Duration::from_hours(1)));
        assert_eq!(wait(429, &[]), Some(OVERLOADED_WAIT));
        for status in [429, 503] {
            assert_eq!(wait(status, &[("retry-after", "0")]), second);
            assert_eq!(wait(status, &[("retry-after", "86400")]), hour);
            assert_eq!(wait(status, &[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")]), hour);
        }
        assert_eq!(wait(500, &[]), None, "one request may fail");
    }

    #[test]
    fn words_that_may_quote_a_customer_or_a_key_are_left_out() {
        let refusal = |status| Refusal::new(status, "cannot embed: my phone is 0123");
        let said = |status, has_customer| {
            server().classify(&refusal(status), ResponseHints::default(), has_customer).to_string()
        };
        assert!(said(StatusCode::BAD_REQUEST, false).contains("0123"));
        assert!(!said(StatusCode::BAD_REQUEST, true).contains("0123"));
        assert!(!said(StatusCode::UNAUTHORIZED, false).contains("0123"));
    }
}
