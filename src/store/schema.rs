//! Our schema: what a database lacks of it, and how that is applied.
//!
//! Versioned migrations make the tables and are only appended. Repeatable migrations make functions, views and
//! triggers; their files are edited in place and applied again when their text changes (see `schema/repeatable.rs`).
//! A program that finds versions or functions newer than its own goes on: while daemons are replaced one after the
//! other, an older one may start on the schema of a newer one.

use serde::Serialize;
use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
};

use self::repeatable::Records;
use super::{Result, StoreError, pool::Pool};

pub use self::print::{CLIENT_GRANTS, role, sql};
pub(super) use self::requirements::parsed;

mod print;
mod repeatable;
mod requirements;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The migrations of this program, and whether a database has them.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaState {
    /// Those that make the tables, oldest first.
    pub migrations: Vec<MigrationState>,
    /// Those that make functions, views and triggers, in the order in which they are applied.
    pub repeatable: Vec<RepeatableState>,
}

/// A versioned migration and whether the database has it.
#[derive(Clone, Debug, Serialize)]
pub struct MigrationState {
    /// Its time stamp.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// A repeatable migration and whether the database has it.
#[derive(Clone, Debug, Serialize)]
pub struct RepeatableState {
    /// Its file, without the ending.
    pub name: &'static str,
    /// Whether the database has the text of this program, or that of a newer program.
    pub applied: bool,
}

impl SchemaState {
    /// The state of a database without our schema.
    pub fn empty() -> Self {
        Self::new(&[], &Records::default())
    }

    fn new(versions: &[i64], records: &Records) -> Self {
        let migrations = MIGRATIONS.iter().map(|migration| MigrationState {
            version: migration.version,
            description: migration.description.to_string(),
            applied: versions.contains(&migration.version),
        });
        let repeatable = repeatable::FILES.iter().map(|file| RepeatableState {
            name: file.name,
            applied: records.is_current(file, repeatable::number()),
        });
        Self { migrations: migrations.collect(), repeatable: repeatable.collect() }
    }

    /// The number of migrations that the database lacks.
    pub fn missing(&self) -> usize {
        let versioned = self.migrations.iter().filter(|migration| !migration.applied).count();
        versioned + self.repeatable.iter().filter(|migration| !migration.applied).count()
    }
}

/// Applies what is missing, all of it or nothing.
///
/// Daemons may start at the same time: the migrator's advisory lock lets one after the other look at the schema. One
/// transaction holds everything, so that no daemon ever sees new tables with old functions or views.
pub(super) async fn migrate(pool: &Pool) -> Result<()> {
    requirements::check(pool).await?;
    let mut connection = pool.plain().acquire().await?.detach();
    // A table may be large, and another daemon may be migrating it.
    sqlx::query("set statement_timeout = 0").execute(&mut connection).await?;
    connection.lock().await.map_err(from_migrate)?;
    requirements::create_pgvector(&mut connection).await?;
    let mut transaction = connection.begin().await?;
    apply(&mut transaction).await.map_err(with_remedy)?;
    transaction.commit().await?;
    connection.unlock().await.map_err(from_migrate)
}

async fn apply(connection: &mut PgConnection) -> Result<()> {
    applied_versions(connection).await?;
    let exists = sqlx::query_scalar!("select to_regnamespace('shopkeeper') is not null as \"exists!\"");
    let mut migrator = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    if !exists.fetch_one(&mut *connection).await? {
        // PostgreSQL asks for the right to do it even if the schema exists.
        migrator.create_schema("shopkeeper");
    }
    migrator.dangerous_set_table_name("shopkeeper.migration");
    migrator.set_ignore_missing(true);
    // The caller holds the lock until its transaction has ended.
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(from_migrate)?;
    repeatable::apply(connection).await
}

/// Looks at which migrations of this program a database has.
pub(super) async fn state(pool: &Pool) -> Result<SchemaState> {
    pool.run(async |connection| {
        let versions = applied_versions(connection).await?;
        Ok(SchemaState::new(&versions, &Records::load(connection).await?))
    })
    .await
}

/// Fails with the remedy when a migration is missing.
pub(super) async fn require_current(pool: &Pool) -> Result<()> {
    let missing = state(pool).await?.missing();
    if missing == 0 {
        return Ok(());
    }
    Err(StoreError::Unsuitable(format!(
        "the database lacks {missing} of shopkeeper's migrations\n  run `shopkeeper migrate` (`shopkeeper run` does it at its start)"
    )))
}

/// The versions that a database has. Fails when one of them is from before the first release, whose schema cannot be
/// migrated.
async fn applied_versions(connection: &mut PgConnection) -> Result<Vec<i64>> {
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

fn from_migrate(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => StoreError::from(inner),
        MigrateError::VersionMismatch(version) => StoreError::Unsuitable(format!(
            "migration {version} differs from the one applied to this database: a build that was never released made it\n  \
             only a schema made anew helps: `drop schema shopkeeper cascade`, with all that it holds"
        )),
        other => StoreError::Failed(other.to_string()),
    }
}

fn with_remedy(error: StoreError) -> StoreError {
    match error {
        StoreError::Forbidden(reason) => StoreError::Unsuitable(format!(
            "the role may not create shopkeeper's schema: {reason}\n  run as an administrator `grant create on database … to …`, or apply the output of `shopkeeper migrate print` in the database"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_versioned_migration_runs_in_the_one_transaction() {
        assert!(MIGRATIONS.iter().all(|migration| !migration.no_tx));
    }

    #[test]
    fn versioned_migrations_make_no_functions_views_or_triggers() {
        for migration in MIGRATIONS.iter() {
            for object in ["function", "view", "trigger"] {
                let makes = |start: &str| migration.sql.as_str().contains(&format!("{start} {object} "));
                assert!(!makes("create") && !makes("create or replace"), "{}: {object}", migration.version);
            }
        }
    }
}
