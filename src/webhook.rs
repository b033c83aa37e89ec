//! Delivers messages to other services, signed by Standard Webhooks.
//!
//! Addresses are checked when the connection is made, after the name was resolved: one of a private network is refused
//! unless the settings allow it, even if the name resolves to another address a moment later. Redirects are not followed.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};
use url::{Host, Url};
use uuid::Uuid;

use crate::{clock, http_client, retry_hint};

pub mod job;

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
        self.check_literal()?;
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

    fn check_literal(&self) -> Result<(), DeliveryError> {
        let address = match self.url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        if self.allow_private || is_public(address) {
            return Ok(());
        }
        Err(DeliveryError::Private(address.to_string()))
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

struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(allowed(found, allow_private)?.into_iter()) as Addrs)
        })
    }
}

/// Returns the allowed addresses of a name. This runs for each connection, which is made to the result: a name that
/// resolves to another address a moment later changes nothing.
fn allowed(
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, DeliveryError> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        found.partition(|address| allow_private || is_public(address.ip()));
    match (allowed.is_empty(), refused.first()) {
        (true, Some(address)) => Err(DeliveryError::Private(address.ip().to_string())),
        _ => Ok(allowed),
    }
}

/// Whether an address is one of the public internet, by the registries of special addresses (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((a, b, c), (0 | 224.., ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Addresses that embed an IPv4 one: mapped, translated (NAT64), 6to4.
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // Global addresses are in 2000::/3, without documentation and Teredo.
        [0x2001, 0x0db8 | 0, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_changes_its_answer_no_private_address_is_ever_connected_to() {
        let of = |addresses: &[&str]| {
            let found = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0));
            let allowed = allowed(found, false)?;
            Ok::<_, DeliveryError>(allowed.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["1.1.1.1"]).unwrap(), ["1.1.1.1"]);
        assert_eq!(of(&["127.0.0.1", "1.1.1.1"]).unwrap(), ["1.1.1.1"]);
        assert_eq!(of(&["169.254.169.254"]), Err(DeliveryError::Private("169.254.169.254".to_owned())));
        let own = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        assert_eq!(allowed([own].into_iter(), true), Ok(vec![own]), "where the settings allow it");
    }

    #[test]
    fn addresses_of_private_networks_are_told_from_public_ones() {
        let public = ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "2002:0101:0101::"];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
