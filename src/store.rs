//! The only SQL on our own tables. One module for each aggregate; the store is a connection pool.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use pool::Pool;

use crate::{address::DatabaseUrl, pg_connection};

pub mod answers;
pub mod chunks;
pub mod deliveries;
pub mod documents;
pub mod escalations;
pub mod health;
pub mod jobs;
pub mod listen;
mod pool;
pub mod schedules;
pub mod schema;
pub mod sessions;
pub mod sources;
pub mod status;
pub mod tokens;
pub mod usage;
pub mod versions;

/// Our schema in a PostgreSQL.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    /// The same connections for the short work of the queue, which is given up after [`PROMPT`].
    queue: Pool,
    /// For the renewal of leases and nothing else.
    renewals: Pool,
    /// One connection for the upkeep of the queue, which must not wait until a handler gives one back.
    upkeep: Pool,
    /// Session-level commands that bypass a transaction pooler.
    direct: Pool,
    replica: Option<Replica>,
}

/// Is searched instead.
#[derive(Clone, Debug)]
struct Replica {
    pool: Pool,
    /// When it was found to be away.
    away: Arc<Mutex<Option<Instant>>>,
}

/// How to reach a database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Its address, with the password.
    pub url: DatabaseUrl,
    /// The same database past a pooler; when it is given, `url` goes through one.
    pub direct_url: Option<DatabaseUrl>,
    /// A replica that is searched instead.
    pub read_url: Option<DatabaseUrl>,
    /// Connections of this process, for each address.
    pub max_connections: u32,
    /// The longest that one statement may take; zero is no limit.
    pub statement_timeout: Duration,
}

/// Connections past a pooler, for what takes long.
const DIRECT_CONNECTIONS: u32 = 4;
/// Connections for the renewal of leases. One is usually enough; when it does not answer, the leases of other kinds of
/// jobs are renewed over another.
const RENEWAL_CONNECTIONS: u32 = 3;
/// How long a connection may be unused and still be taken for alive.
const IDLE: Duration = Duration::from_secs(1);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a search waits for a replica, before the database itself is asked.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a replica that was away is left alone.
const REPLICA_PAUSE: Duration = Duration::from_secs(10);
/// How long a transaction may wait for its next statement. Ours comes at once, unless the network was cut: then the
/// server ends the connection, and its locks with it, while a tick that they held up is still in time.
const PAUSE: &str = "5s";
/// How long the short statements of the queue may take: less than the server lets them, so that a worker hears in time
/// that it does not get through.
pub(crate) const PROMPT: Duration = Duration::from_secs(10);

impl Store {
    /// Connects once, to see whether it can be done, and checks that the schema is the one that this
    /// program was built with.
    pub async fn open(reach: &DatabaseSettings) -> Result<Self> {
        let store = Self::connect(reach).await?;
        schema::require_current(&store.direct).await?;
        Ok(store)
    }

    /// Applies the migrations that are missing, then opens the store.
    pub async fn open_migrated(reach: &DatabaseSettings) -> Result<Self> {
        let store = Self::connect(reach).await?;
        schema::migrate(&store.direct).await?;
        Ok(store)
    }

    /// Connects once, to see whether it can be done.
    pub async fn connect(reach: &DatabaseSettings) -> Result<Self> {
        let settings = [
            ("statement_timeout", format!("{}ms", reach.statement_timeout.as_millis())),
            ("idle_in_transaction_session_timeout", PAUSE.to_owned()),
            // Every statement is short, and a plan without sequential scans looks dear enough to be compiled.
            ("jit", "off".to_owned()),
            // A filtered search goes on through the index until it has enough.
            ("hnsw.iterative_scan", "strict_order".to_owned()),
        ];
        // The server ends a statement sooner, and a transaction has a few of them.
        let patience = (!reach.statement_timeout.is_zero()).then(|| reach.statement_timeout * 4);
        let is_pooled = reach.direct_url.is_some();
        let options = connected(&reach.url, is_pooled).await?;
        let pool = |options, connections, is_pooled, timeout, writes| {
            let pool = PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(timeout)
                // A connection that was just used need not be asked whether it lives.
                .test_before_acquire(false)
                .before_acquire(move |connection, used| {
                    Box::pin(async move {
                        if writes && pool::is_suspect() {
                            return pool::is_writable(connection).await;
                        }
                        if used.idle_for > IDLE {
                            return pg_connection::is_alive(connection).await;
                        }
                        Ok(true)
                    })
                });
            Pool::new(pool, options, &settings, patience, is_pooled)
        };
        let main = pool(options.clone(), reach.max_connections, is_pooled, CONNECT_TIMEOUT, true);
        let direct = match &reach.direct_url {
            Some(url) => pool(connected(url, false).await?, DIRECT_CONNECTIONS, false, CONNECT_TIMEOUT, true),
            None => main.clone(),
        };
        // One that is away is no reason not to start.
        let replica = reach.read_url.as_ref().map(options_of).transpose()?;
        let replica = replica.map(|options| Replica {
            pool: pool(options, reach.max_connections, false, REPLICA_TIMEOUT, false),
            away: Arc::default(),
        });
        let renewals = pool(options.clone(), RENEWAL_CONNECTIONS, is_pooled, CONNECT_TIMEOUT, true);
        let upkeep = pool(options, 1, is_pooled, CONNECT_TIMEOUT, true).within(PROMPT);
        Ok(Self { queue: main.within(PROMPT), pool: main, renewals, upkeep, direct, replica })
    }

    /// Whether the database answers now, within two seconds, and can be written.
    pub async fn is_reachable(&self) -> bool {
        let ping = sqlx::query_scalar!(
            r#"select current_setting('transaction_read_only') = 'off' as "is_writable!""#
        );
        let answer = tokio::time::timeout(Duration::from_secs(2), ping.fetch_one(&self.pool)).await;
        matches!(answer, Ok(Ok(true)))
    }

    /// How many connections are used, and how many are not.
    pub fn connections(&self) -> (u32, u32) {
        let idle = u32::try_from(self.pool.plain().num_idle()).unwrap_or(u32::MAX);
        (self.pool.plain().size().saturating_sub(idle), idle)
    }

    /// Closes the connections.
    pub async fn close(&self) {
        let replica = self.replica.as_ref().map(|replica| &replica.pool);
        let pools = [&self.pool, &self.renewals, &self.upkeep, &self.direct].into_iter().chain(replica);
        futures::future::join_all(pools.map(|pool| pool.plain().close())).await;
    }
}

impl Replica {
    fn is_away(&self) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|since| since.elapsed() < REPLICA_PAUSE)
    }

    fn leave_alone(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What to do about a database that is not reached at the start.
const REMEDY: &str = "\n  start it, or correct its address in the settings";

fn options_of(url: &DatabaseUrl) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url.expose().parse().map_err(StoreError::unreachable)?;
    Ok(options.application_name("shopkeeper"))
}

/// SQLSTATE `protocol_violation`: what `PgBouncer` says when it refuses anything at all.
const PROTOCOL_VIOLATION: &str = "08P01";

/// How a server is reached that was reached now.
async fn connected(url: &DatabaseUrl, is_pooled: bool) -> Result<PgConnectOptions> {
    let options = options_of(url)?;
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let with_less = pool::through_pooler(options.clone());
    let Err(error) = connect_once(if is_pooled { &with_less } else { &options }).await else {
        return Ok(options);
    };
    let is_refused =
        matches!(&error, sqlx::Error::Database(error) if error.code().as_deref() == Some(PROTOCOL_VIOLATION));
    match StoreError::from(error) {
        // It takes a connection, but not the parameters with which ours begin.
        StoreError::Unreachable(reason)
            if is_refused && !is_pooled && connect_once(&with_less).await.is_ok() =>
        {
            Err(StoreError::Unsuitable(format!(
                "{server} is a pooler ({reason})\n  set database.direct_url to the database itself, or a source's \
                 url to it"
            )))
        }
        StoreError::Unreachable(reason) => {
            Err(StoreError::Unreachable(format!("{server}: {reason}{REMEDY}")))
        }
        other => Err(other),
    }
}

/// Connects, to see whether it can be done.
async fn connect_once(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let connecting = async { PgConnection::connect_with(options).await?.close().await };
    pg_connection::in_time(Some(CONNECT_TIMEOUT), |error| error, connecting).await
}

/// The result of a statement.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer now: the same call may succeed later.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement takes longer than it may: now, or always.
    #[error("the database timed out: {0}")]
    TooSlow(String),
    /// The role lacks a right, which an administrator must grant.
    #[error("the database role lacks a privilege: {0}")]
    Forbidden(String),
    /// The database is not what this program needs; the message holds the remedy.
    #[error("{0}")]
    Unsuitable(String),
    /// The lease was lost: another worker has this job, and nothing was written.
    #[error("the lease of job {0} was lost; nothing was written")]
    LeaseLost(i64),
    /// Another job wrote a document after this one looked at it: it must look again.
    #[error("another job wrote the document meanwhile; nothing was written")]
    Overtaken,
    /// A question of the session is not answered yet, and the client wants no second one.
    #[error("{0}")]
    SessionBusy(String),
    /// The idempotency key was used for another question.
    #[error("{0}")]
    IdempotencyMismatch(String),
    /// A question names a source or a webhook that no daemon has.
    #[error("{0}")]
    UnknownName(String),
    /// What a client wrote by SQL is not what it should be.
    #[error("the request cannot be read: {0}")]
    Undecodable(String),
    /// A statement failed in a way that repeating does not mend.
    #[error("the database refuses a statement: {0}")]
    Failed(String),
}

impl StoreError {
    fn unreachable(error: impl std::fmt::Display) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
                Self::unreachable(error)
            }
            E::Database(database) => match database.code().as_deref().unwrap_or_default() {
                "42501" => Self::Forbidden(database.message().to_owned()),
                // Those of shopkeeper.accept_question.
                "SK001" => Self::SessionBusy(without_code(database.message())),
                "SK002" => Self::IdempotencyMismatch(without_code(database.message())),
                "SK003" => Self::UnknownName(without_code(database.message())),
                // A wrong password, a missing database or role: nothing to wait for, and not reached.
                code if code.starts_with("28") || code == "3D000" => Self::unreachable(database.message()),
                // The transaction waited too long for us: the process was stopped, or the network was cut.
                "25P03" => Self::unreachable(database.message()),
                // A server that became a standby, or has no place left on its disk. Another may have its address by now.
                "25006" => {
                    pool::suspect();
                    Self::unreachable(database.message())
                }
                // By statement_timeout, or a lock_timeout of the role.
                "57014" | "55P03" => Self::TooSlow(database.message().to_owned()),
                code if pg_connection::passes(code) => Self::unreachable(database.message()),
                _ => Self::Failed(database.message().to_owned()),
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Replaces the character NUL, which PostgreSQL cannot store, in all strings of a value; places in them stay the same.
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

/// Removes the code with which the messages of our functions begin, for clients that see no SQLSTATE.
fn without_code(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, detail)| detail).to_owned()
}
