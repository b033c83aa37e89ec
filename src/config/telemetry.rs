//! `[telemetry]`: logs and traces.

use super::{ReadError, Section, table};
use crate::address::HttpUrl;

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    Pretty,
    Json,
    Journald,
}

table! {
    /// Logs and traces.
    pub struct Telemetry, section {
        log: String = with(log_filter),
        log_format: LogFormat = get(LogFormat::Auto),
        otlp_endpoint: Option<HttpUrl> = get(None::<HttpUrl>),
    }
}

fn log_filter(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    section.checked(key, "info".to_owned(), |filter| match filter.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is not a tracing filter: {error}")),
    })
}
