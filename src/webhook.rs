//! Delivers messages to other services, signed by Standard Webhooks.
//!
//! Addresses of private networks are refused unless the settings allow them (`webhook/address_filter.rs`). Redirects are
//! not followed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{StatusCode, header, redirect};
use url::Url;
use uuid::Uuid;

use crate::{clock, http_client, retry_hint};

mod address_filter;
pub mod job;

use address_filter::{Resolver, check_literal};

const TIMEOUT: Duration = Duration::from_secs(15);
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A receiver.
pub struct Webhook {
    url: Url,
    signer: standardwebhooks::Webhook,
    client: reqwest::Client,
    allow_private: bool,
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The receiver answered with an error; it may accept later, not before `retry_after`.
    #[error("the receiver answered {code}")]
    #[expect(missing_docs, reason = "the names say it")]
    Refused { code: u16, retry_after: Option<Duration> },
    /// The receiver will never accept messages again.
    #[error("the receiver answered 410: it is gone")]
    Gone,
    /// The receiver could not be reached, or not in time.
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(String),
    /// The receiver's address is in a private network.
    #[error("{0} is an address of a private network; webhook.allow_private_addresses would allow it")]
    Private(String),
    /// There is no such receiver.
    #[error("the settings of this daemon have no webhook `{0}`")]
    Unknown(String),
}

impl DeliveryError {
    /// The status code of the response, if there was one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Gone => Some(410),
            Self::Unreachable(_) | Self::Private(_) | Self::Unknown(_) => None,
        }
    }

    fn retry_after(&self) -> Duration {
        if let Self::Refused { retry_after, .. } = self {
            retry_after.unwrap_or_default()
        } else {
            Duration::ZERO
        }
    }
}

/// Why a receiver cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The secret is not base64.
    #[error("the secret of the webhook is not whsec_ and base64")]
    Secret,
    /// The HTTP client cannot be built.
    #[error("{0}")]
    Client(String),
}

impl Webhook {
    /// Prepares a receiver; sends nothing.
    pub fn new(url: Url, secret: &str, allow_private: bool) -> Result<Self, WebhookError> {
        let signer = standardwebhooks::Webhook::new(secret).map_err(|_| WebhookError::Secret)?;
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(Resolver { allow_private }))
            .user_agent(concat!("shopkeeper/", env!("CARGO_PKG_VERSION")));
        let client = http_client::client(client).map_err(WebhookError::Client)?;
        Ok(Self { url, signer, client, allow_private })
    }

    /// Sends a message; returns the status of the response. The receiver recognises a repeated message by its `id`.
    pub async fn deliver(&self, id: Uuid, body: &str, now: DateTime<Utc>) -> Result<u16, DeliveryError> {
        check_literal(&self.url, self.allow_private)?;
        let (id, timestamp) = (id.to_string(), now.timestamp());
        let signature = self.signer.sign(&id, timestamp, body.as_bytes());
        let signature = signature.map_err(|error| DeliveryError::Unreachable(error.to_string()))?;
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(standardwebhooks::HEADER_WEBHOOK_ID, id)
            .header(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, timestamp)
            .header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature)
            .body(body.to_owned());
        let response = request.send().await.map_err(reason)?;
        let retry_after = retry_hint::retry_after(response.headers(), clock::now(), MAX_RETRY_AFTER);
        match response.status() {
            status if status.is_success() => Ok(status.as_u16()),
            StatusCode::GONE => Err(DeliveryError::Gone),
            status => Err(DeliveryError::Refused { code: status.as_u16(), retry_after }),
        }
    }
}

fn reason(error: reqwest::Error) -> DeliveryError {
    let error = error.without_url();
    let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    if let Some(private) = causes.find_map(|cause| cause.downcast_ref::<DeliveryError>()) {
        return private.clone();
    }
    DeliveryError::Unreachable(if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        http_client::last_cause(&error)
    })
}
