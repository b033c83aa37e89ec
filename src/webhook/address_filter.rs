//! Refuses addresses of private networks.
//!
//! A name is resolved for each connection, which is made to the addresses that were checked: a name that resolves to
//! another address a moment later changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::DeliveryError;

/// Checks an address that the URL itself names. No name is resolved for it.
pub(super) fn check_literal(url: &Url, allow_private: bool) -> Result<(), DeliveryError> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return Ok(()),
    };
    if allow_private || is_public(address) {
        return Ok(());
    }
    Err(DeliveryError::Private(address.to_string()))
}

/// Resolves names to allowed addresses.
pub(super) struct Resolver {
    pub allow_private: bool,
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

/// Returns the allowed addresses of a name.
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
