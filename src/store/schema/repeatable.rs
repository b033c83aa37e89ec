//! Repeatable migrations: functions, views and triggers, whose files are edited in place.
//!
//! They are applied after all versioned migrations, because functions take and return rows of tables. Functions come
//! first, because triggers name them. The order among the files of functions does not matter: functions call those of
//! other files only from plpgsql bodies, which PostgreSQL binds when they run. Views and triggers have files of their
//! own, because replacing them takes locks that replacing a function does not.
//!
//! A file is applied when its text differs from the recorded one, but only by a program newer than the one that
//! recorded it: in a rolling update, an old daemon that restarts must not restore its old functions. The schema number
//! tells which program is newer; `make schema` raises it whenever a file has changed, also when a text is changed back.

use sqlx::PgConnection;

use super::records::Records;
use crate::store::Result;

pub(super) struct RepeatableFile {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

macro_rules! repeatable {
    ($($name:literal)+) => {
        [$(RepeatableFile { name: $name, sql: include_str!(concat!("../../../migrations/", $name, ".sql")) }),+]
    };
}

/// All repeatable migrations, in the order in which they are applied.
pub(super) const FILES: [RepeatableFile; 17] = repeatable! {
    "functions/claims" "functions/given_up" "functions/ends" "functions/enqueue" "functions/documents"
    "functions/index_versions" "functions/search" "functions/questions" "functions/outdated" "functions/answers" "functions/deliveries"
    "functions/escalations" "functions/feedback" "functions/erasure" "functions/budgets" "views" "triggers"
};

/// The schema number and the digest of the files that it belongs to; `make schema` writes both.
const NUMBERED: &str = include_str!("../../../migrations/schema.number");

pub(super) fn number() -> i64 {
    let number = NUMBERED.split_whitespace().next().and_then(|number| number.parse().ok());
    number.expect("a test holds that the file begins with a number")
}

impl RepeatableFile {
    pub(super) fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.sql.as_bytes()).as_bytes()
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
    // Includes files whose text is the same.
    let raise = sqlx::query!(
        "update shopkeeper.repeatable_migration set schema_number = $1 where schema_number < $1",
        number
    );
    Ok(raise.execute(connection).await.map(drop)?)
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
}
