//! HTTP clients that speak TLS: the cryptography is chosen in one place, and the system's CA certificates are read once.

use std::sync::OnceLock;

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;

/// Has TLS done by ring. The first caller in the process decides; it is the same each time.
pub fn prepare() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Makes an HTTP client, or says why that cannot be done and what helps.
pub fn client(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    static CONFIG: OnceLock<Result<ClientConfig, rustls::Error>> = OnceLock::new();
    prepare();
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        format!(
            "cannot create an HTTP client: {}\n  install the system's CA certificates (on Debian: apt install \
             ca-certificates), or name a file of them in SSL_CERT_FILE",
            last_cause(error)
        )
    };
    let config = CONFIG.get_or_init(ClientConfig::with_platform_verifier).as_ref();
    let config = config.map_err(|error| unusable(error))?.clone();
    builder.tls_backend_preconfigured(config).build().map_err(|error| unusable(&error))
}

/// What an error came of in the end: an HTTP client's own words say little, and may name an address with a password.
pub fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |cause| cause.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
