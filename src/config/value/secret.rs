//! Secrets, and addresses that may hold one: neither `config show` nor a fault repeats it.

use secrecy::SecretString;
use serde_json::Value as Json;

use super::{Setting, wrong};
use crate::address::{DatabaseUrl, HIDDEN, HttpUrl};
use crate::config::Value;

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
                // The password may be anywhere in it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_a_web_address_repeats_nothing_that_may_be_secret() {
        let message = |text: &str| HttpUrl::read(&Value::Text(text.to_owned())).unwrap_err();
        let plain = message("api.example/v1");
        assert_eq!(plain, "must be an http or https address, not the string \"api.example/v1\"");
        for text in ["u:s3cret@h/v1", "ftp://u:s3cret@h/v1", "h/v1?key=s3cret", "https://u:s3cret@/v1"] {
            assert_eq!(message(text), "must be an http or https address");
        }
    }
}
