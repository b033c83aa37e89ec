//! Connects a store: one pool for each purpose.

use std::time::Duration;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{
    DatabaseSettings, PROMPT, Result, Store, StoreError,
    pool::{self, Pool},
    replica::Replica,
};
use crate::{address::DatabaseUrl, pg_connection};

/// Connections that bypass a pooler, for long statements.
const DIRECT_CONNECTIONS: u32 = 4;
/// Connections for renewing leases. While one gets no reply, leases of other kinds are renewed over another.
const RENEWAL_CONNECTIONS: u32 = 3;
/// Connections for pages: a search that takes its second keeps no job waiting.
const PAGE_CONNECTIONS: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a search waits for a replica before it uses the database itself.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a transaction may wait for its next statement. Ours follows at once unless the network was cut: then the
/// server ends the connection and releases its locks, while a tick that they delayed is still in time.
const PAUSE: &str = "5s";

impl Store {
    /// Connects once to check that the database can be reached.
    pub async fn connect(reach: &DatabaseSettings) -> Result<Self> {
        let settings = [
            ("statement_timeout", format!("{}ms", reach.statement_timeout.as_millis())),
            ("idle_in_transaction_session_timeout", PAUSE.to_owned()),
            // Statements are short, but plans without sequential scans look expensive enough to be compiled.
            ("jit", "off".to_owned()),
            // A filtered search scans the index until it has enough rows.
            ("hnsw.iterative_scan", "strict_order".to_owned()),
        ];
        // Longer than the server's, as a transaction has several statements.
        let patience = (!reach.statement_timeout.is_zero()).then(|| reach.statement_timeout * 4);
        let is_pooled = reach.direct_url.is_some();
        let options = connected(&reach.url, is_pooled).await?;
        let pool = |options, connections, is_pooled, timeout, writes| {
            let pool = pool::checked(connections, timeout, writes);
            Pool::new(pool, options, &settings, patience, is_pooled)
        };
        let main = pool(options.clone(), reach.max_connections, is_pooled, CONNECT_TIMEOUT, true);
        let direct = match &reach.direct_url {
            Some(url) => pool(connected(url, false).await?, DIRECT_CONNECTIONS, false, CONNECT_TIMEOUT, true),
            None => main.clone(),
        };
        // An unavailable replica does not prevent the start.
        let replica = reach.read_url.as_ref().map(options_of).transpose()?;
        let replica = replica
            .map(|options| Replica::new(pool(options, reach.max_connections, false, REPLICA_TIMEOUT, false)));
        let renewals = pool(options.clone(), RENEWAL_CONNECTIONS, is_pooled, CONNECT_TIMEOUT, true);
        let pages = pool(options.clone(), PAGE_CONNECTIONS, is_pooled, CONNECT_TIMEOUT, false);
        let upkeep = pool(options, 1, is_pooled, CONNECT_TIMEOUT, true).within(PROMPT);
        Ok(Self { queue: main.within(PROMPT), pool: main, renewals, upkeep, direct, pages, replica })
    }
}

const REMEDY: &str = "\n  start it, or correct its address in the settings";

/// SQLSTATE `protocol_violation`, with which `PgBouncer` refuses anything at all.
const PROTOCOL_VIOLATION: &str = "08P01";

/// Returns the options for a server after connecting to it once.
async fn connected(url: &DatabaseUrl, is_pooled: bool) -> Result<PgConnectOptions> {
    let options = options_of(url)?;
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let with_less = pool::through_pooler(options.clone());
    let Err(error) = connect_once(if is_pooled { &with_less } else { &options }).await else {
        return Ok(options);
    };
    let is_refused =
        matches!(&error, sqlx::Error::Database(error) if error.code().as_deref() == Some(PROTOCOL_VIOLATION));
    let reason = match StoreError::from(error) {
        StoreError::Unreachable(reason) => reason,
        other => return Err(other),
    };
    // It accepts a connection, but not our startup parameters.
    if is_refused && !is_pooled && connect_once(&with_less).await.is_ok() {
        return Err(StoreError::Unsuitable(format!(
            "{server} is a pooler ({reason})\n  set database.direct_url to the database itself, or a source's \
             url to it"
        )));
    }
    Err(StoreError::Unreachable(format!("{server}: {reason}{REMEDY}")))
}

async fn connect_once(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let connecting = async { PgConnection::connect_with(options).await?.close().await };
    pg_connection::in_time(Some(CONNECT_TIMEOUT), |error| error, connecting).await
}

pub(super) fn options_of(url: &DatabaseUrl) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url.expose().parse().map_err(StoreError::unreachable)?;
    Ok(options.application_name("shopkeeper"))
}
