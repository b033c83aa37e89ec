//! The statements that poll a source by `updated_at`: a mark of now, and what changed since a mark.
//!
//! Only a `timestamp` can be compared with the server's clock. Other times come from a clock that is not known here: they
//! are compared with the greatest value that the column had at the last poll.

use crate::{
    catalogue::CatalogueResult,
    source::{
        Relation,
        mysql::{
            MySqlSource, Statements,
            column::{ColumnKind, text_literal},
            statements::{as_row, quote},
        },
    },
};

/// A row is missed if its transaction commits later than this after its `updated_at`.
const OVERLAP: &str = "interval 10 minute";
const OVERLAP_SECONDS: u32 = 600;
/// The same for local times, which repeat an hour in autumn.
const LOCAL_OVERLAP: &str = "interval 70 minute";
/// The latest local time in any time zone. A later value is not the time of a change, and as a mark would hide changes.
const LATEST: &str = "utc_timestamp() + interval 14 hour";

/// How a source is polled.
pub(super) struct Poll {
    /// Selects the history that the mark belongs to, and a mark of now.
    pub mark: String,
    /// Selects the rows that changed since a parameter, which may be empty for the beginning.
    pub changed: String,
}

impl MySqlSource {
    /// The statements that poll the source; `None` without `updated_at`.
    pub(super) fn polling(&self, statements: &Statements) -> CatalogueResult<Option<Poll>> {
        let (Some(name), Some(column_type)) = (&self.settings.updated_at, &statements.updated_at) else {
            return Ok(None);
        };
        let (relation, mut column) = (as_row(&self.settings.relation), format!("row_.{}", quote(name)));
        if column_type.ends_with("UNSIGNED") {
            // Unsigned numbers cannot be less than the overlap.
            column = format!("cast({column} as signed)");
        }
        let greatest =
            |most: &str| format!("(select max({column}) from {relation} where {column} <= {most})");
        let kind = ColumnKind::new(column_type, None);
        let mark = match column_type.as_str() {
            "TIMESTAMP" => format!("now(6) - {OVERLAP}"),
            "DATETIME" => format!("{} - {LOCAL_OVERLAP}", greatest(LATEST)),
            "DATE" => format!("{} - interval 1 day", greatest(LATEST)),
            _ if matches!(kind, ColumnKind::Integer | ColumnKind::Number) => {
                // Seconds, or milliseconds if they are that many: 10^11 seconds are in the year 5138.
                let latest = format!("unix_timestamp({LATEST})");
                let (seconds, milliseconds) = (greatest(&latest), greatest(&format!("1000 * {latest}")));
                format!(
                    "(select if(milliseconds > 100000000000, milliseconds - 1000 * {OVERLAP_SECONDS}, seconds - {OVERLAP_SECONDS})
                      from (select {seconds} as seconds, {milliseconds} as milliseconds) as seen)"
                )
            }
            _ => {
                return Err(self.misfit(format!(
                    "it cannot be polled by updated_at: `{name}` is of the type {}, not a timestamp, a datetime, a date, \
                     or a number of seconds or milliseconds since 1970",
                    column_type.to_lowercase()
                )));
            }
        };
        // A restored table has the same name, but was created at another time.
        let created = match &self.settings.relation {
            Relation::Table { name, .. } => {
                let name = name.rsplit('.').next().unwrap_or(name);
                let name = text_literal(name.trim_matches('`'));
                format!(
                    "(select coalesce(max(create_time), '') from information_schema.tables
                      where table_schema = database() and table_name = {name})"
                )
            }
            Relation::Query(_) => "''".to_owned(),
        };
        let history = format!(
            "concat('{} {} ', @@hostname, ':', @@port, '/', database(), '/', {created})",
            column_type.to_lowercase(),
            name.replace(['\\', '\''], "")
        );
        Ok(Some(Poll {
            mark: format!("select convert({history} using utf8mb4), coalesce(cast({mark} as char), '')"),
            changed: format!("select {} from {relation} where ? = '' or {column} >= ?", statements.row),
        }))
    }
}
