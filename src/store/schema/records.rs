//! What a database has recorded of the repeatable migrations applied to it.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::repeatable::RepeatableFile;
use crate::store::Result;

/// The records by file.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<String, Record>);

#[derive(Debug)]
struct Record {
    hash: Vec<u8>,
    schema_number: i64,
}

impl Records {
    pub(super) async fn load(connection: &mut PgConnection) -> Result<Self> {
        let exists = sqlx::query_scalar!(
            "select to_regclass('shopkeeper.repeatable_migration') is not null as \"exists!\""
        );
        if !exists.fetch_one(&mut *connection).await? {
            return Ok(Self::default());
        }
        let rows = sqlx::query!("select name, hash, schema_number from shopkeeper.repeatable_migration");
        let rows = rows.fetch_all(connection).await?.into_iter();
        Ok(Self(
            rows.map(|row| (row.name, Record { hash: row.hash, schema_number: row.schema_number })).collect(),
        ))
    }

    /// Whether a program with this schema number leaves the file as it is.
    pub(super) fn is_current(&self, file: &RepeatableFile, number: i64) -> bool {
        let newest = self.0.values().map(|record| record.schema_number).max();
        if newest > Some(number) {
            return true;
        }
        let recorded = self.0.get(file.name);
        recorded.is_some_and(|record| newest == Some(number) || record.hash == file.hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_newer_program_replaces_what_is_recorded() {
        let file = RepeatableFile { name: "functions/claims", sql: "new" };
        let other = RepeatableFile { name: "functions/added", sql: "" };
        let recorded = |sql: &'static str, schema_number| {
            let hash = RepeatableFile { name: "", sql }.hash().to_vec();
            Records(BTreeMap::from([(file.name.to_owned(), Record { hash, schema_number })]))
        };
        assert!(!Records::default().is_current(&file, 7));
        assert!(!recorded("old", 6).is_current(&file, 7));
        assert!(recorded("new", 6).is_current(&file, 7), "the text is the same");
        assert!(recorded("old", 7).is_current(&file, 7), "the number was not raised");
        assert!(recorded("old", 8).is_current(&file, 7), "the database is newer");
        assert!(!recorded("new", 7).is_current(&other, 7));
        assert!(recorded("new", 8).is_current(&other, 7), "it may be part of another file by now");
    }
}
