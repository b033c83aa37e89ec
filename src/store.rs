//! The only SQL on our own tables. One module per aggregate; the store is a set of connection pools.

use std::time::Duration;

use serde_json::Value;

use pool::Pool;
use replica::Replica;

use crate::address::DatabaseUrl;

pub mod answers;
pub mod budgets;
mod connections;
pub mod console;
pub mod deliveries;
pub mod documents;
mod error;
pub mod escalations;
pub mod families;
pub mod figures;
pub mod golden;
pub mod health;
pub mod jobs;
pub mod lessons;
pub mod listen;
mod pool;
mod replica;
pub mod schedules;
pub mod schema;
pub mod search;
pub mod sessions;
pub mod sources;
pub mod status;
pub mod tokens;
pub mod unanswered;
pub mod usage;
pub mod versions;

pub use error::{Result, StoreError};

/// Our schema in a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    /// The same connections for short statements of the queue, which time out after [`PROMPT`].
    queue: Pool,
    /// For renewing leases only.
    renewals: Pool,
    /// One connection for upkeep of the queue, which must not wait until a handler returns one.
    upkeep: Pool,
    /// Session-level commands that bypass a transaction pooler.
    direct: Pool,
    /// For the pages of the console, which are shown from a server that can only be read, too.
    pages: Pool,
    replica: Option<Replica>,
}

/// How to reach a database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// The address, with the password.
    pub url: DatabaseUrl,
    /// The same database bypassing a pooler; if given, `url` goes through one.
    pub direct_url: Option<DatabaseUrl>,
    /// A replica to search instead.
    pub read_url: Option<DatabaseUrl>,
    /// Connections of this process to each address.
    pub max_connections: u32,
    /// The timeout of a statement; zero is no limit.
    pub statement_timeout: Duration,
}

/// The timeout of short statements of the queue; shorter than the server's, so that a worker notices a lost connection.
const PROMPT: Duration = Duration::from_secs(10);

impl Store {
    /// Connects, and checks that the schema is the one that this program was built with.
    pub async fn open(reach: &DatabaseSettings) -> Result<Self> {
        let store = Self::connect(reach).await?;
        schema::require_current(&store.direct).await?;
        Ok(store)
    }

    /// Connects and applies missing migrations.
    pub async fn open_migrated(reach: &DatabaseSettings) -> Result<Self> {
        let store = Self::connect(reach).await?;
        schema::migrate(&store.direct).await?;
        Ok(store)
    }

    /// Whether the database answers within two seconds and is writable.
    pub async fn is_reachable(&self) -> bool {
        let ping = sqlx::query_scalar!(
            r#"select current_setting('transaction_read_only') = 'off' as "is_writable!""#
        );
        let answer = tokio::time::timeout(Duration::from_secs(2), ping.fetch_one(&self.pool)).await;
        matches!(answer, Ok(Ok(true)))
    }

    /// Counts the used and the idle connections.
    pub fn connections(&self) -> (u32, u32) {
        let idle = u32::try_from(self.pool.plain().num_idle()).unwrap_or(u32::MAX);
        (self.pool.plain().size().saturating_sub(idle), idle)
    }

    /// Closes the connections.
    pub async fn close(&self) {
        let replica = self.replica.as_ref().map(|replica| &replica.pool);
        let pools =
            [&self.pool, &self.renewals, &self.upkeep, &self.direct, &self.pages].into_iter().chain(replica);
        futures::future::join_all(pools.map(|pool| pool.plain().close())).await;
    }
}

/// Replaces NUL characters, which PostgreSQL cannot store, in all strings of a value; offsets remain the same.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.replace('\0', "\u{fffd}"), without_nul(value)))
            .collect(),
        other => other,
    }
}
