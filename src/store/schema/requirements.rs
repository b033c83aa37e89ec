//! The requirements on a database server: a recent PostgreSQL with pgvector.

use sqlx::PgConnection;

use crate::store::{Result, StoreError, pool::Pool};

const POSTGRESQL: i32 = 150_000;
/// The oldest pgvector that is supported: 0.8.0 brought iterative index scans.
const PGVECTOR: [u32; 3] = [0, 8, 0];

/// Fails with the remedy if the server does not meet the requirements.
pub(super) async fn check(pool: &Pool) -> Result<()> {
    let server = sqlx::query!(
        r#"select current_setting('server_version_num')::integer as "number!", current_setting('server_version') as "version!""#
    );
    let server = server.fetch_one(pool).await?;
    if server.number < POSTGRESQL {
        return Err(StoreError::Unsuitable(format!(
            "PostgreSQL {} is too old: shopkeeper needs 15 or later",
            server.version
        )));
    }
    let vector = sqlx::query!(
        r#"select installed_version, default_version as "offered?" from pg_available_extensions where name = 'vector'"#
    );
    let vector = vector.fetch_optional(pool).await?;
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

/// Parses a version into numbers that can be compared.
pub(in crate::store) fn parsed(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Creates pgvector if it is missing, and loads it, which lets a role that is not a superuser set its parameters.
pub(super) async fn create_pgvector(connection: &mut PgConnection) -> Result<()> {
    let created = sqlx::query!("create extension if not exists vector").execute(&mut *connection).await;
    created.map_err(|error| match StoreError::from(error) {
        StoreError::Forbidden(reason) => StoreError::Unsuitable(format!(
            "the extension `vector` is not created in this database and the role may not do it: {reason}\n  \
             run `create extension vector` there as an administrator, then try again"
        )),
        other => other,
    })?;
    sqlx::query("select '[1]'::vector is null").execute(connection).await?;
    Ok(())
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
