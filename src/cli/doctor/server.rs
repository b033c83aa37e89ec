//! The database server: its version, limits, clock, replica and notifications.

use super::{Checks, disk};
use crate::{clock, config::Config, store::Store};

const MAX_SKEW_SECONDS: i64 = 5;
/// A replica further behind answers from an outdated catalogue.
const STALE_REPLICA_SECONDS: f64 = 60.0;

pub(super) async fn check_server(config: &Config, store: &Store, checks: &mut Checks) {
    let health = store.server_health().await;
    let remedy = "grant its role the rights on the schema";
    let Some(health) = checks.require("database", health, remedy) else { return };
    // An open store implies a supported version and no missing migration.
    checks.pass("database", format!("PostgreSQL {}", health.version));
    checks.pass("migrations", "all are applied");
    checks.add(
        "pgvector",
        health.has_safe_pgvector(),
        format!("version {}", health.pgvector.as_deref().unwrap_or_default()),
        "versions before 0.8.4 can damage HNSW indexes under many deletes: install a newer one and run \
         `alter extension vector update`",
    );
    checks.add(
        "rights",
        health.may_write,
        "to write documents and to create index versions",
        "run `shopkeeper migrate` as the role that the daemon uses, or grant it the schema",
    );
    let wanted = i64::from(config.database.max_connections);
    let (used, most) = (health.connections, health.max_connections);
    checks.add(
        "connections",
        most - used >= wanted.min(most / 2),
        format!("{used} of {most} are in use; a daemon takes up to {wanted}"),
        "raise the server's max_connections or lower database.max_connections",
    );
    disk::check(config, health.bytes, checks);
    let skew = (clock::now() - health.now).num_seconds().abs();
    checks.add(
        "clock",
        skew <= MAX_SKEW_SECONDS,
        format!("{skew} s apart from the database's"),
        "synchronise both hosts with a time server",
    );
    checks.add(
        "leases",
        health.stuck_leases == 0,
        format!("{} jobs with an expired lease that no worker has taken over", health.stuck_leases),
        "start a daemon: it takes them up within seconds",
    );
    let how = if config.database.direct_url.is_some() { "past the pooler" } else { "by database.url" };
    let remedy = "set database.direct_url to the database itself, past the pooler that database.url leads to: until \
                  then work begins up to a second late";
    match checks.require("notifications", store.notification_time().await, remedy) {
        Some(Some(time)) => checks.pass("notifications", format!("heard {how} after {time:.1?}")),
        Some(None) => checks.add("notifications", false, "notifications (NOTIFY) do not arrive", remedy),
        None => {}
    }
    let remedy = "start it; until then the database itself is searched";
    if let Some(Some(replica)) = checks.require("replica", store.replica_health().await, remedy) {
        checks.add(
            "replica",
            replica.lag_seconds.is_some_and(|lag| lag < STALE_REPLICA_SECONDS),
            match replica.lag_seconds {
                Some(lag) => format!("searched, and {lag:.1} s behind"),
                None => "database.read_url leads to no replica that follows a server".to_owned(),
            },
            "check its replication; answers are as old as the replica",
        );
    }
}
