//! A pool of connections that also works through a transaction pooler.
//!
//! Behind a pooler nothing may be left on a connection between transactions, neither settings nor prepared statements:
//! sqlx prepares in one round trip and executes in another, and each connection numbers its statements from one. So
//! every statement runs in a transaction that first deallocates the statements of others and sets its settings locally,
//! which costs two more round trips. Without a pooler, statements run as they are.

use std::{sync::Arc, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

mod checkout;
mod statements;

pub(super) use checkout::{checked, suspect};

/// Connections to one server. As an executor it runs one statement, in a transaction if `begin` is set.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    plain: PgPool,
    /// A timeout for a statement or a transaction, which expires only when the network is cut.
    patience: Option<Duration>,
    /// A timeout that includes the wait for a connection, where both must be short.
    limit: Option<Duration>,
    /// Begins each transaction. Set behind a pooler, or for settings of its own.
    begin: Option<Arc<str>>,
}

/// The server probes a connection that is silent for ten seconds, and closes it after four probes without a reply: the
/// host was cut off, and its locks and its slot are needed.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "4")];

impl Pool {
    /// Connects when a connection is first needed; the settings apply to each connection.
    pub(super) fn new(
        pool: PgPoolOptions,
        options: PgConnectOptions,
        settings: &[(&str, String)],
        patience: Option<Duration>,
        is_pooled: bool,
    ) -> Self {
        if !is_pooled {
            let settings = settings.iter().map(|(name, value)| (*name, value.as_str())).chain(KEEPALIVE);
            let plain = pool.connect_lazy_with(options.options(settings));
            return Self { plain, patience, limit: None, begin: None };
        }
        let settings = settings.iter().map(|(name, value)| format!("; set local {name} = '{value}'"));
        let begin = format!("begin; deallocate all{}", settings.collect::<String>());
        let plain = pool.connect_lazy_with(through_pooler(options));
        Self { plain, patience, limit: None, begin: Some(begin.into()) }
    }

    /// Returns the same connections with one timeout for the wait and the work.
    pub(super) fn within(&self, limit: Duration) -> Self {
        Self { limit: Some(limit), patience: None, ..self.clone() }
    }

    /// Returns the same connections with plans that look up rows one by one in indexes. Tables grow faster than their
    /// statistics, and a plan for a small table scans all of a large one.
    pub(super) fn by_index(&self) -> Self {
        self.set_local(
            "; set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_hashjoin = off; \
             set local enable_mergejoin = off; set local plan_cache_mode = force_generic_plan",
        )
    }

    /// Returns the same connections with plans for given values: generic plans scan all rows if a filter is optional.
    pub(super) fn by_values(&self) -> Self {
        self.set_local("; set local plan_cache_mode = force_custom_plan")
    }

    pub(super) fn set_local(&self, settings: &str) -> Self {
        let begin = format!("{}{settings}", self.begin.as_deref().unwrap_or("begin"));
        Self { begin: Some(begin.into()), ..self.clone() }
    }

    /// Returns sqlx's pool, for what a pooler cannot do.
    pub(super) fn plain(&self) -> &PgPool {
        &self.plain
    }

    /// Listens on a connection of its own, so that a lost one takes no slot in this pool.
    pub(super) async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let options = PgConnectOptions::clone(&self.plain.connect_options());
        let own = self.plain.options().clone().max_connections(1).max_lifetime(None).idle_timeout(None);
        PgListener::connect_with(&own.connect_lazy_with(options)).await
    }
}

/// Omits the startup parameters that a pooler refuses to pass on.
pub(super) fn through_pooler(options: PgConnectOptions) -> PgConnectOptions {
    options.statement_cache_capacity(0).extra_float_digits(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_waited_for_no_longer_than_the_work_may_take() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("nobody");
        let pool = Pool::new(PgPoolOptions::new(), options, &[], None, false);
        let pool = pool.within(Duration::from_millis(20));
        let error = pool.run(async |_| Ok::<_, sqlx::Error>(())).await.unwrap_err();
        assert!(error.to_string().ends_with("no reply within 20ms"), "{error}");
    }
}
