//! What `doctor` checks in the database.

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::AssertSqlSafe;

use super::{Result, Store, schema, search, versions::IndexVersion};

/// The number of passages in the checked plan: the default.
const TOP_K: i32 = 5;

/// The state of the server.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServerHealth {
    pub version: String,
    /// The version of pgvector, if it is installed.
    pub pgvector: Option<String>,
    pub may_write: bool,
    pub connections: i64,
    pub max_connections: i64,
    /// The size of our tables and indexes.
    pub bytes: i64,
    pub now: DateTime<Utc>,
    /// Jobs whose lease expired more than a minute ago and that no worker has claimed since.
    pub stuck_leases: i64,
}

/// The first pgvector whose HNSW indexes withstand many deletes.
const SAFE_PGVECTOR: [u32; 3] = [0, 8, 4];

impl ServerHealth {
    /// Whether the version of pgvector damages no HNSW indexes.
    pub fn has_safe_pgvector(&self) -> bool {
        self.pgvector.as_deref().is_some_and(|version| schema::parsed(version) >= SAFE_PGVECTOR)
    }
}

/// The state of the active version's HNSW index.
#[derive(Clone, Debug)]
pub struct IndexHealth {
    /// The active version.
    pub version: i32,
    /// Whether the index can be used; `None` if there is none.
    pub is_valid: Option<bool>,
    /// Whether the job that builds the index is live.
    pub is_filling: bool,
}

/// The state of the replica.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaHealth {
    /// How far it lags; `None` if it is not a replica.
    pub lag_seconds: Option<f64>,
}

impl Store {
    /// Reads the state of the server.
    pub async fn server_health(&self) -> Result<ServerHealth> {
        let health = sqlx::query_as!(
            ServerHealth,
            r#"select current_setting('server_version') as "version!",
                   (select extversion from pg_extension where extname = 'vector') as pgvector,
                   has_table_privilege('shopkeeper.document', 'insert, update, delete')
                       and has_schema_privilege('shopkeeper', 'create') as "may_write!",
                   (select count(*) from pg_stat_activity where backend_type = 'client backend') as "connections!",
                   current_setting('max_connections')::bigint
                       - current_setting('superuser_reserved_connections')::bigint as "max_connections!",
                   (
                       select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class
                       where relnamespace = 'shopkeeper'::regnamespace and relkind = 'r'
                   ) as "bytes!",
                   clock_timestamp() as "now!",
                   (
                       select count(*) from shopkeeper.job
                       where state = 'running' and lease_until < now() - interval '1 minute'
                   ) as "stuck_leases!""#
        );
        Ok(health.fetch_one(&self.pool).await?)
    }

    /// Reads the state of the active version's HNSW index; returns `None` without an active version.
    pub async fn index_health(&self) -> Result<Option<IndexHealth>> {
        let health = sqlx::query_as!(
            IndexHealth,
            r#"select id as version,
                   (
                       select indisvalid from pg_index
                       where indexrelid = to_regclass('shopkeeper.chunk_' || index_version.id || '_hnsw')
                   ) as is_valid,
                   exists (
                       select from shopkeeper.job where kind = 'fill_index' and key = index_version.id::text
                   ) as "is_filling!"
               from shopkeeper.index_version where state = 'active'"#
        );
        Ok(health.fetch_optional(&self.pool).await?)
    }

    /// Whether PostgreSQL plans to search a version by its HNSW index.
    pub async fn is_searched_by_index(&self, version: &IndexVersion) -> Result<bool> {
        let statement = format!("explain {}", search::nearest(version, TOP_K));
        let dimensions = usize::try_from(version.dimensions).unwrap_or_default();
        let plan = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(HalfVector::from_f32_slice(&vec![1.0; dimensions]));
        let plan: Vec<String> = plan.fetch_all(&self.pool).await?;
        let index = format!("using chunk_{}_hnsw ", version.id);
        Ok(plan.iter().any(|line| line.contains(&index)))
    }

    /// Reads the state of the replica; returns `None` without one.
    pub async fn replica_health(&self) -> Result<Option<ReplicaHealth>> {
        let Some(replica) = &self.replica else { return Ok(None) };
        // A replica that has replayed everything it received does not lag, however long ago that was.
        let health = sqlx::query_as!(
            ReplicaHealth,
            r#"select case when not pg_is_in_recovery() then null
                   when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
                   else extract(epoch from now() - pg_last_xact_replay_timestamp())::double precision
               end as lag_seconds"#
        );
        Ok(Some(health.fetch_one(&replica.pool).await?))
    }
}
