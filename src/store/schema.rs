//! Our schema: which migrations a database lacks, and how they are applied.
//!
//! Versioned migrations create the tables and are only appended. Repeatable migrations create functions, views and
//! triggers; their files are edited in place and applied again when their text changes (`schema/repeatable.rs`). A
//! program accepts versions and functions newer than its own: during a rolling update, an older daemon may start on a
//! newer schema.

use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
};

use super::{Result, StoreError, pool::Pool};

mod print;
mod records;
mod repeatable;
mod requirements;
mod state;

pub use print::{CLIENT_GRANTS, role, sql};
pub(super) use requirements::parsed;
pub(super) use state::require_current;
pub use state::{MigrationState, RepeatableState, SchemaState};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Applies what is missing in one transaction, so that no daemon ever sees new tables with old functions or views.
/// Daemons that start at the same time take turns by the migrator's advisory lock.
pub(super) async fn migrate(pool: &Pool) -> Result<()> {
    requirements::check(pool).await?;
    let mut connection = pool.plain().acquire().await?.detach();
    // A table may be large, or another daemon be migrating.
    sqlx::query("set statement_timeout = 0").execute(&mut connection).await?;
    connection.lock().await.map_err(from_migrate)?;
    requirements::create_pgvector(&mut connection).await?;
    let mut transaction = connection.begin().await?;
    apply(&mut transaction).await.map_err(with_remedy)?;
    transaction.commit().await?;
    connection.unlock().await.map_err(from_migrate)
}

async fn apply(connection: &mut PgConnection) -> Result<()> {
    state::applied_versions(connection).await?;
    let exists = sqlx::query_scalar!("select to_regnamespace('shopkeeper') is not null as \"exists!\"");
    let mut migrator = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    if !exists.fetch_one(&mut *connection).await? {
        // PostgreSQL requires the privilege even if the schema exists.
        migrator.create_schema("shopkeeper");
    }
    migrator.dangerous_set_table_name("shopkeeper.migration");
    migrator.set_ignore_missing(true);
    // The caller holds the lock until its transaction ends.
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(from_migrate)?;
    repeatable::apply(connection).await
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
