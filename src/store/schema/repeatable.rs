//! Repeatable migrations: functions, views and triggers, whose files are edited in place.
//!
//! They are applied after all versioned migrations, because functions take and return rows of tables. Functions come
//! first, because triggers name them. The order among the files of functions does not matter: a function calls one of
//! another file only from a plpgsql body, which PostgreSQL binds when it runs, and not when it is created. Views and
//! triggers have files of their own, because replacing them takes locks that replacing a function does not.
//!
//! A file is applied when its text differs from the recorded one, but only by a program that is newer than the one that
//! recorded it: in a rolling update, an old daemon that restarts must not put its old functions back. Which program is
//! newer is told by the schema number, which `make schema` raises whenever a file has changed. A text that is changed
//! and changed back has a higher number than before, so that the text in between does not return.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::store::Result;

/// The text of a repeatable migration.
pub(super) struct RepeatableFile {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

macro_rules! repeatable {
    ($name:literal) => {
        RepeatableFile { name: $name, sql: include_str!(concat!("../../../migrations/", $name, ".sql")) }
    };
}

/// All repeatable migrations, in the order in which they are applied.
pub(super) const FILES: [RepeatableFile; 15] = [
    repeatable!("functions/claims"),
    repeatable!("functions/given_up"),
    repeatable!("functions/ends"),
    repeatable!("functions/enqueue"),
    repeatable!("functions/documents"),
    repeatable!("functions/index_versions"),
    repeatable!("functions/search"),
    repeatable!("functions/questions"),
    repeatable!("functions/answers"),
    repeatable!("functions/deliveries"),
    repeatable!("functions/feedback"),
    repeatable!("functions/erasure"),
    repeatable!("functions/budgets"),
    repeatable!("views"),
    repeatable!("triggers"),
];

/// The schema number, and the digest of the files that it was given to: `make schema` writes both.
const NUMBERED: &str = include_str!("../../../migrations/schema.number");

/// The schema number of this program.
pub(super) fn number() -> i64 {
    let number = NUMBERED.split_whitespace().next().and_then(|number| number.parse().ok());
    number.expect("a test holds that the file begins with a number")
}

impl RepeatableFile {
    pub(super) fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.sql.as_bytes()).as_bytes()
    }
}

/// What a database has recorded of the files that were applied.
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

    /// Whether a program with this schema number leaves the file as it was applied.
    pub(super) fn is_current(&self, file: &RepeatableFile, number: i64) -> bool {
        let newest = self.0.values().map(|record| record.schema_number).max();
        if newest > Some(number) {
            return true;
        }
        let recorded = self.0.get(file.name);
        recorded.is_some_and(|record| newest == Some(number) || record.hash == file.hash())
    }
}

/// Applies the files that the database lacks, and records them.
pub(super) async fn apply(connection: &mut PgConnection) -> Result<()> {
    let number = number();
    let records = Records::load(connection).await?;
    for file in FILES.iter().filter(|file| !records.is_current(file, number)) {
        sqlx::raw_sql(file.sql).execute(&mut *connection).await?;
        let hash = file.hash();
        let record = sqlx::query!(
            "insert into shopkeeper.repeatable_migration (name, hash, schema_number) values ($1, $2, $3)
             on conflict (name) do update
             set hash = excluded.hash, schema_number = excluded.schema_number, applied_at = now()",
            file.name,
            hash.as_slice(),
            number,
        );
        record.execute(&mut *connection).await?;
    }
    // Also those whose text is the same.
    let raise = sqlx::query!(
        "update shopkeeper.repeatable_migration set schema_number = $1 where schema_number < $1",
        number
    );
    raise.execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    fn migrations() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
    }

    fn digest() -> String {
        let mut digest = blake3::Hasher::new();
        for file in &FILES {
            digest.update(file.name.as_bytes()).update(&file.hash());
        }
        digest.finalize().to_hex().to_string()
    }

    #[test]
    fn the_schema_number_is_raised_when_a_file_changes() {
        if NUMBERED == format!("{} {}\n", number(), digest()) {
            return;
        }
        assert!(
            std::env::var_os("SHOPKEEPER_WRITE_SCHEMA").is_some(),
            "functions, views or triggers have changed: run `make schema`"
        );
        let raised = format!("{} {}\n", number() + 1, digest());
        std::fs::write(migrations().join("schema.number"), raised).unwrap();
    }

    #[test]
    fn every_file_of_functions_is_applied() {
        let folder = std::fs::read_dir(migrations().join("functions")).unwrap();
        let names: BTreeSet<_> =
            folder.map(|entry| format!("functions/{}", entry.unwrap().file_name().display())).collect();
        let listed = FILES.iter().map(|file| format!("{}.sql", file.name));
        assert_eq!(names, listed.filter(|name| name.starts_with("functions/")).collect());
    }

    #[test]
    fn no_function_is_defined_twice_and_each_file_closes_its_own() {
        let mut defined = BTreeSet::new();
        for file in FILES.iter().filter(|file| file.name.starts_with("functions/")) {
            let (_, closing) = file.sql.rsplit_once("revoke execute on function").unwrap();
            for definition in file.sql.split("create or replace function ").skip(1) {
                let (name, _) = definition.split_once('(').unwrap();
                assert!(defined.insert(name), "{name} is defined twice");
                assert!(closing.contains(name), "{}: {name}", file.name);
            }
        }
        assert!(defined.len() > 40, "{defined:?}");
    }

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
