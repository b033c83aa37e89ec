//! The types of single settings: what may be written, how they are shown, and what the fault says.

use std::{net::SocketAddr, num::NonZeroU32, str::FromStr, time::Duration};

use serde_json::{Value as Json, json};

use super::tree::Value;

mod auto;
mod option;
mod secret;
mod word;

/// The type of a setting. `read` says what is wrong; the section says where.
pub(crate) trait Setting: Sized {
    /// Whether the value must come from outside the file.
    const SECRET: bool = false;

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

/// Parses a scalar; in an environment variable it is text.
fn spelled<T: FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::Text(text) => text.parse().ok(),
        Value::Integer(integer) => integer.to_string().parse().ok(),
        Value::Float(float) => float.to_string().parse().ok(),
        Value::Boolean(boolean) => boolean.to_string().parse().ok(),
        Value::List(_) | Value::Table(_) => None,
    }
}

/// Settings that are shown as JSON has them.
macro_rules! plain {
    ($($type:ty: $expected:literal $(if $holds:expr)?;)+) => {
        $(impl Setting for $type {
            fn read(value: &Value) -> Result<Self, String> {
                let read = spelled::<Self>(value)$(.filter($holds))?;
                read.map_or_else(|| wrong($expected, value), Ok)
            }

            fn show(&self) -> Json {
                json!(self)
            }
        })+
    };
}

plain! {
    bool: "true or false";
    u32: "a whole number, 0 or more";
    u64: "a whole number, 0 or more";
    NonZeroU32: "a whole number, 1 or more";
    SocketAddr: "an address and a port such as \"127.0.0.1:8080\"";
    f64: "a number, 0 or more" if |number: &f64| number.is_finite() && *number >= 0.0;
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

    /// Uses the largest unit that divides it.
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
