//! Migrations: what is applied, what is missing, and what a database must offer.

use std::fmt::Write;

use sqlx::migrate::Migrator;

use super::{Reach, StoreError, options_of, pool::Pool};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The oldest server that is supported.
const POSTGRESQL: i32 = 150_000;
/// The oldest pgvector that is supported: 0.8.0 brought iterative index scans.
const PGVECTOR: [u32; 3] = [0, 8, 0];

/// What a role needs that only asks: printed for an administrator, never executed by us.
pub const CLIENT_GRANTS: &str = "\
-- For services that ask by SQL. Run once in each database, as an administrator; members of this role may ask, search
-- and read.
do $$ begin
    if not exists (select from pg_roles where rolname = 'shopkeeper_client') then
        create role shopkeeper_client nologin;
    end if;
exception when duplicate_object or unique_violation then null; -- Somebody made it just now, for another database.
end $$;
grant usage on schema shopkeeper to shopkeeper_client;
grant execute on function shopkeeper.ask, shopkeeper.cancel_answer, shopkeeper.feedback to shopkeeper_client;
grant execute on function shopkeeper.forget_session, shopkeeper.forget_customer to shopkeeper_client;
grant execute on function shopkeeper.refresh(text, text) to shopkeeper_client;
grant select on shopkeeper.answers, shopkeeper.chunks to shopkeeper_client;
grant execute on function shopkeeper.search to shopkeeper_client;
";

/// One migration and whether the database has it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MigrationState {
    /// Its time stamp.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Our migrations, whose own table stands in our schema.
fn migrator() -> Migrator {
    let mut migrator = Migrator { ..Migrator::DEFAULT };
    migrator.migrations.clone_from(&MIGRATIONS.migrations);
    migrator.dangerous_set_table_name("shopkeeper.migration");
    // While daemons are replaced one after the other, an older one may start on the schema of a newer one.
    migrator.set_ignore_missing(true);
    migrator
}

/// Applies what is missing, under the migrator's advisory lock: several processes may start at once.
pub(super) async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    require_suitable(pool).await?;
    create_pgvector(pool).await?;
    let mut connection = pool.plain().acquire().await?.detach();
    // A table may be large, and another daemon may be migrating it. A type of pgvector loads pgvector: only then may a
    // role that is no superuser name its settings.
    for statement in ["set statement_timeout = 0", "select '[1]'::vector is null"] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    let exists = sqlx::query_scalar!("select to_regnamespace('shopkeeper') is not null as \"exists!\"");
    let exists = exists.fetch_one(&mut connection).await?;
    let mut migrator = migrator();
    if !exists {
        // PostgreSQL asks for the right to do it also when it is there.
        migrator.create_schema("shopkeeper");
    }
    migrator.run_direct(None, &mut connection, false).await.map_err(from_migrate)
}

/// Lists the migrations of this program, oldest first.
pub(super) async fn state(pool: &Pool) -> Result<Vec<MigrationState>, StoreError> {
    let exists = sqlx::query_scalar!("select to_regclass('shopkeeper.migration') is not null as \"exists!\"")
        .fetch_one(pool)
        .await?;
    let applied: Vec<i64> = if exists {
        sqlx::query_scalar!("select version from shopkeeper.migration where success").fetch_all(pool).await?
    } else {
        Vec::new()
    };
    let all = MIGRATIONS.iter().map(|migration| MigrationState {
        version: migration.version,
        description: migration.description.to_string(),
        applied: applied.contains(&migration.version),
    });
    Ok(all.collect())
}

/// The role that the daemon logs in as.
pub fn role(reach: &Reach) -> Result<String, StoreError> {
    let url = reach.direct_url.as_ref().unwrap_or(&reach.url);
    Ok(options_of(url)?.get_username().to_owned())
}

/// The SQL of the migrations that are not applied, with the record of each: what an administrator can apply by hand
/// when the daemon's role may not. What it makes belongs to that role, which writes and makes index versions there.
///
/// # Panics
/// Never: it writes to a string.
pub fn sql(role: &str, applied: &[i64]) -> String {
    let missing: Vec<_> =
        MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).collect();
    if missing.is_empty() {
        return "-- no migration is missing\n".to_owned();
    }
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let mut text = format!(
        "\
-- Run as an administrator of the database. What is made belongs to the daemon's role.
begin;
create schema if not exists shopkeeper authorization {role};
grant all on schema shopkeeper to {role};
create extension if not exists vector;
set local role {role};
-- Only when pgvector is loaded may a role that is no superuser name its settings.
do $$ begin perform '[1]'::vector; end $$;
create table if not exists shopkeeper.migration (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
);
"
    );
    for migration in missing {
        let (version, description) = (migration.version, &migration.description);
        let statements = migration.sql.as_str();
        let written = writeln!(
            text,
            "\n-- {version} {description}\n{statements}\
             insert into shopkeeper.migration (version, description, success, checksum, execution_time)\n\
             values ({version}, '{description}', true, '\\x{}', 0);",
            hex(&migration.checksum),
        );
        written.expect("writing to a string cannot fail");
    }
    text + "commit;\n"
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Fails with the remedy when a migration is missing.
pub(super) async fn require_current(pool: &Pool) -> Result<(), StoreError> {
    let missing = state(pool).await?.iter().filter(|migration| !migration.applied).count();
    if missing == 0 {
        return Ok(());
    }
    Err(StoreError::Unsuitable(format!(
        "the database lacks {missing} of shopkeeper's migrations\n  run `shopkeeper migrate` (`shopkeeper run` does it at its start)"
    )))
}

async fn require_suitable(pool: &Pool) -> Result<(), StoreError> {
    let server = sqlx::query!(
        r#"select current_setting('server_version_num')::integer as "number!", current_setting('server_version') as "version!""#
    )
    .fetch_one(pool)
    .await?;
    if server.number < POSTGRESQL {
        return Err(StoreError::Unsuitable(format!(
            "PostgreSQL {} is too old: shopkeeper needs 15 or later",
            server.version
        )));
    }
    let vector = sqlx::query!(
        r#"select installed_version, default_version as "offered?" from pg_available_extensions where name = 'vector'"#
    )
    .fetch_optional(pool)
    .await?;
    let Some(vector) = vector else {
        return Err(StoreError::Unsuitable(format!(
            "this PostgreSQL {} does not offer the extension `vector`\n  install pgvector 0.8 or later on its host \
             (on Debian: apt install postgresql-{}-pgvector), then try again",
            server.version,
            server.number / 10_000
        )));
    };
    let version = vector.installed_version.or(vector.offered).unwrap_or_default();
    if parsed(&version) < PGVECTOR {
        return Err(StoreError::Unsuitable(format!(
            "pgvector {version} is too old: shopkeeper needs 0.8 or later\n  install it on the server's host, then run `alter extension vector update`"
        )));
    }
    Ok(())
}

/// A version as numbers that can be compared.
pub(super) fn parsed(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

async fn create_pgvector(pool: &Pool) -> Result<(), StoreError> {
    let created = sqlx::query!("create extension if not exists vector").execute(pool).await;
    match created.map_err(StoreError::from) {
        Err(StoreError::Forbidden(reason)) => Err(StoreError::Unsuitable(format!(
            "the extension `vector` is not created in this database and the role may not do it: {reason}\n  \
             run `create extension vector` there as an administrator, then try again"
        ))),
        Err(other) => Err(other),
        Ok(_) => Ok(()),
    }
}

fn from_migrate(error: sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError as E;
    let inner = match error {
        E::Execute(inner) | E::ExecuteMigration(inner, _) => StoreError::from(inner),
        E::VersionMismatch(version) => StoreError::Unsuitable(format!(
            "migration {version} of this database is another than ours: a build that was never released made it\n  \
             only a schema made anew helps: `drop schema shopkeeper cascade`, with all that it holds"
        )),
        other => StoreError::Failed(other.to_string()),
    };
    match inner {
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
    fn versions_are_compared_as_numbers() {
        assert!(parsed("0.10.1") > PGVECTOR);
        assert!(parsed("0.8.6") >= PGVECTOR);
        assert!(parsed("0.7.4") < PGVECTOR);
    }
}
