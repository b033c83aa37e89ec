//! The cryptography of every client: whoever makes one sees to it first.

/// Has TLS done by ring. The first caller in the process decides; it is the same each time.
pub fn prepare() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
