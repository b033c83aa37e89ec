//! What `doctor` asks of the database.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::AssertSqlSafe;

use super::{Result, Store, schema, search, versions::IndexVersion};

/// How many passages are wanted where only the plan is: as many as by default.
const TOP_K: i32 = 5;

/// What the server says of itself.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServerHealth {
    /// Of PostgreSQL.
    pub version: String,
    /// Of pgvector, when it is there.
    pub pgvector: Option<String>,
    /// Whether the role may write in our schema.
    pub may_write: bool,
    pub connections: i64,
    pub max_connections: i64,
    /// What our tables and indexes take, in bytes.
    pub bytes: i64,
    pub now: DateTime<Utc>,
    /// Jobs whose lease ran out more than a minute ago and that no worker has claimed since.
    pub stuck_leases: i64,
}

/// The first pgvector whose HNSW indexes stand many deletes.
const SAFE_PGVECTOR: [u32; 3] = [0, 8, 4];

impl ServerHealth {
    /// Whether pgvector is a version that damages no HNSW index.
    pub fn has_safe_pgvector(&self) -> bool {
        self.pgvector.as_deref().is_some_and(|version| schema::parsed(version) >= SAFE_PGVECTOR)
    }
}

/// The HNSW index of the active version.
#[derive(Clone, Debug)]
pub struct IndexHealth {
    /// The version.
    pub version: i32,
    /// Whether it has one that can be used; none when it has none.
    pub is_valid: Option<bool>,
    /// Whether the job that builds it is waiting or running.
    pub is_filling: bool,
}

/// A replica.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaHealth {
    /// How far it is behind; none when it is no replica.
    pub lag_seconds: Option<f64>,
}

impl Store {
    /// What the server says of itself.
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

    /// The HNSW index of the active version; none when there is no version.
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

    /// Whether a search of a version goes through its HNSW index: what PostgreSQL plans for the statement of searches.
    pub async fn is_searched_by_index(&self, version: &IndexVersion) -> Result<bool> {
        let statement = format!("explain {}", search::nearest(version));
        let dimensions = usize::try_from(version.dimensions).unwrap_or_default();
        let plan = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(HalfVector::from_f32_slice(&vec![1.0; dimensions]))
            .bind(TOP_K);
        let plan: Vec<String> = plan.fetch_all(&self.pool).await?;
        let index = format!("using chunk_{}_hnsw ", version.id);
        Ok(plan.iter().any(|line| line.contains(&index)))
    }

    /// The state of the replica; `None` without one.
    pub async fn replica_health(&self) -> Result<Option<ReplicaHealth>> {
        let Some(replica) = &self.replica else { return Ok(None) };
        // One that has replayed all that it got is not behind, however long ago that was.
        let health = sqlx::query_as!(
            ReplicaHealth,
            r#"select case when not pg_is_in_recovery() then null
                   when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
                   else extract(epoch from now() - pg_last_xact_replay_timestamp())::double precision
               end as lag_seconds"#
        );
        Ok(Some(health.fetch_one(&replica.pool).await?))
    }

    /// Those of some kinds that are paused.
    pub async fn paused_kinds(&self, kinds: &[&str]) -> Result<Vec<String>> {
        let paused = sqlx::query_scalar!(
            "select kind from shopkeeper.queue_kind where paused_at is not null and kind = any ($1) order by kind",
            kinds as &[&str],
        );
        Ok(paused.fetch_all(&self.pool).await?)
    }

    /// How long a notification takes to arrive; none when it does not within two seconds.
    pub async fn notification_time(&self) -> Result<Option<Duration>> {
        let mut listener = self.direct.listener().await?;
        listener.listen("shopkeeper_doctor").await?;
        let began = Instant::now();
        sqlx::query!("select pg_notify('shopkeeper_doctor', '')").execute(&self.pool).await?;
        let heard = tokio::time::timeout(Duration::from_secs(2), listener.recv()).await;
        Ok(heard.is_ok_and(|heard| heard.is_ok()).then(|| began.elapsed()))
    }
}
