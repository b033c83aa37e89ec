//! HTTP clients that speak TLS: the cryptography is chosen in one place.

/// Has TLS done by ring. The first caller in the process decides; it is the same each time.
pub fn prepare() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Makes an HTTP client, or says why that cannot be done and what helps.
pub fn client(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    prepare();
    builder.build().map_err(|error| {
        format!(
            "cannot create an HTTP client: {}\n  install the system's CA certificates (on Debian: apt install \
             ca-certificates), or name a file of them in SSL_CERT_FILE",
            last_cause(&error)
        )
    })
}

/// What an error came of in the end: an HTTP client's own words say little, and may name an address with a password.
pub fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |cause| cause.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
