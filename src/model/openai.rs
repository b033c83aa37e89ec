//! The only model client: async-openai against any server that speaks `OpenAI`'s protocol.
//!
//! Replies are read leniently: only vectors and texts must be there. Nothing is retried here but a request in a form
//! that the server accepts (`adapting.rs`): jobs are, after the wait that the server asks for. Responses are checked
//! once, here, and trusted afterwards.

use std::{cell::Cell, time::Duration};

use async_openai::{Client, error::OpenAIError, middleware::HttpRequestFactory};
use reqwest::redirect::Policy;
use serde_json::{Map, Value};

use crate::{
    http_client,
    model::{ModelError, ModelFault, TokenUsage},
};

mod access;
mod adapting;
mod completer;
mod embedder;
mod failure;
mod lenient;
mod refusal;
mod reranker;
mod thoughts;
mod transport;

use access::Access;
pub use access::ServerSettings;
pub use completer::{ChatSettings, OpenAiCompleter};
pub use embedder::{EmbeddingSettings, OpenAiEmbedder};
use failure::{Failure, ResponseHints};
pub use reranker::OpenAiReranker;

/// A client of one server.
pub struct Server {
    client: Client<Access>,
    /// Its address without secrets.
    address: String,
    extra_body: Map<String, Value>,
}

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Server {
    /// Prepares a client; nothing is sent yet.
    pub fn new(settings: ServerSettings) -> Result<Self, ModelError> {
        let unusable = |reason| ModelError {
            server: settings.shown.clone(),
            fault: ModelFault::Rejected,
            reason,
            spent: TokenUsage::default(),
        };
        let timeout = settings.timeout;
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .redirect(Policy::none());
        let http = http_client::client(http).map_err(unusable)?;
        let access = Access::new(&settings).map_err(unusable)?;
        let sender = http.clone();
        let service =
            tower::service_fn(move |request: HttpRequestFactory| transport::send(sender.clone(), request));
        let client = Client::build(http, access).with_http_service(service);
        Ok(Self { client, address: settings.shown, extra_body: settings.extra_body })
    }

    /// Runs one request. Returns also what the response's headers say.
    async fn request<T>(
        &self,
        request: impl Future<Output = Result<T, OpenAIError>>,
    ) -> Result<(T, ResponseHints), (Failure, ResponseHints)> {
        transport::HINTS
            .scope(Cell::default(), async {
                let result = request.await;
                let hints = transport::HINTS.with(Cell::get);
                match result {
                    Ok(reply) => Ok((reply, hints)),
                    Err(error) => Err((self.failure(error, hints), hints)),
                }
            })
            .await
    }

    /// Adds the settings' own keys to the JSON of a request.
    fn with_extra_body(
        &self,
        mut body: Map<String, Value>,
        extra: &Map<String, Value>,
    ) -> Map<String, Value> {
        body.extend(self.extra_body.iter().chain(extra).map(|(key, value)| (key.clone(), value.clone())));
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings() -> ServerSettings {
        ServerSettings {
            base_url: "http://127.0.0.1:9".to_owned(),
            shown: "shown".to_owned(),
            timeout: Duration::from_secs(1),
            ..ServerSettings::default()
        }
    }

    pub(super) fn server() -> Server {
        Server::new(settings()).unwrap()
    }

    #[test]
    fn a_key_or_a_header_that_http_cannot_carry_is_an_error_that_does_not_quote_it() {
        let key = ServerSettings { api_key: Some("sk\n1".into()), ..settings() };
        let header = ServerSettings { headers: vec![("api-key".to_owned(), "sk\n1".into())], ..settings() };
        for (settings, says) in [(key, "its key has"), (header, "the value of its header api-key has")] {
            let error = Server::new(settings).err().unwrap().to_string();
            assert!(error.contains(says) && !error.contains("sk"), "{error}");
        }
    }
}
