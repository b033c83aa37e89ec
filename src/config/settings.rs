//! The types of single settings: what may be written for them, and what is said when it is wrong.

use std::{fmt, num::NonZeroU32, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use url::Url;

use super::{reader::Setting, tree::Value};

fn wrong<T>(expected: &str, value: &Value) -> Result<T, String> {
    let written = match value {
        Value::Text(text) => format!("the string {text:?}"),
        Value::Integer(integer) => format!("the integer {integer}"),
        Value::Float(float) => format!("the number {float}"),
        Value::Boolean(boolean) => format!("the boolean {boolean}"),
        other => other.kind().to_owned(),
    };
    Err(format!("must be {expected}, not {written}"))
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            other => wrong("a string", other),
        }
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Boolean(boolean) => Ok(*boolean),
            Value::Text(text) if text == "true" => Ok(true),
            Value::Text(text) if text == "false" => Ok(false),
            other => wrong("true or false", other),
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

impl Setting for u32 {
    fn read(value: &Value) -> Result<Self, String> {
        integer(value)
            .and_then(|integer| Self::try_from(integer).ok())
            .map_or_else(|| wrong("a whole number, 0 or more", value), Ok)
    }
}

impl Setting for NonZeroU32 {
    fn read(value: &Value) -> Result<Self, String> {
        integer(value)
            .and_then(|integer| u32::try_from(integer).ok())
            .and_then(Self::new)
            .map_or_else(|| wrong("a whole number, 1 or more", value), Ok)
    }
}

/// A number that is not negative and not infinite: money, a temperature, a distance.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Amount(pub f64);

impl Setting for Amount {
    fn read(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Float(float) => Some(*float),
            #[expect(clippy::cast_precision_loss, reason = "settings are small")]
            Value::Integer(integer) => Some(*integer as f64),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite() && *number >= 0.0)
            .map_or_else(|| wrong("a number, 0 or more", value), |number| Ok(Self(number)))
    }
}

/// A length of time, written `"250ms"`, `"30s"`, `"10m"`, `"1h"`, `"90d"` or `"0"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Span(pub Duration);

impl Setting for Span {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "a length of time such as \"250ms\", \"30s\", \"10m\" or \"90d\"";
        match value {
            Value::Text(text) if text == "0" => Ok(Self(Duration::ZERO)),
            Value::Text(text) => {
                humantime::parse_duration(text).map(Self).or_else(|_| wrong(expected, value))
            }
            other => wrong(expected, other),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As it is written: in the largest unit that is enough.
        let milliseconds = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
        match units.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length)) {
            _ if milliseconds == 0 => serializer.serialize_str("0"),
            Some((unit, length)) => serializer.collect_str(&format_args!("{}{unit}", milliseconds / length)),
            None => serializer.collect_str(&format_args!("{milliseconds}ms")),
        }
    }
}

/// A value that is never printed: a key, or a password.
#[derive(Clone, Debug)]
pub struct Secret(pub SecretString);

impl Setting for Secret {
    const SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) if text.is_empty() => Err("is empty".to_owned()),
            Value::Text(text) => Ok(Self(text.as_str().into())),
            other => Err(format!("must be a string, not {}", other.kind())),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// What is shown in the place of a secret.
const HIDDEN: &str = "********";

/// An address as it may be shown: without its password, and without its query where that may hold a secret. Of a web
/// server each query may, and so may a user without a password, since tokens are written there too.
fn redacted(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return HIDDEN.to_owned() };
    let is_database = is_database(&url);
    let hides_query = if is_database { has_password_key(&url) } else { url.query().is_some() };
    if hides_query {
        url.set_query(Some(HIDDEN));
    }
    let hidden = if url.password().is_some() {
        url.set_password(Some(HIDDEN))
    } else if !is_database && !url.username().is_empty() {
        url.set_username(HIDDEN)
    } else {
        Ok(())
    };
    hidden.map_or_else(|()| HIDDEN.to_owned(), |()| url.into())
}

fn is_database(url: &Url) -> bool {
    matches!(url.scheme(), "postgres" | "postgresql")
}

fn has_password_key(url: &Url) -> bool {
    url.query_pairs().any(|(key, _)| key == "password")
}

/// The address of a PostgreSQL database; its password is never printed.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The whole address, with the password: for connecting only.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether the address holds a password, and so must not stand in the file.
    pub(crate) fn has_password(&self) -> bool {
        Url::parse(self.expose()).is_ok_and(|url| url.password().is_some() || has_password_key(&url))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.expose()))
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&redacted(self.expose()))
    }
}

impl Setting for DatabaseUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "an address such as postgres://user@host/database";
        let Value::Text(text) = value else {
            return Err(format!("must be {expected}, not {}", value.kind()));
        };
        let known = Url::parse(text).is_ok_and(|url| is_database(&url));
        if known { Ok(Self(text.as_str().into())) } else { Err(format!("must be {expected}")) }
    }
}

/// An http or https address; what may be a secret in it, a password or a token, is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// The whole address: for asking there only.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.0.as_str()))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HttpUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Setting for HttpUrl {
    fn read(value: &Value) -> Result<Self, String> {
        const EXPECTED: &str = "an http or https address";
        let Value::Text(text) = value else { return wrong(EXPECTED, value) };
        let url = Url::parse(text).ok();
        match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            Some(url) => Ok(Self(url)),
            // There may be a password in it, and nobody can tell where.
            None if text.contains(['@', '?']) => Err(format!("must be {EXPECTED}")),
            None => wrong(EXPECTED, value),
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(items) => items.iter().map(|item| T::read(&item.value)).collect(),
            other => wrong("a list", other),
        }
    }
}

/// Declares an enum whose variants are written as words, with the words in one place.
macro_rules! words {
    ($(#[$doc:meta])* $visibility:vis $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        $visibility enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// As it is written.
            $visibility fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl $crate::config::reader::Setting for $name {
            fn read(value: &$crate::config::tree::Value) -> Result<Self, String> {
                let all = [$(Self::$variant),+];
                let words = all.map(Self::word);
                let $crate::config::tree::Value::Text(text) = value else {
                    return Err(format!("must be one of {}, not {}", words.join(", "), value.kind()));
                };
                all.into_iter().find(|known| known.word() == text).ok_or_else(|| {
                    let near = $crate::config::fault::nearest(text, words.into_iter());
                    let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                    format!("must be one of {}, not {text:?}{hint}", words.join(", "))
                })
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_is_secret_in_it() {
        for (address, shown) in [
            ("postgres://a:s3cret@h/d?sslmode=require", "postgres://a:********@h/d?sslmode=require"),
            ("postgres://a@h/d?password=s3cret", "postgres://a@h/d?********"),
            ("postgresql://a:s3cret@h/d?pass%77ord=s3cret", "postgresql://a:********@h/d?********"),
            ("https://u:s3cret@h/feed?token=s3cret", "https://u:********@h/feed?********"),
            ("https://s3cret@h/v1", "https://********@h/v1"),
            ("http://h:8000/v1", "http://h:8000/v1"),
            ("host=h password=s3cret", "********"),
        ] {
            assert_eq!(redacted(address), shown);
        }
    }

    #[test]
    fn what_is_no_web_address_is_told_without_what_may_be_secret_in_it() {
        let told = |text: &str| HttpUrl::read(&Value::Text(text.to_owned())).unwrap_err();
        assert_eq!(
            told("api.example/v1"),
            "must be an http or https address, not the string \"api.example/v1\""
        );
        for text in ["u:s3cret@h/v1", "ftp://u:s3cret@h/v1", "h/v1?key=s3cret", "https://u:s3cret@/v1"] {
            assert_eq!(told(text), "must be an http or https address");
        }
    }
}
