//! `[database]` and `[retention]`: where our tables are, and how long rows are kept.

use super::defaults::{days, seconds};
use super::{ReadError, Section, table};
use crate::{address::DatabaseUrl, retention::Retention, store::DatabaseSettings};

/// Statements waiting for a lock must leave connections for others.
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

/// An address that defaults to `$DATABASE_URL`.
pub(super) fn database_url(section: &Section<'_>, key: &str) -> Result<DatabaseUrl, ReadError> {
    optional_database_url(section, key)?
        .ok_or_else(|| section.fault(key, "is required, here or as the environment's DATABASE_URL"))
}

/// An address whose password, if any, is not in the file.
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

table! {
    Retention, section {
        answers: get(Some(days(90))),
        job_history: get(Some(days(7))),
        deliveries: get(Some(days(30))),
    }
}
