//! The types of single settings: what may be written for them, how they are shown, and what the fault says.

use std::{net::SocketAddr, num::NonZeroU32, str::FromStr, time::Duration};

use secrecy::SecretString;
use serde_json::Value as Json;

use super::{fault::nearest, tree::Value};
use crate::address::{DatabaseUrl, HIDDEN, HttpUrl};

/// A type that a setting can have. `read` says what is wrong, the section says where.
pub(crate) trait Setting: Sized {
    /// Whether the value may be written into the file, or must come from elsewhere.
    const SECRET: bool = false;

    /// Reads the value as it was written.
    fn read(value: &Value) -> Result<Self, String>;

    /// The value as `config show` prints it.
    fn show(&self) -> Json;
}

pub(super) fn wrong<T>(expected: &str, value: &Value) -> Result<T, String> {
    let written = match value {
        Value::Text(text) => format!("the string {text:?}"),
        Value::Integer(integer) => format!("the integer {integer}"),
        Value::Float(float) => format!("the number {float}"),
        Value::Boolean(boolean) => format!("the boolean {boolean}"),
        other => other.kind().to_owned(),
    };
    Err(format!("must be {expected}, not {written}"))
}

/// A value that text spells, as it does in an environment variable.
fn spelled<T: FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::Text(text) => text.parse().ok(),
        Value::Integer(integer) => integer.to_string().parse().ok(),
        Value::Float(float) => float.to_string().parse().ok(),
        Value::Boolean(boolean) => boolean.to_string().parse().ok(),
        Value::List(_) | Value::Table(_) => None,
    }
}

/// Settings that are written as JSON has them.
macro_rules! plain {
    ($($type:ty: $expected:literal $(if $holds:expr)?;)+) => {
        $(impl Setting for $type {
            fn read(value: &Value) -> Result<Self, String> {
                let read = spelled::<Self>(value)$(.filter($holds))?;
                read.map_or_else(|| wrong($expected, value), Ok)
            }

            fn show(&self) -> Json {
                Json::from(self.clone())
            }
        })+
    };
}

plain! {
    bool: "true or false";
    u32: "a whole number, 0 or more";
    u64: "a whole number, 0 or more";
    f64: "a number, 0 or more" if |number: &f64| number.is_finite() && *number >= 0.0;
}

impl Setting for NonZeroU32 {
    fn read(value: &Value) -> Result<Self, String> {
        spelled(value).map_or_else(|| wrong("a whole number, 1 or more", value), Ok)
    }

    fn show(&self) -> Json {
        self.get().into()
    }
}

/// A limit; 0 means no limit.
impl Setting for Option<u32> {
    fn read(value: &Value) -> Result<Self, String> {
        u32::read(value).map(|limit| Some(limit).filter(|limit| *limit > 0))
    }

    fn show(&self) -> Json {
        self.unwrap_or_default().into()
    }
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            other => wrong("a string", other),
        }
    }

    fn show(&self) -> Json {
        self.as_str().into()
    }
}

/// Written `"250ms"`, `"30s"`, `"10m"`, `"1h"`, `"90d"` or `"0"`.
impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, String> {
        let read = match value {
            Value::Text(text) if text == "0" => Some(Self::ZERO),
            Value::Text(text) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        let expected = "a length of time such as \"250ms\", \"30s\", \"10m\" or \"90d\"";
        read.map_or_else(|| wrong(expected, value), Ok)
    }

    /// In the largest unit that divides it.
    fn show(&self) -> Json {
        let milliseconds = self.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        let fits = units.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length));
        match fits {
            Some((unit, length)) if milliseconds > 0 => format!("{}{unit}", milliseconds / length).into(),
            _ => "0".into(),
        }
    }
}

/// A limit; `"0"` means no limit.
impl Setting for Option<Duration> {
    fn read(value: &Value) -> Result<Self, String> {
        Duration::read(value).map(|length| Some(length).filter(|length| !length.is_zero()))
    }

    fn show(&self) -> Json {
        self.unwrap_or_default().show()
    }
}

/// A key or a password.
impl Setting for SecretString {
    const SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) if text.is_empty() => Err("is empty".to_owned()),
            Value::Text(text) => Ok(text.as_str().into()),
            other => Err(format!("must be a string, not {}", other.kind())),
        }
    }

    fn show(&self) -> Json {
        HIDDEN.into()
    }
}

impl Setting for DatabaseUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "an address such as postgres://user@host/database";
        match value {
            // It may hold a password: it is not repeated.
            Value::Text(text) => text.parse().map_err(|_| format!("must be {expected}")),
            other => wrong(expected, other),
        }
    }

    fn show(&self) -> Json {
        self.to_string().into()
    }
}

impl Setting for HttpUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "an http or https address";
        match value {
            Value::Text(text) => text.parse().or_else(|_| {
                // It may contain a password in an unknown place.
                if text.contains(['@', '?']) {
                    Err(format!("must be {expected}"))
                } else {
                    wrong(expected, value)
                }
            }),
            other => wrong(expected, other),
        }
    }

    fn show(&self) -> Json {
        self.to_string().into()
    }
}

/// An address to listen on or to send to; the empty string switches it off.
macro_rules! switched_off_when_empty {
    ($($type:ty: $expected:expr;)+) => {
        $(impl Setting for Option<$type> {
            fn read(value: &Value) -> Result<Self, String> {
                let text = String::read(value)?;
                if text.is_empty() {
                    return Ok(None);
                }
                text.parse().map(Some).or_else(|_| wrong($expected, value))
            }

            fn show(&self) -> Json {
                self.as_ref().map(ToString::to_string).unwrap_or_default().into()
            }
        })+
    };
}

switched_off_when_empty! {
    SocketAddr: "an address and a port such as \"127.0.0.1:8080\"";
    HttpUrl: "an http or https address";
}

/// Keys that may be left out.
macro_rules! optional {
    ($($type:ty),+) => {
        $(impl Setting for Option<$type> {
            const SECRET: bool = <$type>::SECRET;

            fn read(value: &Value) -> Result<Self, String> {
                <$type>::read(value).map(Some)
            }

            fn show(&self) -> Json {
                self.as_ref().map_or(Json::Null, Setting::show)
            }
        })+
    };
}

optional! { String, f64, DatabaseUrl, SecretString }

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(items) => items.iter().map(|item| T::read(&item.value)).collect(),
            other => wrong("a list", other),
        }
    }

    fn show(&self) -> Json {
        self.iter().map(T::show).collect()
    }
}

/// Reads one of the words that an enum's variants are written as.
pub(super) fn word<T: FromStr>(words: &[&str], value: &Value) -> Result<T, String> {
    let words_list = words.join(", ");
    let Value::Text(text) = value else {
        return Err(format!("must be one of {words_list}, not {}", value.kind()));
    };
    text.parse().map_err(|_| {
        let near = nearest(text, words.iter().copied());
        let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        format!("must be one of {words_list}, not {text:?}{hint}")
    })
}

/// Makes settings of enums that derive strum's `EnumString`, `IntoStaticStr` and `VariantNames`.
macro_rules! words {
    ($($type:ty),+ $(,)?) => {
        $(impl Setting for $type {
            fn read(value: &Value) -> Result<Self, String> {
                word(<$type as strum::VariantNames>::VARIANTS, value)
            }

            fn show(&self) -> Json {
                <&str>::from(self).into()
            }
        })+
    };
}

words! {
    super::RequireToken, super::Overlap, super::Event, super::LogFormat, super::Retrieval,
    super::schedule::JobWord, super::source::KindWord, crate::queue::CatchUp, crate::source::feed::Format,
}

#[cfg(test)]
mod tests {
    use super::*;

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
