//! The small sections of `jobs.toml`: each key, its default, and what must agree.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    reader::{ReadError, Section},
    table::table,
};
use crate::{
    address::{DatabaseUrl, HttpUrl},
    job::Backoff,
    queue::{self, Limits},
    retention::Retention,
    store::DatabaseSettings,
};

/// Statements that wait for a lock must leave connections for others.
const LEAST_CONNECTIONS: u32 = 4;

table! {
    DatabaseSettings, section {
        url: with(database_url),
        direct_url: with(optional_database_url),
        read_url: with(optional_database_url),
        max_connections: with(max_connections),
        statement_timeout: get(seconds(30)),
    }
}

fn max_connections(section: &Section<'_>, key: &str) -> Result<u32, ReadError> {
    section.checked(key, 20, |connections| match *connections {
        LEAST_CONNECTIONS.. => Ok(()),
        _ => Err(format!(
            "must be at least {LEAST_CONNECTIONS}, since what waits for a lock is not to keep others from their work: \
             not {connections}"
        )),
    })
}

/// An address that is `$DATABASE_URL` when it was left out.
pub(super) fn database_url(section: &Section<'_>, key: &str) -> Result<DatabaseUrl, ReadError> {
    optional_database_url(section, key)?
        .ok_or_else(|| section.fault(key, "is required, here or as the environment's DATABASE_URL"))
}

/// An address whose password, if it has one, is not in the file.
fn optional_database_url(section: &Section<'_>, key: &str) -> Result<Option<DatabaseUrl>, ReadError> {
    section.checked(key, None, |url: &Option<DatabaseUrl>| {
        let has_password = url.as_ref().is_some_and(DatabaseUrl::has_password);
        if has_password && section.is_literal(key) {
            let message = "holds a password and must not stand in the file: \
                           write { env = \"NAME\" } or { file = \"PATH\" }";
            return Err(message.to_owned());
        }
        Ok(())
    })
}

/// When the API asks for a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "named for the words")]
pub enum RequireToken {
    Always,
    UnlessLoopback,
    Never,
}

table! {
    /// `[http]`: the two listeners.
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

/// An origin must be written as a browser sends it; another spelling would never match.
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

table! {
    /// `[budget]`: dollars a day (UTC); zero is no limit.
    pub struct Budget, section {
        embedding_usd: f64 = get(0.0),
        answers_usd: f64 = get(0.0),
    }
}

table! {
    Retention, section {
        answers: get(Some(days(90))),
        job_history: get(Some(days(7))),
        deliveries: get(Some(days(30))),
    }
}

table! {
    /// `[queue.…]`: one section for each kind of job.
    pub struct Queues, section {
        refresh_document: Limits = table(),
        sync_catalogue: Limits = table(),
        answer_question: Limits = table(),
        deliver_webhook: Limits = table(),
        prune_history: Limits = table(),
        fill_index: Limits = table(),
        maintain_index: Limits = table(),
        eval: Limits = table(),
    }
}

table! {
    Limits, section {
        concurrency: with(|section, key| at_least_one(section, key, match section.path() {
            "queue.refresh_document" => 200,
            "queue.answer_question" | "queue.deliver_webhook" => 50,
            "queue.sync_catalogue" => 2,
            _ => 1,
        })),
        fleet_concurrency: get(None::<u32>),
        max_attempts: with(|section, key| at_least_one(section, key, 10)),
        ahead: hidden(|_: &Section<'_>, _: &str| Ok(queue::AHEAD)),
        lease: with(lease),
        backoff: table(),
    }
}

fn lease(section: &Section<'_>, key: &str) -> Result<Duration, ReadError> {
    section.checked(key, seconds(60), |lease| {
        let is_renewable = *lease >= seconds(1);
        is_renewable
            .then_some(())
            .ok_or("must be at least \"1s\", so that it can be renewed in time".to_owned())
    })
}

table! {
    Backoff, section { first: get(seconds(1)), max: get(seconds(600)) }
    check {
        if let (Ok(first), Ok(max)) = (&first, &max) && first > max {
            section.fault("first", "must not be longer than max");
        }
    }
}

/// The events that a webhook can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[expect(missing_docs, reason = "named for the words")]
pub enum Event {
    #[strum(serialize = "answer.completed")]
    AnswerCompleted,
    #[strum(serialize = "answer.failed")]
    AnswerFailed,
    #[strum(serialize = "answer.escalated")]
    AnswerEscalated,
}

table! {
    /// `[[webhook]]`: where results are delivered.
    pub struct Webhook, section {
        name: String = required(),
        url: HttpUrl = required(),
        secret: SecretString = with(signing_key),
        events: Vec<Event> = get(vec![Event::AnswerCompleted, Event::AnswerFailed, Event::AnswerEscalated]),
        allow_private_addresses: bool = get(false),
    }
}

/// A secret as Standard Webhooks has it.
fn signing_key(section: &Section<'_>, key: &str) -> Result<SecretString, ReadError> {
    let secret: SecretString = section.required(key)?;
    let encoded = secret.expose_secret().strip_prefix("whsec_");
    let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    if bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len())) {
        return Ok(secret);
    }
    Err(section.fault(key, "must be whsec_ and base64 of 24 to 64 random bytes"))
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "named for the words")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    Pretty,
    Json,
    Journald,
}

table! {
    /// `[telemetry]`: logs and traces.
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

pub(super) fn at_least_one(section: &Section<'_>, key: &str, default: u32) -> Result<u32, ReadError> {
    section.get(key, count(default)).map(NonZeroU32::get)
}

/// A default that is not zero.
pub(super) const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("defaults are constants above zero")
}

/// A default length of time.
pub(super) const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}
