//! Which migrations of this program a database has.

use serde::Serialize;
use sqlx::PgConnection;

use super::{
    MIGRATIONS,
    records::Records,
    repeatable::{FILES, number},
};
use crate::store::{Result, Store, StoreError, pool::Pool};

/// The migrations of this program, and whether a database has them.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaState {
    /// The versioned ones, oldest first.
    pub migrations: Vec<MigrationState>,
    /// The repeatable ones, in the order in which they are applied.
    pub repeatable: Vec<RepeatableState>,
}

/// A versioned migration.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MigrationState {
    pub version: i64,
    pub description: String,
    pub applied: bool,
}

/// A repeatable migration.
#[derive(Clone, Debug, Serialize)]
pub struct RepeatableState {
    /// The file without its extension.
    pub name: &'static str,
    /// Whether the database has the text of this program or of a newer one.
    pub applied: bool,
}

impl SchemaState {
    /// Returns the state of a database without our schema.
    pub fn empty() -> Self {
        Self::new(&[], &Records::default())
    }

    fn new(versions: &[i64], records: &Records) -> Self {
        let migrations = MIGRATIONS.iter().map(|migration| MigrationState {
            version: migration.version,
            description: migration.description.to_string(),
            applied: versions.contains(&migration.version),
        });
        let repeatable = FILES
            .iter()
            .map(|file| RepeatableState { name: file.name, applied: records.is_current(file, number()) });
        Self { migrations: migrations.collect(), repeatable: repeatable.collect() }
    }

    /// Counts the migrations that the database lacks.
    pub fn missing(&self) -> usize {
        let versioned = self.migrations.iter().filter(|migration| !migration.applied).count();
        versioned + self.repeatable.iter().filter(|migration| !migration.applied).count()
    }
}

impl Store {
    /// Returns which migrations of this program the database has.
    pub async fn schema_state(&self) -> Result<SchemaState> {
        state(&self.pool).await
    }
}

/// Fails with the remedy when a migration is missing.
pub(in crate::store) async fn require_current(pool: &Pool) -> Result<()> {
    let missing = state(pool).await?.missing();
    if missing == 0 {
        return Ok(());
    }
    Err(StoreError::Unsuitable(format!(
        "the database lacks {missing} of shopkeeper's migrations\n  run `shopkeeper migrate` (`shopkeeper run` does it at its start)"
    )))
}

async fn state(pool: &Pool) -> Result<SchemaState> {
    pool.run(async |connection| {
        let versions = applied_versions(connection).await?;
        Ok(SchemaState::new(&versions, &Records::load(connection).await?))
    })
    .await
}

/// Returns the applied versions. Fails if one of them precedes the first release, whose schema cannot be migrated.
pub(super) async fn applied_versions(connection: &mut PgConnection) -> Result<Vec<i64>> {
    let exists = sqlx::query_scalar!("select to_regclass('shopkeeper.migration') is not null as \"exists!\"");
    if !exists.fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let versions = sqlx::query_scalar!("select version from shopkeeper.migration where success");
    let versions = versions.fetch_all(connection).await?;
    let first = MIGRATIONS.iter().map(|migration| migration.version).min();
    if versions.iter().any(|version| Some(*version) < first) {
        return Err(StoreError::Unsuitable(
            "an unreleased build of shopkeeper created this schema, which cannot migrate it\n  \
             drop it with all that it holds (`drop schema shopkeeper cascade`), then run `shopkeeper migrate`"
                .to_owned(),
        ));
    }
    Ok(versions)
}
