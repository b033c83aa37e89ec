//! `[http]`: the two listeners.

use std::net::SocketAddr;

use url::Url;

use super::{ReadError, Section, table};

/// When the API requires a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RequireToken {
    Always,
    UnlessLoopback,
    Never,
}

table! {
    /// The listeners and their limits.
    pub struct Http, section {
        listen: Option<SocketAddr> = get(Some(loopback(8080))),
        admin_listen: Option<SocketAddr> = get(Some(loopback(8081))),
        cors_origins: Vec<String> = with(origins),
        require_token: RequireToken = get(RequireToken::UnlessLoopback),
        requests_per_minute: u32 = get(6000),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// An origin must be spelled as browsers send it; any other spelling would never match.
fn origins(section: &Section<'_>, key: &str) -> Result<Vec<String>, ReadError> {
    let origins: Vec<String> = section.get(key, Vec::new())?;
    for text in &origins {
        let url = Url::parse(text).ok().filter(Url::has_host);
        let origin = url.map(|url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
        });
        if origin.as_ref() != Some(text) {
            let hint = origin.map(|origin| format!("; did you mean {origin:?}?")).unwrap_or_default();
            let message =
                format!("must be origins such as \"https://shop.example\", with no path, not {text:?}{hint}");
            section.fault(key, message);
        }
    }
    Ok(origins)
}
