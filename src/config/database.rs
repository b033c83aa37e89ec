//! `[database]`, and what every address of a database must be.

use super::{
    Database, DatabaseUrl,
    reader::{Faulty, Section},
    sections::{count, seconds},
};

/// What waits for a lock is not to keep others from their work.
const LEAST_CONNECTIONS: u32 = 4;

pub(super) fn database(section: &Section<'_>) -> Result<Database, Faulty> {
    let url = database_url(section, "url");
    let [direct_url, read_url] = ["direct_url", "read_url"].map(|key| {
        let url = section.optional(key)?;
        url.map(|url| without_password(section, key, url)).transpose()
    });
    let max_connections = section.get("max_connections", count(20));
    if let Ok(connections) = &max_connections
        && connections.get() < LEAST_CONNECTIONS
    {
        let message = format!(
            "must be at least {LEAST_CONNECTIONS}, since what waits for a lock is not to keep others from their work: \
             not {connections}"
        );
        section.fault("max_connections", message);
    }
    let statement_timeout = section.get("statement_timeout", seconds(30));
    section.finish();
    Ok(Database {
        url: url?,
        direct_url: direct_url?,
        read_url: read_url?,
        max_connections: max_connections?,
        statement_timeout: statement_timeout?,
    })
}

/// An address that is `$DATABASE_URL` when it was left out.
pub(super) fn database_url(section: &Section<'_>, key: &str) -> Result<DatabaseUrl, Faulty> {
    let url: Option<DatabaseUrl> = section.or_variable(key, "DATABASE_URL")?;
    let Some(url) = url else {
        return Err(section.fault(key, "is required, here or as the environment's DATABASE_URL"));
    };
    without_password(section, key, url)
}

fn without_password(section: &Section<'_>, key: &str, url: DatabaseUrl) -> Result<DatabaseUrl, Faulty> {
    if url.has_password() && section.is_literal(key) {
        let message = "holds a password and must not stand in the file: \
                       write { env = \"NAME\" } or { file = \"PATH\" }";
        return Err(section.fault(key, message));
    }
    Ok(url)
}
