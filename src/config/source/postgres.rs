//! `kind = "postgres"`: a shop's database.

use std::time::Duration;

use crate::config::defaults::{at_least_one, seconds};
use crate::config::{ReadError, Section, Setting, Shown, Table, table};
use crate::config::{database::database_url, source::name};
use crate::source::{Relation, postgres, postgres::RelatedTable};

table! {
    /// A shop's database, and how often it is polled for changes; zero disables polling.
    pub struct Connection, section {
        settings: postgres::Settings = flat(),
        poll: Duration = get(seconds(60)),
    }
}

table! {
    postgres::Settings, section {
        name: hidden(name),
        url: with(database_url),
        relation: flat(),
        rendering: flat(),
        updated_at: get(None::<String>),
        live_metadata: get(true),
        related: list(),
        page_rows: with(|section, key| at_least_one(section, key, 5000)),
        max_connections: with(|section, key| at_least_one(section, key, 2)),
        statement_timeout: get(seconds(30)),
    }
}

table! { RelatedTable, section { table: required(), columns: get(Vec::new()), keys: with(keys) } }

fn keys(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    section.required(key).map(|query: String| without_end(&query))
}

fn without_end(query: &str) -> String {
    query.trim().trim_end_matches(';').to_owned()
}

impl Table for Relation {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        let condition = section.get("where", None);
        let relation = section.one_of(
            ["table", "query"],
            |name| Self::Table { name, condition: None },
            |query: String| Self::Query(without_end(&query)),
        );
        match (relation?, condition?) {
            (Self::Table { name, .. }, condition) => Ok(Self::Table { name, condition }),
            (Self::Query(_), Some(_)) => {
                Err(section.fault("where", "goes with `table`; write it into the query"))
            }
            (query, None) => Ok(query),
        }
    }

    fn show(&self, shown: &mut Shown) {
        match self {
            Self::Table { name, condition } => {
                shown.insert("table".to_owned(), name.show());
                shown.extend(condition.as_ref().map(|condition| ("where".to_owned(), condition.show())));
            }
            Self::Query(query) => _ = shown.insert("query".to_owned(), query.show()),
        }
    }
}
