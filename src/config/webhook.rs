//! `[[webhook]]`: where results are delivered.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

use super::{ReadError, Section, table};
use crate::address::HttpUrl;

/// The events that a webhook can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Event {
    #[strum(serialize = "answer.completed")]
    AnswerCompleted,
    #[strum(serialize = "answer.failed")]
    AnswerFailed,
    #[strum(serialize = "answer.escalated")]
    AnswerEscalated,
    #[strum(serialize = "answer.outdated")]
    AnswerOutdated,
}

table! {
    /// A receiver of results.
    pub struct Webhook, section {
        name: String = required(),
        url: HttpUrl = required(),
        secret: SecretString = with(signing_key),
        events: Vec<Event> = get(vec![Event::AnswerCompleted, Event::AnswerFailed, Event::AnswerEscalated]),
        allow_private_addresses: bool = get(false),
    }
}

/// A secret in the format of Standard Webhooks.
fn signing_key(section: &Section<'_>, key: &str) -> Result<SecretString, ReadError> {
    let secret: SecretString = section.required(key)?;
    let encoded = secret.expose_secret().strip_prefix("whsec_");
    let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    if bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len())) {
        return Ok(secret);
    }
    Err(section.fault(key, "must be whsec_ and base64 of 24 to 64 random bytes"))
}
