//! The only model client: async-openai against any server that speaks `OpenAI`'s protocol.
//!
//! Nothing is retried here: jobs are, after the wait that the server asks for. Responses are checked once, here, and
//! trusted afterwards.

use std::{cell::Cell, time::Duration};

use async_openai::{
    Client,
    error::OpenAIError,
    middleware::{HttpRequestFactory, ReqwestService},
};
use tower::ServiceExt;

use crate::{
    http_client,
    model::{ModelError, RateLimitRemaining, RetryPermit},
};

mod access;
mod completer;
mod embedder;
mod failure;

use access::Access;
pub use completer::OpenAiCompleter;
pub use embedder::OpenAiEmbedder;
use failure::ResponseHints;

tokio::task_local! {
    /// The headers of the response to the task's request.
    static HINTS: Cell<ResponseHints>;
}

/// A client of one server.
pub struct Server {
    client: Client<Access>,
    /// Its address without secrets.
    address: String,
}

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Server {
    /// Prepares a client; nothing is sent yet. Without a key, no `Authorization` header is sent. `shown` is the address
    /// without secrets, for errors.
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
                HINTS.with(|cell| cell.set(ResponseHints::new(response.status(), response.headers())));
                Ok::<_, OpenAIError>(response)
            }
        });
        Ok(Self { client: Client::build(http, access).with_http_service(noting), address: shown })
    }

    /// Runs one request and classifies its failure. Returns what is left of the rate limit, too.
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
}

/// Repeats a request in another format, because it is not known whether the format or the input was refused. `refused`
/// is the first error.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_header_can_carry_is_an_error_that_does_not_quote_it() {
        let error = Server::new("http://127.0.0.1:9", "shown".into(), Some("sk\n1"), Duration::from_secs(1));
        let error = error.err().unwrap().to_string();
        assert!(error.contains("its key has characters") && !error.contains("sk"), "{error}");
    }
}
