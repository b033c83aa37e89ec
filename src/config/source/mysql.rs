//! `kind = "mysql"`: a shop's MySQL or MariaDB.

use std::time::Duration;

use serde_json::Value as Json;

use crate::address::MySqlUrl;
use crate::config::defaults::{at_least_one, seconds};
use crate::config::value::wrong;
use crate::config::{ReadError, Section, Setting, Value, source::name, table};
use crate::source::mysql;

table! {
    /// A shop's database, and how often it is polled for changes; zero disables polling.
    pub struct MySqlConnection, section {
        settings: mysql::Settings = flat(),
        poll: Duration = get(seconds(60)),
    }
}

table! {
    mysql::Settings, section {
        name: hidden(name),
        url: with(url),
        relation: flat(),
        rendering: flat(),
        updated_at: get(None::<String>),
        live_metadata: get(true),
        page_rows: with(|section, key| at_least_one(section, key, 5000)),
        max_connections: with(|section, key| at_least_one(section, key, 2)),
        statement_timeout: get(seconds(30)),
    }
}

/// An address whose password, if any, is not in the file.
fn url(section: &Section<'_>, key: &str) -> Result<MySqlUrl, ReadError> {
    let url: MySqlUrl = section.required(key)?;
    if url.has_password() && section.is_literal(key) {
        let message = "holds a password and must not stand in the file: \
                       write { env = \"NAME\" } or { file = \"PATH\" }";
        return Err(section.fault(key, message));
    }
    Ok(url)
}

impl Setting for MySqlUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "an address such as mysql://user@host/database";
        match value {
            Value::Text(text) => text.parse().map_err(|_| format!("must be {expected}")),
            other => wrong(expected, other),
        }
    }

    fn show(&self) -> Json {
        self.to_string().into()
    }
}
