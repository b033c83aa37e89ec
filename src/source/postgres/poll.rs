//! The statements that poll a source: a mark of now, and what changed since a mark.
//!
//! Without `updated_at` the mark of a table is the oldest transaction that had not ended: all that it and later ones
//! write is read again, so that a late commit is not missed. This scans the table, and holds for one server and one
//! timeline.
//!
//! With `updated_at` the column is compared in its own terms. Only a `timestamptz` can be compared with the server's clock.
//! Values without a time zone and numbers come from a clock that is not known here: they are compared with the greatest
//! value that the column had at the last poll.

use crate::source::{
    Relation, filter,
    postgres::{
        settings::as_row,
        sql::{literal, quote, table},
    },
};

/// A row is missed if its transaction commits later than this after its `updated_at`.
const OVERLAP: &str = "10 minutes";
/// The same for local times, which repeat an hour in autumn.
const LOCAL_OVERLAP: &str = "70 minutes";
/// The latest local time in any time zone. A later value is not the time of a change, and as a mark would hide changes.
const LATEST: &str = "(now() at time zone 'UTC' + interval '14 hours')";

/// How a source is polled.
pub(super) struct Poll {
    /// Selects the history that the mark belongs to, and a mark of now.
    pub mark: String,
    /// Selects the rows that changed since `$1`.
    pub changed: String,
    pub is_by_transaction: bool,
}

impl Poll {
    /// Polls a table by its transactions.
    pub(super) fn by_transaction(name: &str, condition: Option<&str>, row: &str) -> Self {
        let server = format!(
            "(select system_identifier::text from pg_control_system()) || '/'
                || (select timeline_id::text from pg_control_checkpoint()) || '/' || {}",
            identity(Some(name))
        );
        Self {
            mark: format!("select {server}, pg_snapshot_xmin(pg_current_snapshot())::text"),
            // A row stores 32 bits of its transaction; less than half the circle ahead of the mark is newer.
            changed: format!(
                "select {row} from (select xmin::text::bigint as \"shopkeeper xmin\", * from {}{}) as row_
                 where ((row_.\"shopkeeper xmin\" - $1::bigint) & 4294967295) < 2147483648",
                table(name),
                filter(condition),
            ),
            is_by_transaction: true,
        }
    }

    /// Polls by a column; `None` if a value of its type is not a time.
    ///
    /// The history names column and type, so that a mark of another column is not compared with this one.
    pub(super) fn by_column(relation: &Relation, column: &str, column_type: &str, row: &str) -> Option<Self> {
        let name = match relation {
            Relation::Table { name, .. } => Some(name.as_str()),
            Relation::Query(_) => None,
        };
        let relation = as_row(relation);
        let history = literal(&format!("{} {column} ", column_type.to_lowercase()));
        let history = format!("{history} || {}", identity(name));
        let column = format!("row_.{}", quote(column));
        let greatest = |least: &str, most: &str| {
            format!("(select max({column}) from {relation} where {column} >= {least} and {column} <= {most})")
        };
        let (compared_as, mark) = match column_type {
            "TIMESTAMPTZ" => ("timestamptz", format!("{history}, (now() - interval '{OVERLAP}')::text")),
            "TIMESTAMP" => {
                let last = greatest("'-infinity'", LATEST);
                let mark = format!("coalesce({last} - interval '{LOCAL_OVERLAP}', '-infinity')");
                ("timestamp", format!("{history}, {mark}::text"))
            }
            "DATE" => {
                let last = greatest("'-infinity'", &format!("{LATEST}::date"));
                ("date", format!("{history}, coalesce({last} - 1, '-infinity')::text"))
            }
            "INT2" | "INT4" | "INT8" | "NUMERIC" | "FLOAT4" | "FLOAT8" => {
                let compared_as = match column_type {
                    "NUMERIC" => "numeric",
                    "FLOAT4" | "FLOAT8" => "double precision",
                    _ => "bigint",
                };
                (compared_as, format!("{history}, {}::text", epoch_mark(compared_as, greatest)))
            }
            _ => return None,
        };
        Some(Self {
            mark: format!("select {mark}"),
            changed: format!("select {row} from {relation} where {column} >= $1::{compared_as}"),
            is_by_transaction: false,
        })
    }
}

/// The database and the table as they were made: restored ones have the same names.
fn identity(name: Option<&str>) -> String {
    let relation = name.map_or("''".to_owned(), |name| {
        format!("coalesce(to_regclass({})::oid::text, '')", literal(&table(name)))
    });
    format!("(select oid || '/' || {relation} from pg_database where datname = current_database())")
}

/// The mark of a column of seconds or milliseconds since 1970.
///
/// The unit is known from the size: 10^8 seconds are in 1973, 10^11 seconds in 5138 and 10^11 milliseconds in 1973. A few
/// rows with the other unit, or with 0 for never, do not change it.
fn epoch_mark(compared_as: &str, greatest: impl Fn(&str, &str) -> String) -> String {
    let latest = format!("extract(epoch from {LATEST})::bigint");
    let seconds = greatest("0", &latest);
    let milliseconds = greatest("100000000000", &format!("1000 * {latest}"));
    let overlap = format!("extract(epoch from interval '{OVERLAP}')::integer");
    format!(
        "(select case
             when seconds >= 100000000 or milliseconds is null then coalesce(seconds, 0) - {overlap}
             else milliseconds - 1000 * {overlap}
         end from (select {seconds}::{compared_as} as seconds, {milliseconds}::{compared_as} as milliseconds) as seen)"
    )
}
