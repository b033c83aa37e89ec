//! Delivers what other services want to be told, signed as Standard Webhooks says.
//!
//! An address is looked at when the connection is made, after its name was resolved: one of a private network is
//! refused unless the settings allow it, whatever a name says a moment later. Redirects are not followed.

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

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest that a receiver can put us off, whatever its `Retry-After` says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// One receiver.
pub struct Webhook {
    url: Url,
    signer: standardwebhooks::Webhook,
    client: reqwest::Client,
    allow_private: bool,
}

/// Why a receiver was not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// It answered something else than success: it may later, not before `retry_after`.
    #[error("the receiver answered {code}")]
    Refused {
        /// The status.
        code: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It answered that it will never want this again.
    #[error("the receiver answered 410: it is gone")]
    Gone,
    /// It could not be reached, or not in time.
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(String),
    /// Its address is one of a private network.
    #[error("{0} is an address of a private network; webhook.allow_private_addresses would allow it")]
    Private(String),
}

/// Why a receiver cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The secret is not base64.
    #[error("the secret of the webhook is not whsec_ and base64")]
    Secret,
    /// The HTTP client cannot be made.
    #[error("{0}")]
    Client(String),
}

impl Webhook {
    /// Prepares a receiver; nothing is sent yet.
    pub fn new(url: Url, secret: &str, allow_private: bool) -> Result<Self, WebhookError> {
        let signer = standardwebhooks::Webhook::new(secret).map_err(|_| WebhookError::Secret)?;
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(Guard { allow_private }))
            .user_agent(concat!("shopkeeper/", env!("CARGO_PKG_VERSION")));
        let client = http_client::client(client).map_err(WebhookError::Client)?;
        Ok(Self { url, signer, client, allow_private })
    }

    /// Tells the receiver; says with which status it took it. A second time with the same `id` is the same message.
    pub async fn deliver(&self, id: Uuid, body: &str, now: DateTime<Utc>) -> Result<u16, NotDelivered> {
        self.check_literal()?;
        let (id, timestamp) = (id.to_string(), now.timestamp());
        let signature = self.signer.sign(&id, timestamp, body.as_bytes());
        let signature = signature.map_err(|error| NotDelivered::Unreachable(error.to_string()))?;
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(standardwebhooks::HEADER_WEBHOOK_ID, id)
            .header(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, timestamp)
            .header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature)
            .body(body.to_owned());
        let response = request.send().await.map_err(reason)?;
        let retry_after = retry_hint::retry_after(response.headers(), clock::now(), LONGEST_RETRY_AFTER);
        match response.status() {
            status if status.is_success() => Ok(status.as_u16()),
            StatusCode::GONE => Err(NotDelivered::Gone),
            status => Err(NotDelivered::Refused { code: status.as_u16(), retry_after }),
        }
    }

    /// An address that is written in numbers is never resolved.
    fn check_literal(&self) -> Result<(), NotDelivered> {
        let address = match self.url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        if self.allow_private || is_public(address) {
            return Ok(());
        }
        Err(NotDelivered::Private(address.to_string()))
    }
}

fn reason(error: reqwest::Error) -> NotDelivered {
    let error = error.without_url();
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    for cause in causes {
        if let Some(private) = cause.downcast_ref::<NotDelivered>() {
            return private.clone();
        }
    }
    let reason =
        if error.is_timeout() { "no answer in time".to_owned() } else { http_client::last_cause(&error) };
    NotDelivered::Unreachable(reason)
}

/// Resolves names to addresses that may be connected to.
struct Guard {
    allow_private: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed(found, allow_private)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Those of the addresses of a name that may be connected to. It is asked for each connection, and the connection is
/// made to what it gives: a name that means something else a moment later changes nothing.
fn allowed(
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, NotDelivered> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        found.partition(|address| allow_private || is_public(address.ip()));
    match (allowed.is_empty(), refused.first()) {
        (true, Some(address)) => Err(NotDelivered::Private(address.ip().to_string())),
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
    // Those that carry another address: mapped, translated (NAT64), 6to4.
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // What is global is given out of 2000::/3; of that, documentation and Teredo are not.
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
            Ok::<_, NotDelivered>(allowed.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["1.1.1.1"]).unwrap(), ["1.1.1.1"]);
        assert_eq!(of(&["127.0.0.1", "1.1.1.1"]).unwrap(), ["1.1.1.1"]);
        assert_eq!(of(&["169.254.169.254"]), Err(NotDelivered::Private("169.254.169.254".to_owned())));
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
